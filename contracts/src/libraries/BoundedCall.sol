// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Calls that may fail in any way without taking the caller along
library BoundedCall {
    /// @notice The transaction has too little gas left to try: give it more, or fewer items.
    error NotEnoughGas(uint256 left, uint256 required);

    /// @dev What the caller keeps for acting on a failure.
    uint256 internal constant GAS_KEPT = 200_000;

    /// @dev Calls with exactly `gasMax`, so that neither can the callee burn more, nor the sender of
    /// the transaction make a good call fail by giving too little: that reverts. Of what a failed
    /// call returns, at most `reasonBytesMax` are copied, whatever its size.
    function tryCall(address target, bytes memory data, uint256 gasMax, uint256 reasonBytesMax)
        internal
        returns (bool succeeded, bytes memory reason)
    {
        // The callee gets at most 63/64 of what is left.
        uint256 required = gasMax + gasMax / 63 + GAS_KEPT;
        require(gasleft() >= required, NotEnoughGas(gasleft(), required));

        assembly ("memory-safe") {
            succeeded := call(gasMax, target, 0, add(data, 0x20), mload(data), 0, 0)
            let size := 0
            if iszero(succeeded) {
                size := returndatasize()
                if gt(size, reasonBytesMax) { size := reasonBytesMax }
            }
            reason := mload(0x40)
            mstore(reason, size)
            returndatacopy(add(reason, 0x20), 0, size)
            mstore(0x40, add(add(reason, 0x20), and(add(size, 0x1f), not(0x1f))))
        }
    }
}

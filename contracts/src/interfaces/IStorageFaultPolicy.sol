// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a storage fault costs
/// @notice The registry finds out that a node did not answer; what follows from it is decided here,
/// so that prices can change without touching the verification.
interface IStorageFaultPolicy {
    /// @notice What the fault that is about to be recorded costs.
    /// @dev Asked before the registry counts the fault.
    /// @return amount What to slash, in the token's units; 0 for nothing.
    /// @return challengerBps The challenger's part of it, in hundredths of a percent.
    function faultCost(bytes32 nodeId, bytes32 commitmentId)
        external
        view
        returns (uint256 amount, uint16 challengerBps);
}

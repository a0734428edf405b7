// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The bounds within which governance may set parameters
library Bounds {
    /// @notice A parameter lies outside the bounds that the code sets.
    error ParameterOutOfBounds(bytes32 name, uint256 value, uint256 min, uint256 max);

    function check(bytes32 name, uint256 value, uint256 min, uint256 max) internal pure {
        require(value >= min && value <= max, ParameterOutOfBounds(name, value, min, max));
    }
}

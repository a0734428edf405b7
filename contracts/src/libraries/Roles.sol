// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The roles that all contracts share
/// @dev DEFAULT_ADMIN_ROLE, which grants and revokes them, is OpenZeppelin's.
library Roles {
    /// @notice Upgrades proxies.
    bytes32 internal constant UPGRADER = keccak256("UPGRADER_ROLE");

    /// @notice Changes parameters, each within the bounds in the code.
    bytes32 internal constant PARAMETER = keccak256("PARAMETER_ROLE");

    /// @notice Pauses intake, and ends the pause.
    bytes32 internal constant PAUSER = keccak256("PAUSER_ROLE");

    /// @notice Assigns jobs to nodes.
    bytes32 internal constant SCHEDULER = keccak256("SCHEDULER_ROLE");

    /// @notice Activates and deactivates nodes; held by StakingManager alone.
    bytes32 internal constant STAKING_MANAGER = keccak256("STAKING_MANAGER_ROLE");
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The roles that all contracts share
/// @dev DEFAULT_ADMIN_ROLE, which grants and revokes them, is OpenZeppelin's.
library Roles {
    // Held by the timelock.

    /// @notice Upgrades proxies.
    bytes32 internal constant UPGRADER = keccak256("UPGRADER_ROLE");

    /// @notice Changes parameters, each within the bounds in the code.
    bytes32 internal constant PARAMETER = keccak256("PARAMETER_ROLE");

    // Held by the emergency multisig.

    /// @notice Pauses intake, and ends the pause.
    bytes32 internal constant PAUSER = keccak256("PAUSER_ROLE");

    // Held by accounts off chain.

    /// @notice Assigns jobs to nodes.
    bytes32 internal constant SCHEDULER = keccak256("SCHEDULER_ROLE");

    /// @notice Submits reward roots.
    bytes32 internal constant REPORTER = keccak256("REPORTER_ROLE");

    /// @notice One voice in the quorum that binds attestation keys to nodes.
    bytes32 internal constant VERIFIER = keccak256("VERIFIER_ROLE");

    /// @notice One voice in the quorum that reports violations of service levels.
    bytes32 internal constant WITNESS = keccak256("WITNESS_ROLE");

    /// @notice One voice in the quorum that has seen a domain's DNS record.
    bytes32 internal constant DNS_WITNESS = keccak256("DNS_WITNESS_ROLE");

    // Held by the slashing committee, and by contracts whose rules slash.

    /// @notice Slashes stake.
    bytes32 internal constant SLASHER = keccak256("SLASHER_ROLE");

    // Held by one contract each.

    /// @notice Activates and deactivates nodes; held by StakingManager alone.
    bytes32 internal constant STAKING_MANAGER = keccak256("STAKING_MANAGER_ROLE");

    /// @notice Stops jobs that are not paid; held by PaymentManager alone.
    bytes32 internal constant PAYMENT_MANAGER = keccak256("PAYMENT_MANAGER_ROLE");

    /// @notice Credits customers; held by SLAManager alone.
    bytes32 internal constant SLA_MANAGER = keccak256("SLA_MANAGER_ROLE");

    /// @notice Collects the price of an image; held by ImageMarketplace alone.
    bytes32 internal constant MARKETPLACE = keccak256("MARKETPLACE_ROLE");
}

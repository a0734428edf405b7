// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Where the share of a node's delegators goes
/// @notice The one function of StakingManager that PaymentManager knows.
interface IDelegationRewards {
    /// @notice Takes up to `amount` ALEPH, which the sender has approved, into a node's pool.
    /// @return taken Zero when nobody has delegated to the node.
    function addDelegationReward(bytes32 nodeId, uint256 amount) external returns (uint256 taken);
}

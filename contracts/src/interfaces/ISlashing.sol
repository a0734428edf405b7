// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStakingManager} from "./IStakingManager.sol";

/// @title What SLAManager asks of StakingManager
interface ISlashing {
    /// @notice Slashes one owner's stake for a node, and what is missing from the delegators'. Never
    /// reverts for lack of stake. SLASHER_ROLE only.
    /// @param reporter Who gets `reporterBps` of what the owner loses, as a pull payment.
    function slashOwner(
        bytes32 nodeId,
        address owner,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    ) external returns (uint256 slashed, uint256 reporterReward);

    /// @notice What one owner has staked for a node.
    function getStakeOf(bytes32 nodeId, address owner)
        external
        view
        returns (IStakingManager.StakeInfo memory);
}

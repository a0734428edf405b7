// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStakingManager} from "./IStakingManager.sol";

/// @title What SLAManager asks of StakingManager
interface ISlashing {
    /// @notice Slashes a node's stake, the owner's first. Never reverts for lack of stake.
    /// SLASHER_ROLE only.
    /// @param reporter Who gets `reporterBps` of what is slashed, as a pull payment.
    function slash(
        bytes32 nodeId,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    ) external returns (uint256 slashed, uint256 reporterReward);

    /// @notice What the present owner of the node has staked for it.
    function getStake(bytes32 nodeId) external view returns (IStakingManager.StakeInfo memory);
}

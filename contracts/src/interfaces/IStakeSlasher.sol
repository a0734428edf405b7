// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What a contract whose rules slash needs of the stake; StakingManager has it
interface IStakeSlasher {
    /// @notice Slashes what one owner has staked for a node, present or former, up to `amount`; the
    /// delegators' only if that owner answers for the node now. SLASHER_ROLE only.
    /// @dev Never reverts for lack of stake.
    /// @param reporter Is credited `reporterBps` of what was slashed, within the stake's own cap.
    /// @param reason What for.
    /// @return slashed What was taken.
    /// @return reporterReward The reporter's part of it.
    function slashOwner(
        bytes32 nodeId,
        address owner,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    ) external returns (uint256 slashed, uint256 reporterReward);

    /// @notice What could be slashed now.
    function slashableStake(bytes32 nodeId) external view returns (uint256);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Stake behind the nodes
/// @notice An owner stakes ALEPH for its node. Stake matures, then anyone can activate the node.
/// Unstaked tokens wait out the unbonding period before they can be withdrawn.
///
/// ```
///   stake ──▶ maturing ──(minStakeDuration and 2 blocks)──▶ matured ──▶ activate
///                 └───────────────── unstake ─────────────────┘
///                                       ▼
///                                   unbonding ──(unbondingPeriod)──▶ withdraw
/// ```
///
/// Because stake must mature over time and blocks, no flash loan can activate a node.
interface IStakingManager {
    /// @notice The rules that governance can change.
    /// @param minTotalStake Matured stake a node needs to become active, in the token's units.
    /// @param minStakeDuration How long stake matures, in seconds.
    /// @param unbondingPeriod How long unstaked tokens stay locked, in seconds.
    struct Parameters {
        uint256 minTotalStake;
        uint64 minStakeDuration;
        uint64 unbondingPeriod;
    }

    /// @notice What the present owner of a node has staked for it.
    /// @param total Maturing and matured stake.
    /// @param matured The part that counts for activation.
    /// @param unbonding Unstaked and not yet withdrawn.
    /// @param maturesAt When the maturing part matures, Unix time in seconds; 0 if nothing matures.
    struct StakeInfo {
        uint256 total;
        uint256 matured;
        uint256 unbonding;
        uint64 maturesAt;
    }

    /// @notice An owner staked for its node; all of its maturing stake matures at `maturesAt`.
    event Staked(bytes32 indexed nodeId, address indexed owner, uint256 amount, uint64 maturesAt);

    /// @notice An owner took stake back; it can be withdrawn from `withdrawableAt` on.
    event Unstaked(
        bytes32 indexed nodeId, address indexed owner, uint256 amount, uint64 withdrawableAt
    );

    /// @notice Unbonded tokens went back to the owner.
    event Withdrawn(bytes32 indexed nodeId, address indexed owner, uint256 amount);

    /// @notice The rules changed.
    event ParametersSet(uint256 minTotalStake, uint64 minStakeDuration, uint64 unbondingPeriod);

    /// @notice A contract address is zero.
    error ZeroAddress();

    /// @notice The amount is zero.
    error ZeroAmount();

    /// @notice Only the owner of a registered node stakes for it.
    error NotNodeOwner(bytes32 nodeId, address account);

    /// @notice More was asked than is staked.
    error NotEnoughStake(uint256 staked, uint256 asked);

    /// @notice The node's matured stake is below the minimum.
    error NotEnoughMaturedStake(uint256 matured, uint256 required);

    /// @notice Too many unstakings wait: withdraw first.
    error TooManyUnstakings(uint256 max);

    /// @notice Nothing can be withdrawn yet.
    error NothingToWithdraw();

    /// @notice Stakes `amount` for a node. Owner only.
    /// @dev Taking in: stops while paused. Restarts the clock of stake that still matures.
    function stake(bytes32 nodeId, uint256 amount) external;

    /// @notice Takes back `amount` of the sender's stake; maturing stake goes first. Deactivates
    /// the node when its matured stake falls below the minimum.
    function unstake(bytes32 nodeId, uint256 amount) external;

    /// @notice Pays out what the sender unstaked for this node and whose time has come.
    function withdraw(bytes32 nodeId) external;

    /// @notice Activates a node whose matured stake reaches the minimum. Anyone may call.
    function activate(bytes32 nodeId) external;

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    /// @dev Binds what happens later: clocks that run keep their end, active nodes stay active
    /// until they unstake.
    function setParameters(Parameters calldata parameters) external;

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);

    /// @notice What the present owner of the node has staked for it.
    function getStake(bytes32 nodeId) external view returns (StakeInfo memory);
}

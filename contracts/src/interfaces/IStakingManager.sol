// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRewardRoots} from "./IRewardRoots.sol";

/// @title Stake behind the nodes
/// @notice An owner stakes ALEPH for its node. Stake matures, then anyone can activate the node.
/// Others delegate to a node: they get shares of its pool, to which PaymentManager pays the
/// delegators' part of what the node earns. Whoever leaves waits out the unbonding period.
///
/// ```
///   stake ──▶ maturing ──(minStakeDuration and 2 blocks)──▶ matured ──▶ activate
///                 └───────────────── unstake ─────────────────┘
///                                       ▼
///   delegate ──▶ pool ──undelegate──▶ thawing ──(unbondingPeriod)──▶ withdraw
/// ```
///
/// Because stake must mature over time and blocks, no flash loan can activate a node. Until it is
/// withdrawn, all of it can be slashed: the owner's stake first, then the delegators', and within
/// each the thawing part in the same proportion as the rest, so that leaving early avoids nothing.
interface IStakingManager is IRewardRoots {
    /// @notice The rules that governance can change.
    /// @param minTotalStake Matured stake a node needs to become active, in the token's units. The
    /// owner's own: delegators come and go, and must not switch a node off.
    /// @param minStakeDuration How long stake matures, in seconds.
    /// @param unbondingPeriod How long unstaked and undelegated tokens stay locked, in seconds.
    /// @param reporterBpsMax The most of what an owner loses that a reporter gets, in hundredths of a
    /// per cent.
    /// @param rewardInterval The time between two reward roots, in seconds.
    /// @param treasury Who gets slashed tokens; when zero, they are burned.
    /// @param rewardGrowthMax The most by which the reward total grows from root to root, in the
    /// token's units.
    struct Parameters {
        uint256 minTotalStake;
        uint64 minStakeDuration;
        uint64 unbondingPeriod;
        uint16 reporterBpsMax;
        uint64 rewardInterval;
        address treasury;
        uint256 rewardGrowthMax;
    }

    /// @notice What an owner has staked for a node.
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

    /// @notice All delegations to a node. Amounts are in the token's units.
    /// @param generation How often the pool was begun anew after a slash left (almost) nothing of it.
    /// @param tokens What the shares of this generation are worth together.
    /// @param shares The shares of this generation.
    /// @param thawing Undelegated and not yet withdrawn; earns nothing and can be slashed.
    struct PoolInfo {
        uint64 generation;
        uint256 tokens;
        uint256 shares;
        uint256 thawing;
    }

    /// @notice One delegator's part. Amounts are in the token's units.
    /// @param shares What `undelegate` takes at most.
    /// @param value What these shares are worth now.
    /// @param thawing Undelegated and not yet withdrawn, at its present worth.
    struct DelegationInfo {
        uint256 shares;
        uint256 value;
        uint256 thawing;
    }

    /// @notice Tokens that thaw.
    /// @param amount Their present worth: less than at the beginning if there was a slash.
    /// @param withdrawableAt Unix time in seconds.
    struct ThawInfo {
        uint256 amount;
        uint64 withdrawableAt;
    }

    /// @notice An owner staked for its node; all of its maturing stake matures at `maturesAt`.
    event Staked(bytes32 indexed nodeId, address indexed owner, uint256 amount, uint64 maturesAt);

    /// @notice An owner took stake back; it can be withdrawn from `withdrawableAt` on.
    event Unstaked(
        bytes32 indexed nodeId, address indexed owner, uint256 amount, uint64 withdrawableAt
    );

    /// @notice Unbonded tokens went back to the owner.
    event Withdrawn(bytes32 indexed nodeId, address indexed owner, uint256 amount);

    /// @notice Somebody delegated to a node.
    event Delegated(
        bytes32 indexed nodeId, address indexed delegator, uint256 amount, uint256 shares
    );

    /// @notice A delegator gave back shares, worth `amount`, withdrawable from `withdrawableAt` on.
    event Undelegated(
        bytes32 indexed nodeId,
        address indexed delegator,
        uint256 amount,
        uint256 shares,
        uint64 withdrawableAt
    );

    /// @notice Unbonded tokens went back to the delegator.
    event DelegationWithdrawn(bytes32 indexed nodeId, address indexed delegator, uint256 amount);

    /// @notice The delegators of a node earned, in proportion to their shares.
    event DelegationRewarded(bytes32 indexed nodeId, address indexed from, uint256 amount);

    /// @notice Stake was slashed. The reporter's part is out of what the owner lost.
    event Slashed(
        bytes32 indexed nodeId,
        address indexed owner,
        bytes32 indexed reason,
        uint256 fromOwner,
        uint256 fromDelegators,
        address reporter,
        uint256 reporterReward
    );

    /// @notice A reporter was paid.
    event ReporterRewardWithdrawn(address indexed reporter, uint256 amount);

    /// @notice Slashed tokens went to the treasury, or to the address from which nothing returns.
    event SlashedTokensSent(address indexed to, uint256 amount);

    /// @notice The rules changed.
    event ParametersSet(Parameters parameters);

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

    /// @notice One delegates to registered nodes only.
    error NodeNotRegistered(bytes32 nodeId);

    /// @notice The amount is worth fewer shares than the delegator accepts.
    error TooFewShares(uint256 shares, uint256 sharesMin);

    /// @notice A delegation is nothing or at least `sharesMin`.
    error DelegationTooSmall(uint256 shares, uint256 sharesMin);

    /// @notice The delegator has shares of a generation that was slashed almost to nothing: give them
    /// back first.
    error FormerGeneration(uint64 generation);

    /// @notice More shares were given back than the delegator has.
    error NotEnoughShares(uint256 shares, uint256 asked);

    /// @notice The token has taken away what was here: it takes in no more of it.
    error TokensMissing(uint256 held, uint256 balance);

    /// @notice This contract cannot be its own treasury.
    error InvalidTreasury();

    /// @notice Stakes `amount` for a node. Owner only.
    /// @dev Taking in: stops while paused. Restarts the clock of stake that still matures.
    function stake(bytes32 nodeId, uint256 amount) external;

    /// @notice Takes back `amount` of the sender's stake; maturing stake goes first. Deactivates
    /// the node when its matured stake falls below the minimum.
    function unstake(bytes32 nodeId, uint256 amount) external;

    /// @notice Pays out what the sender unstaked for this node and whose time has come.
    /// @dev Clears away what a slash has left nothing of, even before its time.
    function withdraw(bytes32 nodeId) external;

    /// @notice Delegates `amount` to a node. Anyone may.
    /// @dev Taking in: stops while paused. A delegation is to the node, whoever owns it: when it
    /// changes hands, the delegators stay and answer for the new owner, unless they leave.
    /// @param sharesMin Refuses when the shares, rounded down, come out fewer.
    function delegate(bytes32 nodeId, uint256 amount, uint256 sharesMin)
        external
        returns (uint256 shares);

    /// @notice Gives back shares; what they are worth begins to thaw.
    function undelegate(bytes32 nodeId, uint256 shares) external returns (uint256 amount);

    /// @notice Pays out what the sender undelegated from this node and whose time has come.
    /// @dev Clears away what a slash has left nothing of, even before its time.
    function withdrawDelegation(bytes32 nodeId) external;

    /// @notice Activates a node whose matured stake reaches the minimum. Anyone may call.
    /// @dev From now on the present owner is the one who answers for the node.
    function activate(bytes32 nodeId) external;

    /// @notice Pays `amount` to the delegators of a node, in proportion to their shares. Anyone may.
    /// @return taken `amount`, or 0 when there are no shares of any worth: then nothing is pulled.
    function addDelegationReward(bytes32 nodeId, uint256 amount) external returns (uint256 taken);

    /// @notice Pays the sender what it earned by reporting faults.
    function withdrawReporterReward() external;

    /// @notice Sends what was slashed to the treasury, or burns it. Anyone may call.
    function sendSlashedTokens() external;

    /// @notice Slashes up to `amount` of what stands behind a node: the stake of the owner who answers
    /// for it, then that of the delegators. SLASHER_ROLE only.
    /// @dev Never reverts for lack of stake or for a node that is not there: takes what there is.
    /// The owner who answers is the one with whom the node was last activated, so that handing the
    /// node on does not shed what is thawing; before that, the present one.
    /// @param reporter Who is credited a part of what the owner loses; zero for nobody. Delegators'
    /// losses earn nobody anything, or an owner could report itself at their cost.
    /// @param reporterBps The part, in hundredths of a per cent; capped by the rules.
    /// @param reason What the slash is for, as the slasher has it.
    function slash(
        bytes32 nodeId,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    ) external returns (uint256 slashed, uint256 reporterReward);

    /// @notice Slashes up to `amount` of one owner's stake for a node; the delegators' only if that
    /// owner is the one who answers for the node now. SLASHER_ROLE only.
    /// @dev For faults of the time before a node changed hands. See `slash` for the rest.
    function slashOwner(
        bytes32 nodeId,
        address owner,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    ) external returns (uint256 slashed, uint256 reporterReward);

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    /// @dev Binds what happens later: clocks that run keep their end, active nodes stay active
    /// until they unstake or are slashed.
    function setParameters(Parameters calldata parameters) external;

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);

    /// @notice What the present owner of the node has staked for it.
    function getStake(bytes32 nodeId) external view returns (StakeInfo memory);

    /// @notice What an owner, present or former, has staked for a node.
    function getStakeOf(bytes32 nodeId, address owner) external view returns (StakeInfo memory);

    /// @notice What an owner unstaked and has not withdrawn; at most 32.
    function getUnstakings(bytes32 nodeId, address owner) external view returns (ThawInfo[] memory);

    /// @notice All delegations to a node.
    function getPool(bytes32 nodeId) external view returns (PoolInfo memory);

    /// @notice One delegator's part of the delegations to a node.
    function getDelegation(bytes32 nodeId, address delegator)
        external
        view
        returns (DelegationInfo memory);

    /// @notice What a delegator undelegated and has not withdrawn; at most 32.
    function getUndelegations(bytes32 nodeId, address delegator)
        external
        view
        returns (ThawInfo[] memory);

    /// @notice The owner whose stake `slash` takes: the one with whom the node was last activated.
    function accountableOwner(bytes32 nodeId) external view returns (address);

    /// @notice The most that `slash` could take now.
    function slashableStake(bytes32 nodeId) external view returns (uint256);

    /// @notice What a reporter can withdraw.
    function reporterRewardOf(address reporter) external view returns (uint256);

    /// @notice What was slashed and waits for `sendSlashedTokens`.
    function slashedTokens() external view returns (uint256);

    /// @notice All tokens that this contract keeps for somebody.
    function heldTokens() external view returns (uint256);
}

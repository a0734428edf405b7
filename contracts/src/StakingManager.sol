// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Governed} from "./base/Governed.sol";
import {RewardRoots} from "./base/RewardRoots.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IStakingManager} from "./interfaces/IStakingManager.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {Roles} from "./libraries/Roles.sol";
import {SharePools} from "./libraries/SharePools.sol";
import {Thaws} from "./libraries/Thaws.sol";

/// @title StakingManager
/// @notice See {IStakingManager}.
/// @dev The accounting.
///
/// Where tokens are. Each unit of `heldTokens` is in exactly one of these places, and only `_take`
/// and `_give` move tokens across the contract's border:
///  - an owner's stake for a node, `matured + maturing`;
///  - an owner's thawing stake for a node, a `SharePools` of its own with that one holder;
///  - a node's delegations, a `SharePools` with the delegators' shares;
///  - a node's thawing delegations, a `SharePools` with the shares of the delegators' thaws;
///  - rewards that are funded and not claimed (see {RewardRoots});
///  - reporters' credits, and slashed tokens that wait to be sent.
///
/// What can be slashed, when. All of a node's delegations and all stake of its accountable owner,
/// from the moment it comes in until the moment it is withdrawn: the end of a thaw makes stake
/// withdrawable and not yet safe. Rewards, credits and slashed tokens are nobody's stake. `slash`
/// takes first from the owner, in proportion from matured, maturing and thawing stake; what that does
/// not cover it takes from the delegators, in proportion from the pool and from what thaws. So a
/// delegator in thaw loses the same fraction as one who stays, earns nothing meanwhile, and gains
/// nothing by undelegating when it sees a slash coming.
///
/// What cannot fail. `slash` clamps the amount to what there is, has no loop and moves no token: the
/// reporter's part is a credit, the rest waits for `sendSlashedTokens`, so neither a reporter, the
/// treasury, nor the number of delegators can stop it. `unstake`, `withdraw`, `undelegate`,
/// `withdrawDelegation`, `claimRewards`, `withdrawReporterReward` and `sendSlashedTokens` heed no
/// pause, visit at most 32 thaws of the one who calls, and depend on no other account. After a pool
/// was slashed to nothing its shares are still given back, for nothing; its thaws are still cleared.
///
/// Whose node it is. Stake is kept per node and owner: when hardware changes hands, the former
/// owner's stake stays its own and does not count for the new one. The accountable owner changes when
/// the node is activated with another one. Until then `slash` still reaches the former owner's; after
/// that, a slasher that knows who was at fault reaches it by `slashOwner`.
///
/// First shares. The price of a share can be raised by `addDelegationReward`, which anyone may call.
/// It costs a later delegator less than one share, by rounding. Since each delegator has no shares or
/// at least `DELEGATION_SHARES_MIN`, a share is at most that part of what is in the pool: to make
/// others lose one token by it, one has to give a million million tokens to the delegators.
contract StakingManager is IStakingManager, RewardRoots {
    using ExactTransfer for IERC20;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;
    using SharePools for SharePools.Pools;
    using Thaws for Thaws.Thaw[];

    uint256 private constant MIN_TOTAL_STAKE_MIN = 1;
    uint256 private constant MIN_TOTAL_STAKE_MAX = 1e27;
    uint256 private constant MIN_STAKE_DURATION_S_MIN = 1;
    uint256 private constant MIN_STAKE_DURATION_S_MAX = 30 days;
    uint256 private constant UNBONDING_PERIOD_S_MIN = 1;
    uint256 private constant UNBONDING_PERIOD_S_MAX = 90 days;
    uint256 private constant REPORTER_BPS_MAX_MAX = 5000;
    uint256 private constant REWARD_INTERVAL_S_MIN = 1;
    uint256 private constant REWARD_INTERVAL_S_MAX = 30 days;
    uint256 private constant REWARD_GROWTH_MAX_MAX = 1e27;
    uint256 private constant BPS = 10_000;

    /// @dev Time alone does not part two transactions: a block's timestamp can jump.
    uint64 private constant MATURING_BLOCKS = 2;

    /// @dev A millionth of a token at the first price. See "First shares" above.
    uint256 private constant DELEGATION_SHARES_MIN = 1e12;

    /// @dev Nobody has the key of this address. The token may have no `burn`, and refuses zero.
    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;

    /// @dev `maturing` becomes matured from `maturesAt` (Unix time in seconds) and `maturesAtBlock`.
    struct Account {
        uint128 matured;
        uint128 maturing;
        uint64 maturesAt;
        uint64 maturesAtBlock;
        SharePools.Pools thawing;
        Thaws.Thaw[] thaws;
    }

    /// @dev `shares` are of the pool's `generation`.
    struct Delegation {
        uint128 shares;
        uint64 generation;
        Thaws.Thaw[] thaws;
    }

    struct Delegations {
        SharePools.Pools pool;
        SharePools.Pools thawing;
        mapping(address delegator => Delegation) byDelegator;
    }

    /// @dev What `slash` and `slashOwner` were asked for.
    struct SlashOrder {
        bytes32 nodeId;
        address owner;
        uint256 amount;
        address reporter;
        uint16 reporterBps;
        bytes32 reason;
    }

    /// @dev The parameters come last, so that a later version can add some.
    /// @custom:storage-location erc7201:aleph.storage.StakingManager
    struct StakingManagerStorage {
        IERC20 token;
        uint96 heldTokens;
        INodeRegistry registry;
        mapping(bytes32 nodeId => mapping(address owner => Account)) accounts;
        mapping(bytes32 nodeId => Delegations) delegations;
        mapping(bytes32 nodeId => address) activatedBy;
        mapping(address reporter => uint256) reporterRewards;
        uint256 slashedTokens;
        Parameters parameters;
    }

    bytes32 private constant STORAGE_SLOT =
        0x33fd57076c424af9bfa21284d6da1ce460bf46ab3bf1d43478160a5bb30fd500;

    function initialize(
        address admin,
        IERC20 token_,
        INodeRegistry registry_,
        Parameters calldata parameters
    ) external initializer {
        require(address(token_) != address(0) && address(registry_) != address(0), ZeroAddress());
        __Governed_init(admin);

        StakingManagerStorage storage $ = _storage();
        $.token = token_;
        $.registry = registry_;
        _setParameters(parameters);
    }

    // Owners.

    /// @inheritdoc IStakingManager
    function stake(bytes32 nodeId, uint256 amount) external whenNotPaused nonReentrant {
        StakingManagerStorage storage $ = _storage();
        INodeRegistry.Node memory node = $.registry.getNode(nodeId);
        require(
            node.owner == msg.sender && node.status != INodeRegistry.NodeStatus.Deregistered,
            NotNodeOwner(nodeId, msg.sender)
        );

        Account storage account = $.accounts[nodeId][msg.sender];
        _settle(account);
        account.maturing += amount.toUint128();
        account.maturesAt = uint64(block.timestamp) + $.parameters.minStakeDuration;
        account.maturesAtBlock = uint64(block.number) + MATURING_BLOCKS;

        emit Staked(nodeId, msg.sender, amount, account.maturesAt);
        _take(msg.sender, amount);
    }

    /// @inheritdoc IStakingManager
    function unstake(bytes32 nodeId, uint256 amount) external nonReentrant {
        require(amount != 0, ZeroAmount());
        StakingManagerStorage storage $ = _storage();
        Account storage account = $.accounts[nodeId][msg.sender];
        _settle(account);
        uint256 staked = account.matured + account.maturing;
        require(amount <= staked, NotEnoughStake(staked, amount));

        uint128 fromMaturing = Math.min(amount, account.maturing).toUint128();
        account.maturing -= fromMaturing;
        account.matured -= amount.toUint128() - fromMaturing;
        uint64 withdrawableAt = _beginThaw(account.thaws, account.thawing, amount);

        emit Unstaked(nodeId, msg.sender, amount, withdrawableAt);
        _deactivateBelowMinimum(nodeId, msg.sender, account.matured);
    }

    /// @inheritdoc IStakingManager
    function withdraw(bytes32 nodeId) external nonReentrant {
        Account storage account = _storage().accounts[nodeId][msg.sender];
        (uint256 amount, uint256 count) = account.thaws.end(account.thawing);
        require(count != 0, NothingToWithdraw());

        emit Withdrawn(nodeId, msg.sender, amount);
        _give(msg.sender, amount);
    }

    // Delegators.

    /// @inheritdoc IStakingManager
    function delegate(bytes32 nodeId, uint256 amount, uint256 sharesMin)
        external
        whenNotPaused
        nonReentrant
        returns (uint256 shares)
    {
        StakingManagerStorage storage $ = _storage();
        INodeRegistry.NodeStatus status = $.registry.getNode(nodeId).status;
        require(
            status != INodeRegistry.NodeStatus.None
                && status != INodeRegistry.NodeStatus.Deregistered,
            NodeNotRegistered(nodeId)
        );

        Delegations storage delegations = $.delegations[nodeId];
        Delegation storage delegation = delegations.byDelegator[msg.sender];
        _joinPresentGeneration(delegations.pool, delegation);
        shares = delegations.pool.add(amount);
        require(shares >= sharesMin, TooFewShares(shares, sharesMin));
        delegation.shares += shares.toUint128();
        require(
            shares != 0 && delegation.shares >= DELEGATION_SHARES_MIN,
            DelegationTooSmall(delegation.shares, DELEGATION_SHARES_MIN)
        );

        emit Delegated(nodeId, msg.sender, amount, shares);
        _take(msg.sender, amount);
    }

    /// @inheritdoc IStakingManager
    function undelegate(bytes32 nodeId, uint256 shares)
        external
        nonReentrant
        returns (uint256 amount)
    {
        require(shares != 0, ZeroAmount());
        Delegations storage delegations = _storage().delegations[nodeId];
        Delegation storage delegation = delegations.byDelegator[msg.sender];
        require(shares <= delegation.shares, NotEnoughShares(delegation.shares, shares));
        uint256 left = delegation.shares - shares;
        require(
            left == 0 || left >= DELEGATION_SHARES_MIN,
            DelegationTooSmall(left, DELEGATION_SHARES_MIN)
        );

        delegation.shares = left.toUint128();
        amount = delegations.pool.redeem(delegation.generation, shares);
        uint64 withdrawableAt;
        if (amount != 0) {
            withdrawableAt = _beginThaw(delegation.thaws, delegations.thawing, amount);
        }

        emit Undelegated(nodeId, msg.sender, amount, shares, withdrawableAt);
    }

    /// @inheritdoc IStakingManager
    function withdrawDelegation(bytes32 nodeId) external nonReentrant {
        Delegations storage delegations = _storage().delegations[nodeId];
        Thaws.Thaw[] storage thaws = delegations.byDelegator[msg.sender].thaws;
        (uint256 amount, uint256 count) = thaws.end(delegations.thawing);
        require(count != 0, NothingToWithdraw());

        emit DelegationWithdrawn(nodeId, msg.sender, amount);
        _give(msg.sender, amount);
    }

    // Anyone.

    /// @inheritdoc IStakingManager
    function activate(bytes32 nodeId) external nonReentrant {
        StakingManagerStorage storage $ = _storage();
        address owner = $.registry.getNode(nodeId).owner;
        Account storage account = $.accounts[nodeId][owner];
        _settle(account);
        uint256 required = $.parameters.minTotalStake;
        require(account.matured >= required, NotEnoughMaturedStake(account.matured, required));

        $.activatedBy[nodeId] = owner;
        $.registry.activateNode(nodeId);
    }

    /// @inheritdoc IStakingManager
    function addDelegationReward(bytes32 nodeId, uint256 amount)
        external
        nonReentrant
        returns (uint256 taken)
    {
        SharePools.Pool storage pool = _storage().delegations[nodeId].pool.present();
        if (amount == 0 || pool.tokens == 0) return 0;
        pool.tokens += amount.toUint128();

        emit DelegationRewarded(nodeId, msg.sender, amount);
        _take(msg.sender, amount);
        return amount;
    }

    /// @inheritdoc IStakingManager
    function withdrawReporterReward() external nonReentrant {
        StakingManagerStorage storage $ = _storage();
        uint256 amount = $.reporterRewards[msg.sender];
        require(amount != 0, NothingToWithdraw());
        delete $.reporterRewards[msg.sender];

        emit ReporterRewardWithdrawn(msg.sender, amount);
        _give(msg.sender, amount);
    }

    /// @inheritdoc IStakingManager
    function sendSlashedTokens() external nonReentrant {
        StakingManagerStorage storage $ = _storage();
        uint256 amount = $.slashedTokens;
        require(amount != 0, NothingToWithdraw());
        $.slashedTokens = 0;
        address to = $.parameters.treasury;
        if (to == address(0)) to = BURNED;

        emit SlashedTokensSent(to, amount);
        _give(to, amount);
    }

    // Slashers.

    /// @inheritdoc IStakingManager
    function slash(
        bytes32 nodeId,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    )
        external
        onlyRole(Roles.SLASHER)
        nonReentrant
        returns (uint256 slashed, uint256 reporterReward)
    {
        address owner = accountableOwner(nodeId);
        return _slash(SlashOrder(nodeId, owner, amount, reporter, reporterBps, reason));
    }

    /// @inheritdoc IStakingManager
    function slashOwner(
        bytes32 nodeId,
        address owner,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    )
        external
        onlyRole(Roles.SLASHER)
        nonReentrant
        returns (uint256 slashed, uint256 reporterReward)
    {
        return _slash(SlashOrder(nodeId, owner, amount, reporter, reporterBps, reason));
    }

    // Governance.

    /// @inheritdoc IStakingManager
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc IStakingManager
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    /// @inheritdoc IStakingManager
    function getStake(bytes32 nodeId) external view returns (StakeInfo memory) {
        return getStakeOf(nodeId, _storage().registry.getNode(nodeId).owner);
    }

    /// @inheritdoc IStakingManager
    function getUnstakings(bytes32 nodeId, address owner)
        external
        view
        returns (ThawInfo[] memory)
    {
        Account storage account = _storage().accounts[nodeId][owner];
        return _thawInfos(account.thaws, account.thawing);
    }

    /// @inheritdoc IStakingManager
    function getPool(bytes32 nodeId) external view returns (PoolInfo memory) {
        Delegations storage delegations = _storage().delegations[nodeId];
        SharePools.Pool storage pool = delegations.pool.present();
        return PoolInfo({
            generation: delegations.pool.generation,
            tokens: pool.tokens,
            shares: pool.shares,
            thawing: delegations.thawing.present().tokens
        });
    }

    /// @inheritdoc IStakingManager
    function getDelegation(bytes32 nodeId, address delegator)
        external
        view
        returns (DelegationInfo memory info)
    {
        Delegations storage delegations = _storage().delegations[nodeId];
        Delegation storage delegation = delegations.byDelegator[delegator];
        info.shares = delegation.shares;
        info.value = delegations.pool.worth(delegation.generation, delegation.shares);
        info.thawing = _sum(_thawInfos(delegation.thaws, delegations.thawing));
    }

    /// @inheritdoc IStakingManager
    function getUndelegations(bytes32 nodeId, address delegator)
        external
        view
        returns (ThawInfo[] memory)
    {
        Delegations storage delegations = _storage().delegations[nodeId];
        return _thawInfos(delegations.byDelegator[delegator].thaws, delegations.thawing);
    }

    /// @inheritdoc IStakingManager
    function slashableStake(bytes32 nodeId) external view returns (uint256) {
        StakingManagerStorage storage $ = _storage();
        Account storage account = $.accounts[nodeId][accountableOwner(nodeId)];
        Delegations storage delegations = $.delegations[nodeId];
        return account.matured + account.maturing + account.thawing.present().tokens
            + delegations.pool.present().tokens + delegations.thawing.present().tokens;
    }

    /// @inheritdoc IStakingManager
    function reporterRewardOf(address reporter) external view returns (uint256) {
        return _storage().reporterRewards[reporter];
    }

    /// @inheritdoc IStakingManager
    function slashedTokens() external view returns (uint256) {
        return _storage().slashedTokens;
    }

    /// @inheritdoc IStakingManager
    function heldTokens() external view returns (uint256) {
        return _storage().heldTokens;
    }

    /// @inheritdoc IStakingManager
    function getStakeOf(bytes32 nodeId, address owner) public view returns (StakeInfo memory info) {
        Account storage account = _storage().accounts[nodeId][owner];
        info.total = account.matured + account.maturing;
        if (_isMature(account)) {
            info.matured = info.total;
        } else {
            info.matured = account.matured;
            info.maturesAt = account.maturesAt;
        }
        info.unbonding = _sum(_thawInfos(account.thaws, account.thawing));
    }

    /// @inheritdoc IStakingManager
    function accountableOwner(bytes32 nodeId) public view returns (address owner) {
        StakingManagerStorage storage $ = _storage();
        owner = $.activatedBy[nodeId];
        if (owner == address(0)) owner = $.registry.getNode(nodeId).owner;
    }

    // Inside.

    /// @dev Counts maturing stake as matured once its time has come.
    function _settle(Account storage account) private {
        if (account.maturing != 0 && _isMature(account)) {
            account.matured += account.maturing;
            account.maturing = 0;
        }
    }

    /// @dev True too when nothing matures.
    function _isMature(Account storage account) private view returns (bool) {
        return account.maturing == 0
            || (block.timestamp >= account.maturesAt && block.number >= account.maturesAtBlock);
    }

    /// @dev Makes the delegator's shares shares of the generation that takes tokens. Shares of a
    /// former one that are worth nothing are given back on the way.
    function _joinPresentGeneration(SharePools.Pools storage pool, Delegation storage delegation)
        private
    {
        uint64 generation = pool.open();
        if (delegation.generation == generation) return;
        if (delegation.shares != 0) {
            uint256 tokens = pool.redeem(delegation.generation, delegation.shares);
            require(tokens == 0, FormerGeneration(delegation.generation));
            delegation.shares = 0;
        }
        delegation.generation = generation;
    }

    function _beginThaw(
        Thaws.Thaw[] storage thaws,
        SharePools.Pools storage thawing,
        uint256 amount
    ) private returns (uint64 withdrawableAt) {
        require(thaws.length < Thaws.THAWS_MAX, TooManyUnstakings(Thaws.THAWS_MAX));
        withdrawableAt = uint64(block.timestamp) + _storage().parameters.unbondingPeriod;
        thaws.begin(thawing, amount, withdrawableAt);
    }

    function _slash(SlashOrder memory order)
        private
        returns (uint256 slashed, uint256 reporterReward)
    {
        StakingManagerStorage storage $ = _storage();
        Account storage account = $.accounts[order.nodeId][order.owner];
        uint256 fromOwner = _slashOwner(account, order.amount);
        uint256 fromDelegators;
        if (order.owner == accountableOwner(order.nodeId)) {
            fromDelegators = _slashDelegators($.delegations[order.nodeId], order.amount - fromOwner);
        }
        slashed = fromOwner + fromDelegators;
        if (order.reporter != address(0)) {
            uint256 bps = Math.min(order.reporterBps, $.parameters.reporterBpsMax);
            reporterReward = fromOwner * bps / BPS;
            $.reporterRewards[order.reporter] += reporterReward;
        }
        $.slashedTokens += slashed - reporterReward;

        emit Slashed(
            order.nodeId,
            order.owner,
            order.reason,
            fromOwner,
            fromDelegators,
            order.reporter,
            reporterReward
        );
        _deactivateBelowMinimum(order.nodeId, order.owner, account.matured);
    }

    /// @dev Takes up to `amount` from all that the owner has, each part in proportion.
    function _slashOwner(Account storage account, uint256 amount) private returns (uint256) {
        _settle(account);
        SharePools.Pool storage thawing = account.thawing.present();
        uint256 staked = account.matured + account.maturing;
        amount = Math.min(amount, staked + thawing.tokens);
        (uint128 fromStaked, uint128 fromThawing) = SharePools.split(amount, staked, thawing.tokens);
        (uint128 fromMatured, uint128 fromMaturing) =
            SharePools.split(fromStaked, account.matured, account.maturing);

        account.matured -= fromMatured;
        account.maturing -= fromMaturing;
        thawing.tokens -= fromThawing;
        return amount;
    }

    /// @dev Takes up to `amount` from all delegations, in proportion from those that thaw.
    function _slashDelegators(Delegations storage delegations, uint256 amount)
        private
        returns (uint256)
    {
        SharePools.Pool storage pool = delegations.pool.present();
        SharePools.Pool storage thawing = delegations.thawing.present();
        amount = Math.min(amount, pool.tokens + thawing.tokens);
        (uint128 fromPool, uint128 fromThawing) =
            SharePools.split(amount, pool.tokens, thawing.tokens);

        pool.tokens -= fromPool;
        thawing.tokens -= fromThawing;
        return amount;
    }

    /// @dev A former owner's stake keeps no node active, and takes none down.
    function _deactivateBelowMinimum(bytes32 nodeId, address owner, uint256 matured) private {
        StakingManagerStorage storage $ = _storage();
        if (
            matured < $.parameters.minTotalStake && $.registry.isNodeActive(nodeId)
                && $.registry.getNode(nodeId).owner == owner
        ) {
            $.registry.deactivateNode(nodeId);
        }
    }

    /// @dev The last effect of what takes tokens in. A token whose balances shrink by themselves
    /// leaves less here than is owed; newcomers must not pay for that. No amount inside exceeds
    /// the 96 bits of all, so no arithmetic on the way out can overflow.
    function _take(address from, uint256 amount) internal override {
        require(amount != 0, ZeroAmount());
        StakingManagerStorage storage $ = _storage();
        uint256 held = $.heldTokens;
        uint256 balance = $.token.balanceOf(address(this));
        require(balance >= held, TokensMissing(held, balance));
        $.heldTokens = (held + amount).toUint96();
        $.token.pull(from, amount);
    }

    /// @dev The last effect of what pays out. Some tokens refuse to move nothing.
    function _give(address to, uint256 amount) internal override {
        if (amount == 0) return;
        StakingManagerStorage storage $ = _storage();
        $.heldTokens -= amount.toUint96();
        $.token.safeTransfer(to, amount);
    }

    function _rewardLimits() internal view override returns (uint256 growthMax, uint64 interval) {
        Parameters storage parameters = _storage().parameters;
        return (parameters.rewardGrowthMax, parameters.rewardInterval);
    }

    function _thawInfos(Thaws.Thaw[] storage thaws, SharePools.Pools storage thawing)
        private
        view
        returns (ThawInfo[] memory infos)
    {
        infos = new ThawInfo[](thaws.length);
        for (uint256 i = 0; i < infos.length; ++i) {
            Thaws.Thaw storage thaw = thaws[i];
            infos[i] = ThawInfo(thawing.worth(thaw.generation, thaw.shares), thaw.endsAt);
        }
    }

    function _sum(ThawInfo[] memory infos) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < infos.length; ++i) {
            sum += infos[i].amount;
        }
    }

    function _setParameters(Parameters calldata parameters) private {
        Bounds.check(
            "minTotalStake", parameters.minTotalStake, MIN_TOTAL_STAKE_MIN, MIN_TOTAL_STAKE_MAX
        );
        Bounds.check(
            "minStakeDuration",
            parameters.minStakeDuration,
            MIN_STAKE_DURATION_S_MIN,
            MIN_STAKE_DURATION_S_MAX
        );
        Bounds.check(
            "unbondingPeriod",
            parameters.unbondingPeriod,
            UNBONDING_PERIOD_S_MIN,
            UNBONDING_PERIOD_S_MAX
        );
        Bounds.check("reporterBpsMax", parameters.reporterBpsMax, 0, REPORTER_BPS_MAX_MAX);
        Bounds.check(
            "rewardInterval",
            parameters.rewardInterval,
            REWARD_INTERVAL_S_MIN,
            REWARD_INTERVAL_S_MAX
        );
        Bounds.check("rewardGrowthMax", parameters.rewardGrowthMax, 0, REWARD_GROWTH_MAX_MAX);
        require(parameters.treasury != address(this), InvalidTreasury());
        _storage().parameters = parameters;

        emit ParametersSet(parameters);
    }

    function _storage() internal pure returns (StakingManagerStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Governed} from "./base/Governed.sol";
import {IDelegationRewards} from "./interfaces/IDelegationRewards.sol";
import {IJobManager} from "./interfaces/IJobManager.sol";
import {IPaymentManager} from "./interfaces/IPaymentManager.sol";
import {ISwapRouter, IUniswapV3Factory, IUniswapV3Pool} from "./interfaces/IUniswapV3.sol";
import {BoundedCall} from "./libraries/BoundedCall.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {Roles} from "./libraries/Roles.sol";
import {Settlement} from "./libraries/Settlement.sol";

/// @title PaymentManager
/// @notice See {IPaymentManager}.
contract PaymentManager is IPaymentManager, Governed, ReentrancyGuardTransient {
    using ExactTransfer for IERC20;
    using SafeERC20 for IERC20;

    uint256 private constant SETTLE_JOBS_MAX = 64;

    /// @dev What one payment may burn; four times what a swap and all shares take.
    uint256 private constant SLICE_GAS = 2_000_000;
    uint256 private constant REASON_BYTES_MAX = 256;

    /// @dev A pool rounds its fee up to whole units. No less than this is swapped as long as more
    /// will come, or who settles often could grind a token with few decimals into fees.
    uint256 private constant SWAP_UNITS_MIN = 100;

    /// @dev How far ahead credits reach: one that is given after its cause was settled still counts.
    uint64 private constant CREDIT_AHEAD_S = 30 days;

    uint256 private constant TREASURY_BPS_MAX = 2000;
    uint256 private constant REWARD_SHARE_BPS_MAX = 5000;
    uint256 private constant SALE_FEE_BPS_MAX = 2000;
    uint256 private constant SLIPPAGE_BPS_MIN = 1;
    uint256 private constant SLIPPAGE_BPS_MAX = 1000;
    uint256 private constant TWAP_PERIOD_S_MIN = 60;
    uint256 private constant TWAP_PERIOD_S_MAX = 4 hours;
    uint256 private constant GRACE_PERIOD_S_MIN = 1;
    uint256 private constant GRACE_PERIOD_S_MAX = 30 days;

    /// @dev What a party named, and the account's version that it meant.
    struct Offer {
        uint256 amount;
        uint32 version;
        bool made;
    }

    /// @custom:storage-location erc7201:aleph.storage.PaymentManager
    struct PaymentManagerStorage {
        Wiring wiring;
        Parameters parameters;
        mapping(address token => TokenInfo) tokens;
        mapping(uint256 jobId => Account) accounts;
        mapping(uint256 jobId => mapping(address party => Offer)) offers;
        mapping(address token => mapping(address account => uint256)) balances;
        mapping(address token => uint256) totals;
    }

    bytes32 private constant STORAGE_SLOT =
        0x44db9aecae269c20c1a481bd262fce86162c28f2398d1ff1c3880d1e01aab100;

    function initialize(address admin, Wiring calldata wiring, Parameters calldata parameters)
        external
        initializer
    {
        require(
            wiring.aleph != address(0) && wiring.jobs != address(0)
                && wiring.delegations != address(0),
            ZeroAddress()
        );
        __Governed_init(admin);

        PaymentManagerStorage storage $ = _storage();
        $.wiring = wiring;
        $.tokens[wiring.aleph].allowed = true;
        emit TokenAllowed(wiring.aleph);
        _setParameters(parameters);
    }

    // Anyone.

    /// @inheritdoc IPaymentManager
    function settleJob(uint256 jobId) external nonReentrant returns (SettleResult) {
        return _settle(jobId, type(uint64).max);
    }

    /// @inheritdoc IPaymentManager
    function settleJobUpTo(uint256 jobId, uint64 jobSeconds)
        external
        nonReentrant
        returns (SettleResult)
    {
        return _settle(jobId, jobSeconds);
    }

    /// @inheritdoc IPaymentManager
    function settleJobs(uint256[] calldata jobIds)
        external
        nonReentrant
        returns (SettleResult[] memory results)
    {
        require(jobIds.length <= SETTLE_JOBS_MAX, TooManyJobs(jobIds.length, SETTLE_JOBS_MAX));
        results = new SettleResult[](jobIds.length);
        for (uint256 i = 0; i < jobIds.length; ++i) {
            results[i] = _settle(jobIds[i], type(uint64).max);
        }
    }

    // Customers, owners, sellers, treasury.

    /// @inheritdoc IPaymentManager
    function agreeFinal(uint256 jobId, uint256 amount) external nonReentrant {
        PaymentManagerStorage storage $ = _storage();
        IJobManager.Billing memory billing = _jobs().getBilling(jobId);
        Account storage account = $.accounts[jobId];
        (bool found, IJobManager.Segment memory segment, uint64 end) =
            _nextSegment(jobId, account, billing.segments);
        require(found && segment.closed, NothingToAgree(jobId));
        bool byCustomer = msg.sender == billing.customer;
        require(byCustomer || msg.sender == segment.owner, NotParty(jobId, msg.sender));
        Slice memory slice = _slice(jobId, account, billing, segment, end);
        require(amount <= slice.amount, AmountAboveDue(amount, slice.amount));

        uint32 version = account.version;
        $.offers[jobId][msg.sender] = Offer(amount, version, true);
        emit FinalAmountOffered(jobId, msg.sender, amount);

        Offer storage other = $.offers[jobId][byCustomer ? segment.owner : billing.customer];
        if (!other.made || other.version != version || other.amount != amount) return;
        uint256 forgiven = slice.amount - amount;
        slice.amount = amount;
        emit JobFinallySettled(jobId, account.segment, amount, forgiven);
        _pay(slice);
    }

    /// @inheritdoc IPaymentManager
    function withdraw(address token) external nonReentrant returns (uint256 amount) {
        amount = _storage().balances[token][msg.sender];
        require(amount != 0, NothingToWithdraw(token, msg.sender));

        _unbook(token, msg.sender, amount);
        emit Withdrawn(token, msg.sender, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    // SLAManager.

    /// @inheritdoc IPaymentManager
    function credit(uint256 jobId, uint256 amount)
        external
        onlyRole(Roles.SLA_MANAGER)
        nonReentrant
        returns (uint256 credited)
    {
        IJobManager.Billing memory billing = _jobs().getBilling(jobId);
        Account storage account = _storage().accounts[jobId];
        uint256 creditable = _unsettled(jobId, account, billing);
        if (_goesOn(billing.status)) {
            creditable += Settlement.owed(billing.pricePerHour, CREDIT_AHEAD_S);
        }
        credited = Math.min(amount, Math.saturatingSub(creditable, account.credit));
        if (credited == 0) return 0;

        account.credit += credited;
        ++account.version;
        emit JobCredited(jobId, credited);
    }

    // ImageMarketplace.

    /// @inheritdoc IPaymentManager
    function collectSale(address token, address buyer, address seller, uint256 amount)
        external
        onlyRole(Roles.MARKETPLACE)
        whenNotPaused
        nonReentrant
    {
        require(seller != address(0), ZeroAddress());
        require(amount != 0, ZeroAmount());
        require(isAllowedToken(token), TokenNotAllowed(token));
        Parameters storage parameters = _storage().parameters;
        uint256 fee = Settlement.split(amount, parameters.saleFeeBps, 0).treasury;

        _book(token, parameters.treasury, fee);
        _book(token, seller, amount - fee);
        emit SaleCollected(token, buyer, seller, amount, fee);
        IERC20(token).pull(buyer, amount);
        uint256 balance = IERC20(token).balanceOf(address(this));
        uint256 owed = _storage().totals[token];
        require(balance >= owed, TokenBalanceShort(token, balance, owed));
    }

    /// @inheritdoc IPaymentManager
    function refundSale(address token, address buyer, address seller, uint256 amount)
        external
        onlyRole(Roles.MARKETPLACE)
        nonReentrant
        returns (uint256 refunded)
    {
        refunded = Math.min(amount, _storage().balances[token][seller]);
        if (refunded == 0) return 0;

        _unbook(token, seller, refunded);
        _book(token, buyer, refunded);
        emit SaleRefunded(token, buyer, seller, refunded);
    }

    // This contract itself.

    /// @inheritdoc IPaymentManager
    function paySlice(Slice calldata slice) external {
        require(msg.sender == address(this), NotSelf(msg.sender));
        _pay(slice);
    }

    // Governance.

    /// @inheritdoc IPaymentManager
    function addAllowedToken(address token) external onlyRole(Roles.PARAMETER) {
        PaymentManagerStorage storage $ = _storage();
        TokenInfo storage info = $.tokens[token];
        require(token == $.wiring.aleph || info.pool != address(0), PoolNotSet(token));

        info.allowed = true;
        emit TokenAllowed(token);
    }

    /// @inheritdoc IPaymentManager
    function removeAllowedToken(address token) external onlyRole(Roles.PARAMETER) {
        _storage().tokens[token].allowed = false;
        emit TokenRemoved(token);
    }

    /// @inheritdoc IPaymentManager
    function setPool(address token, address pool) external onlyRole(Roles.PARAMETER) {
        PaymentManagerStorage storage $ = _storage();
        TokenInfo storage info = $.tokens[token];
        uint24 fee = 0;
        if (pool != address(0)) {
            fee = IUniswapV3Pool(pool).fee();
            _checkPool($, token, pool, fee);
        }

        (info.pool, info.fee) = (pool, fee);
        emit PoolSet(token, pool, fee);
    }

    /// @inheritdoc IPaymentManager
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc IPaymentManager
    function isAllowedToken(address token) public view returns (bool) {
        PaymentManagerStorage storage $ = _storage();
        TokenInfo storage info = $.tokens[token];
        return info.allowed && (token == $.wiring.aleph || info.pool != address(0));
    }

    /// @inheritdoc IPaymentManager
    function getToken(address token) external view returns (TokenInfo memory) {
        return _storage().tokens[token];
    }

    /// @inheritdoc IPaymentManager
    function minimumOutput(address token, uint256 amount) public view returns (uint256) {
        PaymentManagerStorage storage $ = _storage();
        TokenInfo storage info = $.tokens[token];
        require(info.pool != address(0), PoolNotSet(token));
        int24 tick = _meanTick(info.pool, $.parameters.twapPeriod);
        // A pool's price is that of its token 0, the one with the lower address.
        return Settlement.minimumOutput(
            amount, token < $.wiring.aleph ? tick : -tick, info.fee, $.parameters.maxSlippageBps
        );
    }

    /// @inheritdoc IPaymentManager
    function getAccount(uint256 jobId) external view returns (Account memory) {
        return _storage().accounts[jobId];
    }

    /// @inheritdoc IPaymentManager
    function dueOf(uint256 jobId) external view returns (uint256) {
        Account storage account = _storage().accounts[jobId];
        return
            Math.saturatingSub(
                _unsettled(jobId, account, _jobs().getBilling(jobId)), account.credit
            );
    }

    /// @inheritdoc IPaymentManager
    function withdrawable(address token, address account) external view returns (uint256) {
        return _storage().balances[token][account];
    }

    /// @inheritdoc IPaymentManager
    function totalWithdrawable(address token) external view returns (uint256) {
        return _storage().totals[token];
    }

    /// @inheritdoc IPaymentManager
    function getWiring() external view returns (Wiring memory) {
        return _storage().wiring;
    }

    /// @inheritdoc IPaymentManager
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    // Settling.

    /// @dev Pays segment by segment, each on its own, until the target, the end of what is proven,
    /// or a refusal.
    function _settle(uint256 jobId, uint64 target) private returns (SettleResult result) {
        Account storage account = _storage().accounts[jobId];
        IJobManager.Billing memory billing = _jobs().getBilling(jobId);
        bool caughtUp;
        while (true) {
            (bool found, IJobManager.Segment memory segment, uint64 end) =
                _nextSegment(jobId, account, billing.segments);
            caughtUp = !found || account.settledSeconds == end;
            if (caughtUp || target <= account.settledSeconds) break;

            Slice memory slice =
                _slice(jobId, account, billing, segment, target < end ? target : end);
            if (_isTooSmall(slice) && !(segment.closed && slice.untilSeconds == end)) {
                // A rest that cannot be paid yet is no debt.
                caughtUp = slice.untilSeconds == end;
                break;
            }
            (bool paid, bytes memory reason) = BoundedCall.tryCall(
                address(this), abi.encodeCall(this.paySlice, (slice)), SLICE_GAS, REASON_BYTES_MAX
            );
            if (!paid) return _refuse(jobId, account, reason);
            result = SettleResult.Settled;
        }
        if (caughtUp && account.graceUntil != 0) {
            account.graceUntil = 0;
            emit JobGraceEnded(jobId);
        }
    }

    /// @dev A payment failed. A token that was paid before it may have had the job ended.
    function _refuse(uint256 jobId, Account storage account, bytes memory reason)
        private
        returns (SettleResult)
    {
        emit JobPaymentRefused(jobId, reason);
        IJobManager.JobStatus status = _jobs().getBilling(jobId).status;
        if (status != IJobManager.JobStatus.Assigned && status != IJobManager.JobStatus.Running) {
            return SettleResult.Refused;
        }

        if (account.graceUntil == 0) {
            uint64 until = uint64(block.timestamp) + _storage().parameters.gracePeriod;
            account.graceUntil = until;
            emit JobGraceStarted(jobId, until);
            return SettleResult.Refused;
        }
        if (block.timestamp < account.graceUntil) return SettleResult.Refused;

        emit JobStoppedUnpaid(jobId);
        _jobs().stopUnpaidJob(jobId);
        return SettleResult.Stopped;
    }

    /// @dev The first segment that is not settled and closed, and the proven time of the job at its
    /// end. Moves the account past those before it.
    function _nextSegment(uint256 jobId, Account storage account, uint32 segments)
        private
        returns (bool found, IJobManager.Segment memory segment, uint64 end)
    {
        while (account.segment < segments) {
            segment = _jobs().getSegment(jobId, account.segment);
            end = account.segmentStart + segment.accruedSeconds;
            if (!segment.closed || account.settledSeconds < end) return (true, segment, end);
            account.segmentStart = end;
            ++account.segment;
        }
    }

    /// @dev The payment for the time from what is settled until `until`.
    function _slice(
        uint256 jobId,
        Account storage account,
        IJobManager.Billing memory billing,
        IJobManager.Segment memory segment,
        uint64 until
    ) private view returns (Slice memory slice) {
        uint256 due = Settlement.due(billing.pricePerHour, account.settledSeconds, until);
        slice.jobId = jobId;
        slice.customer = billing.customer;
        slice.token = billing.token;
        slice.nodeId = segment.nodeId;
        slice.owner = segment.owner;
        slice.untilSeconds = until;
        slice.credited = Math.min(due, account.credit);
        slice.amount = due - slice.credited;
    }

    /// @dev Whether it is better to wait until more is due.
    function _isTooSmall(Slice memory slice) private view returns (bool) {
        if (slice.amount == 0) return slice.credited == 0;
        return slice.amount < SWAP_UNITS_MIN && slice.token != _storage().wiring.aleph;
    }

    function _pay(Slice memory slice) private {
        Account storage account = _storage().accounts[slice.jobId];
        account.settledSeconds = slice.untilSeconds;
        account.credit -= slice.credited;
        account.paid += slice.amount;
        ++account.version;

        Settlement.Shares memory shares;
        if (slice.amount != 0) {
            uint256 received = _collect(slice.token, slice.customer, slice.amount);
            shares = _share(slice.nodeId, slice.owner, received);
        }
        emit JobSettled(
            slice.jobId,
            slice.nodeId,
            slice.owner,
            slice.untilSeconds,
            slice.amount,
            slice.credited,
            shares
        );
    }

    /// @dev Pulls from the customer and returns what it has become in ALEPH.
    function _collect(address token, address customer, uint256 amount)
        private
        returns (uint256 received)
    {
        PaymentManagerStorage storage $ = _storage();
        IERC20(token).pull(customer, amount);
        address aleph = $.wiring.aleph;
        if (token == aleph) return amount;

        uint256 minimum = minimumOutput(token, amount);
        address router = $.wiring.router;
        uint256 tokenBefore = IERC20(token).balanceOf(address(this));
        uint256 alephBefore = IERC20(aleph).balanceOf(address(this));
        IERC20(token).forceApprove(router, amount);
        // What came out is measured below.
        // slither-disable-next-line unused-return
        ISwapRouter(router)
            .exactInputSingle(
                ISwapRouter.ExactInputSingleParams({
                tokenIn: token,
                tokenOut: aleph,
                fee: $.tokens[token].fee,
                recipient: address(this),
                deadline: block.timestamp,
                amountIn: amount,
                amountOutMinimum: minimum,
                sqrtPriceLimitX96: 0
            })
            );
        uint256 taken = tokenBefore - IERC20(token).balanceOf(address(this));
        require(taken == amount, UnexpectedAmountSwapped(amount, taken));
        received = IERC20(aleph).balanceOf(address(this)) - alephBefore;
        require(received >= minimum, SwapBelowMinimum(received, minimum));
    }

    /// @dev Shares ALEPH out. What the delegators do not take is the owner's.
    function _share(bytes32 nodeId, address owner, uint256 amount)
        private
        returns (Settlement.Shares memory shares)
    {
        Parameters storage parameters = _storage().parameters;
        shares = Settlement.split(amount, parameters.treasuryBps, parameters.rewardShareBps);
        uint256 taken = _reward(nodeId, shares.delegators);
        shares.owner += shares.delegators - taken;
        shares.delegators = taken;

        address aleph = _storage().wiring.aleph;
        _book(aleph, parameters.treasury, shares.treasury);
        _book(aleph, owner, shares.owner);
    }

    /// @dev A node is paid even if its delegators cannot be.
    function _reward(bytes32 nodeId, uint256 amount) private returns (uint256 taken) {
        if (amount == 0) return 0;
        Wiring storage wiring = _storage().wiring;
        IERC20 aleph = IERC20(wiring.aleph);
        uint256 before = aleph.balanceOf(address(this));
        aleph.forceApprove(wiring.delegations, amount);
        try IDelegationRewards(wiring.delegations).addDelegationReward(nodeId, amount) {} catch {}
        aleph.forceApprove(wiring.delegations, 0);
        taken = before - aleph.balanceOf(address(this));
    }

    /// @dev What is owed for proven time that is not settled, before credits.
    function _unsettled(uint256 jobId, Account storage account, IJobManager.Billing memory billing)
        private
        view
        returns (uint256)
    {
        uint64 proven = account.segmentStart;
        for (uint256 i = account.segment; i < billing.segments; ++i) {
            proven += _jobs().getSegment(jobId, i).accruedSeconds;
        }
        return Settlement.due(billing.pricePerHour, account.settledSeconds, proven);
    }

    // Inside.

    function _book(address token, address account, uint256 amount) private {
        PaymentManagerStorage storage $ = _storage();
        $.balances[token][account] += amount;
        $.totals[token] += amount;
    }

    function _unbook(address token, address account, uint256 amount) private {
        PaymentManagerStorage storage $ = _storage();
        $.balances[token][account] -= amount;
        $.totals[token] -= amount;
    }

    /// @dev The router finds a pool by its tokens and fee: it must be this one.
    function _checkPool(PaymentManagerStorage storage $, address token, address pool, uint24 fee)
        private
        view
    {
        address router = $.wiring.router;
        require(router != address(0), ZeroAddress());
        address known =
            IUniswapV3Factory(ISwapRouter(router).factory()).getPool(token, $.wiring.aleph, fee);
        require(known == pool, NotAPool(token, pool));

        uint32 period = $.parameters.twapPeriod;
        // slither-disable-next-line unused-return
        (,,, uint16 observations,,,) = IUniswapV3Pool(pool).slot0();
        require(observations > period, PoolHistoryTooShort(observations, uint256(period) + 1));
        _meanTick(pool, period);
    }

    /// @dev Reverts when the pool does not remember the start of the period.
    function _meanTick(address pool, uint32 period) private view returns (int24) {
        uint32[] memory secondsAgos = new uint32[](2);
        secondsAgos[0] = period;
        // slither-disable-next-line unused-return
        (int56[] memory sums,) = IUniswapV3Pool(pool).observe(secondsAgos);
        return Settlement.meanTick(sums[0], sums[1], period);
    }

    function _setParameters(Parameters calldata parameters) private {
        require(parameters.treasury != address(0), ZeroAddress());
        Bounds.check("treasuryBps", parameters.treasuryBps, 0, TREASURY_BPS_MAX);
        Bounds.check("rewardShareBps", parameters.rewardShareBps, 0, REWARD_SHARE_BPS_MAX);
        Bounds.check("saleFeeBps", parameters.saleFeeBps, 0, SALE_FEE_BPS_MAX);
        Bounds.check(
            "maxSlippageBps", parameters.maxSlippageBps, SLIPPAGE_BPS_MIN, SLIPPAGE_BPS_MAX
        );
        Bounds.check("twapPeriod", parameters.twapPeriod, TWAP_PERIOD_S_MIN, TWAP_PERIOD_S_MAX);
        Bounds.check("gracePeriod", parameters.gracePeriod, GRACE_PERIOD_S_MIN, GRACE_PERIOD_S_MAX);
        _storage().parameters = parameters;

        emit ParametersSet(parameters);
    }

    function _goesOn(IJobManager.JobStatus status) private pure returns (bool) {
        return status != IJobManager.JobStatus.None && status != IJobManager.JobStatus.Completed
            && status != IJobManager.JobStatus.Failed;
    }

    function _jobs() private view returns (IJobManager) {
        return IJobManager(_storage().wiring.jobs);
    }

    function _storage() private pure returns (PaymentManagerStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

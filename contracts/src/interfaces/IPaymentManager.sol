// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Settlement} from "../libraries/Settlement.sol";

/// @title How jobs and images are paid
/// @notice Customers lock nothing up: they approve this contract, and anyone may settle a job for
/// the time that its nodes have proven. What is settled is pulled from the job's customer, swapped
/// to ALEPH where the job is priced in another token, and shared out to the treasury, the
/// delegators of the node and its owner. Owners, treasury and sellers withdraw on their own.
///
/// ```
///                   settleJob                    ┌─▶ treasury  (treasuryBps)     withdraw
///   customer ──────▶ token ──swap──▶ ALEPH ──────┼─▶ delegators (rewardShareBps) StakingManager
///            approve                             └─▶ owner     (the rest)        withdraw
/// ```
///
/// A job whose payment is refused (allowance, balance, or a swap below the mean price) is in grace.
/// Whoever settles it in full ends the grace; whoever tries in vain after it stops the job. Nothing
/// that one job's payment does stops another's.
///
/// Allow only tokens that move exactly what they are asked to. What arrives and what leaves is
/// measured, and another amount is refused.
interface IPaymentManager {
    /// @notice What an attempt to settle a job came to.
    /// `NothingDue`: there was nothing to pay, or not enough yet to be worth a swap. `Settled`: paid
    /// up to the target. `Refused`: a payment failed; earlier segments may have been paid.
    /// `Stopped`: a payment failed after the grace, and the job was stopped.
    enum SettleResult {
        NothingDue,
        Settled,
        Refused,
        Stopped
    }

    /// @notice The contracts that this one works with.
    /// @param aleph The token that all settlement ends in.
    /// @param jobs JobManager.
    /// @param delegations StakingManager, which takes the delegators' share.
    /// @param router Uniswap V3's SwapRouter; zero where only ALEPH is paid.
    struct Wiring {
        address aleph;
        address jobs;
        address delegations;
        address router;
    }

    /// @notice The rules that governance can change.
    /// @param treasury Who gets the treasury's share.
    /// @param treasuryBps The treasury's share of what jobs pay, in basis points.
    /// @param rewardShareBps The delegators' share of what jobs pay, in basis points.
    /// @param saleFeeBps The treasury's share of what is paid for images, in basis points.
    /// @param maxSlippageBps How much less than at the mean price a swap may bring after the pool's
    /// fee, in basis points.
    /// @param twapPeriod The time over which a pool's price is averaged, in seconds.
    /// @param gracePeriod How long a job goes on unpaid, in seconds.
    struct Parameters {
        address treasury;
        uint16 treasuryBps;
        uint16 rewardShareBps;
        uint16 saleFeeBps;
        uint16 maxSlippageBps;
        uint32 twapPeriod;
        uint64 gracePeriod;
    }

    /// @notice What has been settled of a job.
    /// @param settledSeconds The proven time that is settled, over all segments.
    /// @param segmentStart The proven time of all segments before the one that is settled next.
    /// @param graceUntil When the grace of a job in arrears ends, Unix time in seconds, else 0.
    /// @param segment The segment that is settled next.
    /// @param version Counts all changes of what is due, so that no offer outlives one.
    /// @param paid What the customer has paid, in the job's token.
    /// @param credit What the customer need not pay of what comes due next, in the job's token.
    struct Account {
        uint64 settledSeconds;
        uint64 segmentStart;
        uint64 graceUntil;
        uint32 segment;
        uint32 version;
        uint256 paid;
        uint256 credit;
    }

    /// @notice A token that jobs and images can be priced in.
    /// @param allowed New jobs and sales may use it.
    /// @param pool The Uniswap V3 pool where it becomes ALEPH.
    /// @param fee The pool's fee in millionths.
    struct TokenInfo {
        bool allowed;
        address pool;
        uint24 fee;
    }

    /// @notice One payment for a part of one segment.
    /// @param untilSeconds The proven time, over all segments, that is settled afterwards.
    /// @param amount What the customer pays, in `token`.
    /// @param credited What a credit pays, in `token`.
    struct Slice {
        uint256 jobId;
        address customer;
        address token;
        bytes32 nodeId;
        address owner;
        uint64 untilSeconds;
        uint256 amount;
        uint256 credited;
    }

    /// @notice A part of a segment is settled. `amount` came from the customer and `credited` from a
    /// credit, both in the job's token; `shares` are in ALEPH.
    event JobSettled(
        uint256 indexed jobId,
        bytes32 indexed nodeId,
        address indexed owner,
        uint64 untilSeconds,
        uint256 amount,
        uint256 credited,
        Settlement.Shares shares
    );

    /// @notice A payment failed. `reason` is what the failed call returned, cut at 256 bytes.
    event JobPaymentRefused(uint256 indexed jobId, bytes reason);

    /// @notice A job whose payment is refused goes on until then.
    event JobGraceStarted(uint256 indexed jobId, uint64 until);

    /// @notice A job in grace has been paid.
    event JobGraceEnded(uint256 indexed jobId);

    /// @notice A job was stopped because it was not paid within the grace.
    event JobStoppedUnpaid(uint256 indexed jobId);

    /// @notice A party names what it would settle the rest of a closed segment for.
    event FinalAmountOffered(uint256 indexed jobId, address indexed party, uint256 amount);

    /// @notice Both parties named the same amount: the segment is settled, `forgiven` is not paid.
    event JobFinallySettled(
        uint256 indexed jobId, uint256 indexed segment, uint256 amount, uint256 forgiven
    );

    /// @notice A customer need not pay `amount` of what comes due next.
    event JobCredited(uint256 indexed jobId, uint256 amount);

    /// @notice An image was paid; `fee` of the amount went to the treasury.
    event SaleCollected(
        address indexed token,
        address indexed buyer,
        address indexed seller,
        uint256 amount,
        uint256 fee
    );

    /// @notice A seller's balance gave back what a buyer had paid.
    event SaleRefunded(
        address indexed token, address indexed buyer, address indexed seller, uint256 amount
    );

    /// @notice An account took out its balance.
    event Withdrawn(address indexed token, address indexed account, uint256 amount);

    /// @notice New jobs and sales may use the token.
    event TokenAllowed(address indexed token);

    /// @notice New jobs and sales may not use the token any more.
    event TokenRemoved(address indexed token);

    /// @notice The token becomes ALEPH in this pool; zero: nowhere.
    event PoolSet(address indexed token, address indexed pool, uint24 fee);

    /// @notice The rules changed.
    event ParametersSet(Parameters parameters);

    /// @notice A contract address is zero.
    error ZeroAddress();

    /// @notice The amount is zero.
    error ZeroAmount();

    /// @notice Only the contract itself calls this.
    error NotSelf(address account);

    /// @notice Too many jobs in one call.
    error TooManyJobs(uint256 count, uint256 max);

    /// @notice No closed segment of the job waits for its settlement.
    error NothingToAgree(uint256 jobId);

    /// @notice Only the customer and the owner that is paid for the segment settle by agreement.
    error NotParty(uint256 jobId, address account);

    /// @notice The amount is higher than what is due.
    error AmountAboveDue(uint256 amount, uint256 due);

    /// @notice The account has nothing to withdraw in this token.
    error NothingToWithdraw(address token, address account);

    /// @notice Nothing can be priced in this token.
    error TokenNotAllowed(address token);

    /// @notice There is no pool where this token becomes ALEPH.
    error PoolNotSet(address token);

    /// @notice The router's factory knows no such pool of this token and ALEPH.
    error NotAPool(address token, address pool);

    /// @notice The pool keeps too few observations for the mean price to be always known: one per
    /// second of the period, and one more. Grow them first.
    error PoolHistoryTooShort(uint256 observations, uint256 required);

    /// @notice The swap took another amount than it was given.
    error UnexpectedAmountSwapped(uint256 expected, uint256 taken);

    /// @notice The swap brought less than the mean price allows.
    error SwapBelowMinimum(uint256 received, uint256 minimum);

    /// @notice The contract holds less of the token than it owes: the token took some away.
    error TokenBalanceShort(address token, uint256 balance, uint256 owed);

    /// @notice Settles a job for all the time that its nodes have proven. Anyone may call.
    /// @dev Never reverts for what a customer, a token or a pool does; see {SettleResult}. Asks for
    /// a little more than two million units of gas to be left and uses a fraction of them.
    function settleJob(uint256 jobId) external returns (SettleResult);

    /// @notice Settles a job up to a target. Anyone may call. A large backlog can so be settled in
    /// amounts that a customer's balance and the pool can bear.
    /// @param jobSeconds The proven time, over all segments, to be settled afterwards; nothing
    /// happens if it is settled already.
    function settleJobUpTo(uint256 jobId, uint64 jobSeconds) external returns (SettleResult);

    /// @notice Settles jobs, each as `settleJob` does; what one comes to is nothing to the others.
    /// Anyone may call.
    /// @param jobIds At most 64.
    function settleJobs(uint256[] calldata jobIds) external returns (SettleResult[] memory);

    /// @notice Names what the sender would settle the rest of a closed segment for. The job's
    /// customer or the owner that is paid. Once both have named the same amount, it is paid, the
    /// rest is forgiven, and after the last segment nothing more can ever be owed for the job.
    /// @dev It is about the first segment that is not settled. An offer holds until anything else
    /// is settled or credited, or the same party makes another.
    /// @param amount In the job's token, at most what is due.
    function agreeFinal(uint256 jobId, uint256 amount) external;

    /// @notice Pays out all that the sender has in a token.
    function withdraw(address token) external returns (uint256 amount);

    /// @notice Makes the customer pay so much less of what comes due next. SLA_MANAGER_ROLE only.
    /// @dev At most what is due now and, as long as the job goes on, would come due in 30 days. What
    /// is not used up when the job ends lapses.
    /// @return credited In the job's token, at most `amount`.
    function credit(uint256 jobId, uint256 amount) external returns (uint256 credited);

    /// @notice Takes the price of an image from the buyer, for the seller's balance but for the
    /// treasury's fee. MARKETPLACE_ROLE only.
    /// @dev Taking in: stops while paused. The marketplace answers for the buyer's consent.
    function collectSale(address token, address buyer, address seller, uint256 amount) external;

    /// @notice Moves up to `amount` from the seller's balance to the buyer's. MARKETPLACE_ROLE only.
    /// @return refunded As far as the seller's balance reaches.
    function refundSale(address token, address buyer, address seller, uint256 amount)
        external
        returns (uint256 refunded);

    /// @notice Pays one slice, whole or not at all. The contract itself only: a call of its own is
    /// what a failed payment can be undone by.
    function paySlice(Slice calldata slice) external;

    /// @notice Lets new jobs and sales use a token. PARAMETER_ROLE only.
    /// @dev All but ALEPH need a pool first.
    function addAllowedToken(address token) external;

    /// @notice Lets no new job or sale use a token. PARAMETER_ROLE only.
    /// @dev Jobs that are priced in it go on, and are settled through its pool.
    function removeAllowedToken(address token) external;

    /// @notice Names the pool where a token becomes ALEPH; zero for none. PARAMETER_ROLE only.
    /// @dev The pool must keep more observations than the mean's period has seconds, so that
    /// nobody can push the start of the period out of its memory.
    function setPool(address token, address pool) external;

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    /// @dev A grace that runs keeps its end. Let the pools keep more observations before you make
    /// the mean's period longer.
    function setParameters(Parameters calldata parameters) external;

    /// @notice Whether new jobs and sales may use the token.
    function isAllowedToken(address token) external view returns (bool);

    /// @notice What is known of a token.
    function getToken(address token) external view returns (TokenInfo memory);

    /// @notice The least ALEPH that a swap of `amount` would have to bring now.
    function minimumOutput(address token, uint256 amount) external view returns (uint256);

    /// @notice What has been settled of a job.
    function getAccount(uint256 jobId) external view returns (Account memory);

    /// @notice What the customer would have to pay now for all proven time, in the job's token.
    function dueOf(uint256 jobId) external view returns (uint256);

    /// @notice What an account can withdraw.
    function withdrawable(address token, address account) external view returns (uint256);

    /// @notice What all accounts together can withdraw.
    function totalWithdrawable(address token) external view returns (uint256);

    /// @notice The contracts that this one works with.
    function getWiring() external view returns (Wiring memory);

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);
}

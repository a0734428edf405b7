// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IBilledJobs} from "./IBilledJobs.sol";
import {ICredits} from "./ICredits.sol";
import {ISlashing} from "./ISlashing.sol";

/// @title Service levels that a customer and a node's owner agree on, and what a breach costs
/// @notice Terms are written once and never change. They bind a job as long as it is on one node,
/// from the moment that both its customer and the owner who is paid for it have named them. Time counts
/// in periods from then on. Witnesses measure for how long the job was down in a period; once
/// enough of them agree that it was longer than allowed, the owner can dispute it, and otherwise
/// anyone can make the owner pay.
///
/// ```
///   attachSla by one ──▶ offered ──▶ attachSla by the other ──▶ attached ──▶ closeSla ──▶ closed
///                           └──▶ withdrawOffer, or it expires
///
///   reportViolation      after disputeWindow: applyPenalty
///   by a quorum ──▶ Reported ──────────────────────────────────────────▶ Applied
///                     │  │                                                  ▲
///                     │  │ disputeViolation              resolveDispute     │ applyPenalty
///                     │  └─────────────▶ Disputed ─────────────────────▶ Upheld
///                     │                     │ resolveDispute, or           │
///                     │ after applyWindow:  │ after resolutionWindow:      │ after applyWindow:
///                     │ closeViolation      ▼ closeViolation               │ closeViolation
///                     │                 Dismissed                          │
///                     └──────────────────────────────────▶ Lapsed ◀────────┘
/// ```
///
/// A penalty falls on those who agreed to it: the slash takes that owner's stake, whoever has the
/// node by now, and stops at it, so that no delegator pays; the credit is given only while the job
/// is on that node. Nobody is punished by silence: a dispute that the committee leaves open ends in
/// the owner's favour.
interface ISLAManager {
    /// @notice Where a violation is in its life. `Applied`, `Dismissed` and `Lapsed` are ends.
    enum ViolationStatus {
        None,
        Reported,
        Disputed,
        Upheld,
        Applied,
        Dismissed,
        Lapsed
    }

    /// @notice The contracts that this one speaks to.
    /// @param token ALEPH, in which bonds are paid.
    struct Contracts {
        IERC20 token;
        ISlashing staking;
        IBilledJobs jobs;
        ICredits payments;
    }

    /// @notice The rules that governance can change. Times are in seconds.
    /// @param witnessQuorum How many witnesses must report the same.
    /// @param offerValidity How long an offer can be answered.
    /// @param reportWindow How long after a period its violation can be reported.
    /// @param disputeWindow How long an owner can dispute.
    /// @param resolutionWindow How long the committee can decide a dispute.
    /// @param applyWindow How long a penalty can be applied once it is due.
    /// @param customerBpsMax The most that terms may give to the customer of what is slashed.
    /// @param slashMax The most that terms may slash for one violation, in ALEPH's units.
    /// @param disputeBond What a dispute costs the owner when it is lost, in ALEPH's units.
    struct Parameters {
        uint32 witnessQuorum;
        uint64 offerValidity;
        uint64 reportWindow;
        uint64 disputeWindow;
        uint64 resolutionWindow;
        uint64 applyWindow;
        uint16 customerBpsMax;
        uint128 slashMax;
        uint128 disputeBond;
    }

    /// @notice What is promised, and what each period in which it is broken costs. 10 000 bps are
    /// the whole.
    /// @param period How long a period is, in seconds: 1 minute to 31 days.
    /// @param periods After how many the agreement ends, at most 1000. It bounds what can be lost.
    /// @param downtimeMax For how long of a period the job may be down, in seconds.
    /// @param creditBps The part of a period's price that the customer need not pay.
    /// @param slashAmount How much of the owner's stake is slashed, in ALEPH's units.
    /// @param customerBps The part of it that the customer gets.
    /// @param documentHash Hash of a text that says more, or zero.
    struct Terms {
        uint64 period;
        uint32 periods;
        uint64 downtimeMax;
        uint16 creditBps;
        uint128 slashAmount;
        uint16 customerBps;
        bytes32 documentHash;
    }

    /// @notice Terms that one party to a job has named; the other can name them until `validUntil`.
    struct Offer {
        uint256 slaId;
        uint32 segment;
        uint64 validUntil;
    }

    /// @notice An agreement. Times are Unix times in seconds, 0 for "not yet".
    /// @param owner Who is paid for the job, and pays for violations.
    /// @param segment On which of the job's nodes it holds, counted from 0.
    /// @param creditAmount What a violation credits, in units of the job's token.
    struct Attachment {
        uint256 jobId;
        uint256 slaId;
        bytes32 nodeId;
        address customer;
        address owner;
        uint32 segment;
        uint64 attachedAt;
        uint64 closedAt;
        uint256 creditAmount;
    }

    /// @notice A breach that a quorum reported. Times are Unix times in seconds.
    /// @param deadline Until when it can be disputed, or the dispute decided.
    /// @param lapsesAt Until when the penalty can be applied.
    /// @param downtime For how long the job was down, in seconds.
    /// @param bond What the owner paid to dispute it.
    /// @param evidenceHash Hash of what the witnesses measured.
    struct Violation {
        ViolationStatus status;
        uint64 deadline;
        uint64 lapsesAt;
        uint64 downtime;
        uint128 bond;
        bytes32 evidenceHash;
    }

    /// @notice Somebody wrote terms.
    event SlaDefined(uint256 indexed slaId, address indexed author, Terms terms);

    /// @notice One party to a job named terms.
    event SlaOffered(
        uint256 indexed jobId, uint256 indexed slaId, address indexed party, uint64 validUntil
    );

    /// @notice A party took its offer back.
    event SlaOfferWithdrawn(uint256 indexed jobId, address indexed party);

    /// @notice Both parties to a job named the same terms, which bind from now on.
    event SlaAttached(
        uint256 indexed attachmentId, uint256 indexed jobId, uint256 indexed slaId, bytes32 nodeId
    );

    /// @notice The job left the node or ended; no period begins from now on.
    event SlaClosed(uint256 indexed attachmentId);

    /// @notice A witness reported a violation.
    event ViolationWitnessed(
        uint256 indexed attachmentId,
        uint32 indexed period,
        address indexed witness,
        bytes32 statement
    );

    /// @notice A quorum reported a violation; the owner can dispute it until `disputableUntil`.
    event ViolationReported(
        uint256 indexed attachmentId,
        uint32 indexed period,
        uint64 downtime,
        bytes32 evidenceHash,
        uint64 disputableUntil
    );

    /// @notice The owner disputes a violation; the committee can decide it until `decidableUntil`.
    event ViolationDisputed(
        uint256 indexed attachmentId,
        uint32 indexed period,
        bytes32 evidenceHash,
        uint64 decidableUntil
    );

    /// @notice The committee found the violation true. The bond is the customer's.
    event ViolationUpheld(uint256 indexed attachmentId, uint32 indexed period);

    /// @notice The committee found it false, or did not decide. The bond is the owner's again.
    event ViolationDismissed(uint256 indexed attachmentId, uint32 indexed period);

    /// @notice Nobody applied the penalty in time.
    event ViolationLapsed(uint256 indexed attachmentId, uint32 indexed period);

    /// @notice The owner paid: what the customer need not pay, what was slashed, and how much of
    /// that is the customer's.
    event PenaltyApplied(
        uint256 indexed attachmentId,
        uint32 indexed period,
        uint256 credited,
        uint256 slashed,
        uint256 customerReward
    );

    /// @notice Bonds that are the account's were paid out.
    event BondsWithdrawn(address indexed account, uint256 amount);

    /// @notice The rules changed.
    event ParametersSet(Parameters parameters);

    /// @notice A contract address is zero.
    error ZeroAddress();

    /// @notice Terms without a penalty.
    error NoPenalty();

    /// @notice The hash of the evidence is zero.
    error ZeroEvidence();

    /// @notice There are no such terms.
    error UnknownSla(uint256 slaId);

    /// @notice There is no such agreement.
    error UnknownAttachment(uint256 attachmentId);

    /// @notice The job is on no node.
    error JobNotPlaced(uint256 jobId);

    /// @notice Only the job's customer and the owner who is paid for it agree on terms.
    error NotParty(uint256 jobId, address account);

    /// @notice The job has terms on this node.
    error AlreadyAttached(uint256 attachmentId);

    /// @notice The account has no offer for this job.
    error NoOffer(uint256 jobId, address account);

    /// @notice The job is still on its node.
    error StillBinding(uint256 attachmentId);

    /// @notice The agreement is closed.
    error AlreadyClosed(uint256 attachmentId);

    /// @notice The agreement has no such period.
    error NoSuchPeriod(uint256 attachmentId, uint32 period);

    /// @notice It is not the time for this: the call is good from `from` to `until`.
    error WrongTime(uint256 from, uint256 until);

    /// @notice This downtime is allowed, or longer than the period.
    error NotAViolation(uint64 downtime, uint64 min, uint64 max);

    /// @notice The violation's status does not allow this; `None` was never reported.
    error WrongViolationStatus(ViolationStatus status);

    /// @notice Only the owner who agreed to the terms may dispute.
    error NotAccused(address account);

    /// @notice No bonds are the account's.
    error NothingToWithdraw();

    /// @notice Writes terms that never change. Anyone may: they bind nobody who does not agree.
    /// @dev Taking in: stops while paused.
    /// @return slaId Counts up from 1.
    function defineSla(Terms calldata terms) external returns (uint256 slaId);

    /// @notice Names terms for a job on its present node. The job's customer, or the owner who is
    /// paid for it; when the other one has an offer with the same terms, they are attached, otherwise this is
    /// an offer, which replaces the sender's last.
    /// @dev Taking in: stops while paused.
    /// @return attachmentId The agreement, counted up from 1, or 0 when it is an offer.
    function attachSla(uint256 jobId, uint256 slaId) external returns (uint256 attachmentId);

    /// @notice Takes the sender's offer back.
    function withdrawOffer(uint256 jobId) external;

    /// @notice Ends an agreement whose job has left the node, is stopping or has ended. Anyone may
    /// call. No period begins after that.
    /// @dev The one that has begun counts whole, or an owner would fail the job to be rid of the
    /// terms. A job that its customer stopped is not down: that is for the witnesses to tell.
    function closeSla(uint256 attachmentId) external;

    /// @notice Says that a job was down for longer than a period allows. WITNESS_ROLE only; counts
    /// once `witnessQuorum` witnesses have said the very same, within `reportWindow` of its end.
    /// @dev When a witness loses its role, reports without a quorum start anew.
    /// @param period Counted from 0.
    /// @param downtime For how long of the period it was not up and should have been, in seconds.
    /// @param evidenceHash Hash of what the witnesses measured.
    function reportViolation(
        uint256 attachmentId,
        uint32 period,
        uint64 downtime,
        bytes32 evidenceHash
    ) external;

    /// @notice Disputes a violation within `disputeWindow`. Owner only, who pays `disputeBond`.
    /// @param evidenceHash Hash of what the owner brings forward.
    function disputeViolation(uint256 attachmentId, uint32 period, bytes32 evidenceHash) external;

    /// @notice Decides a dispute within `resolutionWindow`. SLASHER_ROLE only.
    /// @param upheld Whether the violation is true.
    function resolveDispute(uint256 attachmentId, uint32 period, bool upheld) external;

    /// @notice Makes the owner pay for a violation that nobody disputed in time or that was upheld.
    /// Once, within `applyWindow`. Anyone may call.
    function applyPenalty(uint256 attachmentId, uint32 period) external;

    /// @notice Ends a violation that waited too long: dismisses a dispute that was not decided,
    /// drops a penalty that was not applied. Anyone may call.
    function closeViolation(uint256 attachmentId, uint32 period) external;

    /// @notice Pays out the bonds that are the sender's.
    function withdraw() external;

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    /// @dev Binds what happens later: clocks that run keep their end.
    function setParameters(Parameters calldata parameters) external;

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);

    /// @notice The terms with this id; all zero when there are none.
    function getSla(uint256 slaId) external view returns (Terms memory);

    /// @notice How many terms were ever written; the newest one's id.
    function slaCount() external view returns (uint256);

    /// @notice The party's last offer for a job; all zero when there is none.
    function getOffer(uint256 jobId, address party) external view returns (Offer memory);

    /// @notice The agreement with this id; all zero when there is none.
    function getAttachment(uint256 attachmentId) external view returns (Attachment memory);

    /// @notice The agreement for a job on its `segment`th node, or 0.
    function attachmentOf(uint256 jobId, uint32 segment) external view returns (uint256);

    /// @notice How many agreements there ever were; the newest one's id.
    function attachmentCount() external view returns (uint256);

    /// @notice The violation of one period; all zero when none was reported by a quorum.
    function getViolation(uint256 attachmentId, uint32 period)
        external
        view
        returns (Violation memory);

    /// @notice Bonds that the account can withdraw.
    function withdrawable(address account) external view returns (uint256);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Governed} from "./base/Governed.sol";
import {IBilledJobs} from "./interfaces/IBilledJobs.sol";
import {IJobManager} from "./interfaces/IJobManager.sol";
import {ISLAManager} from "./interfaces/ISLAManager.sol";
import {ISlashing} from "./interfaces/ISlashing.sol";
import {IStakingManager} from "./interfaces/IStakingManager.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title SLAManager
/// @notice See {ISLAManager}.
contract SLAManager is ISLAManager, Governed, ReentrancyGuardTransient {
    using ExactTransfer for IERC20;
    using Quorum for Quorum.Ballots;
    using SafeERC20 for IERC20;

    uint256 private constant BPS = 10_000;
    uint256 private constant WITNESS_QUORUM_MAX = 32;
    uint256 private constant WINDOW_S_MAX = 30 days;
    uint256 private constant APPLY_WINDOW_S_MIN = 1 hours;
    uint256 private constant APPLY_WINDOW_S_MAX = 90 days;
    uint256 private constant CUSTOMER_BPS_MAX = 5000;
    uint256 private constant SLASH_MAX = 1e27;
    uint256 private constant DISPUTE_BOND_MAX = 1e24;

    uint256 private constant PERIOD_S_MIN = 1 minutes;
    uint256 private constant PERIOD_S_MAX = 31 days;
    uint256 private constant PERIODS_MAX = 1000;

    /// @custom:storage-location erc7201:aleph.storage.SLAManager
    struct SLAManagerStorage {
        Contracts contracts;
        Parameters parameters;
        uint256 ballotRound;
        uint256 slaCount;
        uint256 attachmentCount;
        mapping(uint256 slaId => Terms) slas;
        mapping(uint256 jobId => mapping(address party => Offer)) offers;
        mapping(uint256 jobId => mapping(uint32 segment => uint256 attachmentId)) attachmentOf;
        mapping(uint256 attachmentId => Attachment) attachments;
        mapping(uint256 attachmentId => mapping(uint32 period => Violation)) violations;
        Quorum.Ballots ballots;
        mapping(address account => uint256) withdrawable;
    }

    bytes32 private constant STORAGE_SLOT =
        0x552310122ffa12197f9c920c310201a77b3df01c8463855ff00cc3139e2a9000;

    function initialize(address admin, Contracts calldata contracts, Parameters calldata parameters)
        external
        initializer
    {
        require(
            address(contracts.token) != address(0) && address(contracts.staking) != address(0)
                && address(contracts.jobs) != address(0)
                && address(contracts.payments) != address(0),
            ZeroAddress()
        );
        __Governed_init(admin);
        _storage().contracts = contracts;
        _setParameters(parameters);
    }

    // Customers and owners.

    /// @inheritdoc ISLAManager
    function defineSla(Terms calldata terms) external whenNotPaused returns (uint256 slaId) {
        SLAManagerStorage storage $ = _storage();
        Bounds.check("period", terms.period, PERIOD_S_MIN, PERIOD_S_MAX);
        Bounds.check("periods", terms.periods, 1, PERIODS_MAX);
        Bounds.check("downtimeMax", terms.downtimeMax, 0, terms.period - 1);
        Bounds.check("creditBps", terms.creditBps, 0, BPS);
        Bounds.check("slashAmount", terms.slashAmount, 0, $.parameters.slashMax);
        Bounds.check("customerBps", terms.customerBps, 0, $.parameters.customerBpsMax);
        require(terms.creditBps != 0 || terms.slashAmount != 0, NoPenalty());

        slaId = ++$.slaCount;
        $.slas[slaId] = terms;

        emit SlaDefined(slaId, msg.sender, terms);
    }

    /// @inheritdoc ISLAManager
    function attachSla(uint256 jobId, uint256 slaId)
        external
        whenNotPaused
        returns (uint256 attachmentId)
    {
        SLAManagerStorage storage $ = _storage();
        require($.slas[slaId].periods != 0, UnknownSla(slaId));
        IBilledJobs.Billing memory billing = $.contracts.jobs.getBilling(jobId);
        require(_isPlaced(billing), JobNotPlaced(jobId));
        uint32 segment = billing.segments - 1;
        IBilledJobs.Segment memory placed = $.contracts.jobs.getSegment(jobId, segment);
        address owner = placed.owner;
        require(msg.sender == billing.customer || msg.sender == owner, NotParty(jobId, msg.sender));
        require(
            $.attachmentOf[jobId][segment] == 0, AlreadyAttached($.attachmentOf[jobId][segment])
        );

        // Who rents from itself agrees with itself.
        address other = msg.sender == owner ? billing.customer : owner;
        $.offers[jobId][msg.sender] =
            Offer(slaId, segment, uint64(block.timestamp) + $.parameters.offerValidity);
        if (!_isOffered($.offers[jobId][other], slaId, segment)) {
            emit SlaOffered(jobId, slaId, msg.sender, $.offers[jobId][msg.sender].validUntil);
            return 0;
        }
        delete $.offers[jobId][msg.sender];
        delete $.offers[jobId][other];

        attachmentId = ++$.attachmentCount;
        $.attachmentOf[jobId][segment] = attachmentId;
        Attachment storage attachment = $.attachments[attachmentId];
        attachment.jobId = jobId;
        attachment.slaId = slaId;
        attachment.nodeId = placed.nodeId;
        attachment.customer = billing.customer;
        attachment.owner = owner;
        attachment.segment = segment;
        attachment.attachedAt = uint64(block.timestamp);
        attachment.creditAmount = uint256(billing.pricePerHour) * $.slas[slaId].period
            * $.slas[slaId].creditBps / (1 hours * BPS);

        emit SlaAttached(attachmentId, jobId, slaId, placed.nodeId);
    }

    /// @inheritdoc ISLAManager
    function withdrawOffer(uint256 jobId) external {
        SLAManagerStorage storage $ = _storage();
        require($.offers[jobId][msg.sender].slaId != 0, NoOffer(jobId, msg.sender));
        delete $.offers[jobId][msg.sender];

        emit SlaOfferWithdrawn(jobId, msg.sender);
    }

    /// @inheritdoc ISLAManager
    function closeSla(uint256 attachmentId) external {
        Attachment storage attachment = _attachment(attachmentId);
        require(attachment.closedAt == 0, AlreadyClosed(attachmentId));
        require(!_isOnItsNode(attachment), StillBinding(attachmentId));
        attachment.closedAt = uint64(block.timestamp);

        emit SlaClosed(attachmentId);
    }

    // Witnesses, the accused, and the committee.

    /// @inheritdoc ISLAManager
    function reportViolation(
        uint256 attachmentId,
        uint32 period,
        uint64 downtime,
        bytes32 evidenceHash
    ) external onlyRole(Roles.WITNESS) {
        require(evidenceHash != 0, ZeroEvidence());
        SLAManagerStorage storage $ = _storage();
        _checkReport(attachmentId, period, downtime);
        Violation storage violation = $.violations[attachmentId][period];
        _checkStatus(violation, ViolationStatus.None);

        bytes32 statement =
            keccak256(abi.encode(attachmentId, period, downtime, evidenceHash, $.ballotRound));
        uint256 voices = $.ballots.vote(statement, msg.sender);
        emit ViolationWitnessed(attachmentId, period, msg.sender, statement);
        if (voices < $.parameters.witnessQuorum) return;

        violation.status = ViolationStatus.Reported;
        violation.deadline = uint64(block.timestamp) + $.parameters.disputeWindow;
        violation.lapsesAt = violation.deadline + $.parameters.applyWindow;
        violation.downtime = downtime;
        violation.evidenceHash = evidenceHash;

        emit ViolationReported(attachmentId, period, downtime, evidenceHash, violation.deadline);
    }

    /// @inheritdoc ISLAManager
    function disputeViolation(uint256 attachmentId, uint32 period, bytes32 evidenceHash)
        external
        nonReentrant
    {
        require(evidenceHash != 0, ZeroEvidence());
        SLAManagerStorage storage $ = _storage();
        Violation storage violation = $.violations[attachmentId][period];
        _checkStatus(violation, ViolationStatus.Reported);
        require(msg.sender == $.attachments[attachmentId].owner, NotAccused(msg.sender));
        _checkTime(0, violation.deadline);

        violation.status = ViolationStatus.Disputed;
        violation.deadline = uint64(block.timestamp) + $.parameters.resolutionWindow;
        violation.bond = $.parameters.disputeBond;

        emit ViolationDisputed(attachmentId, period, evidenceHash, violation.deadline);
        $.contracts.token.pull(msg.sender, violation.bond);
    }

    /// @inheritdoc ISLAManager
    function resolveDispute(uint256 attachmentId, uint32 period, bool upheld)
        external
        onlyRole(Roles.SLASHER)
    {
        SLAManagerStorage storage $ = _storage();
        Violation storage violation = $.violations[attachmentId][period];
        _checkStatus(violation, ViolationStatus.Disputed);
        _checkTime(0, violation.deadline);

        if (!upheld) {
            _dismiss(attachmentId, period);
            return;
        }
        violation.status = ViolationStatus.Upheld;
        violation.deadline = uint64(block.timestamp);
        violation.lapsesAt = uint64(block.timestamp) + $.parameters.applyWindow;
        $.withdrawable[$.attachments[attachmentId].customer] += violation.bond;

        emit ViolationUpheld(attachmentId, period);
    }

    // Anyone.

    /// @inheritdoc ISLAManager
    /// @dev What the other contracts refuse, this one refuses too: a penalty is never lost half way
    /// because a caller was mean with gas. What can never be applied lapses.
    function applyPenalty(uint256 attachmentId, uint32 period) external nonReentrant {
        SLAManagerStorage storage $ = _storage();
        Violation storage violation = $.violations[attachmentId][period];
        bool isUpheld = violation.status == ViolationStatus.Upheld;
        if (!isUpheld) _checkStatus(violation, ViolationStatus.Reported);
        _checkTime(uint256(violation.deadline) + (isUpheld ? 0 : 1), violation.lapsesAt);
        violation.status = ViolationStatus.Applied;

        Attachment storage attachment = $.attachments[attachmentId];
        uint256 credited = _credit(attachment);
        (uint256 slashed, uint256 reward) = _slash(attachment, violation.evidenceHash);

        emit PenaltyApplied(attachmentId, period, credited, slashed, reward);
    }

    /// @inheritdoc ISLAManager
    function closeViolation(uint256 attachmentId, uint32 period) external {
        Violation storage violation = _storage().violations[attachmentId][period];
        if (violation.status == ViolationStatus.Disputed) {
            _checkTime(uint256(violation.deadline) + 1, type(uint256).max);
            _dismiss(attachmentId, period);
            return;
        }
        require(
            violation.status == ViolationStatus.Reported
                || violation.status == ViolationStatus.Upheld,
            WrongViolationStatus(violation.status)
        );
        _checkTime(uint256(violation.lapsesAt) + 1, type(uint256).max);
        violation.status = ViolationStatus.Lapsed;

        emit ViolationLapsed(attachmentId, period);
    }

    /// @inheritdoc ISLAManager
    function withdraw() external nonReentrant {
        SLAManagerStorage storage $ = _storage();
        uint256 amount = $.withdrawable[msg.sender];
        require(amount != 0, NothingToWithdraw());
        $.withdrawable[msg.sender] = 0;

        emit BondsWithdrawn(msg.sender, amount);
        $.contracts.token.safeTransfer(msg.sender, amount);
    }

    // Governance.

    /// @inheritdoc ISLAManager
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc ISLAManager
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    /// @inheritdoc ISLAManager
    function getSla(uint256 slaId) external view returns (Terms memory) {
        return _storage().slas[slaId];
    }

    /// @inheritdoc ISLAManager
    function slaCount() external view returns (uint256) {
        return _storage().slaCount;
    }

    /// @inheritdoc ISLAManager
    function getOffer(uint256 jobId, address party) external view returns (Offer memory) {
        return _storage().offers[jobId][party];
    }

    /// @inheritdoc ISLAManager
    function getAttachment(uint256 attachmentId) external view returns (Attachment memory) {
        return _storage().attachments[attachmentId];
    }

    /// @inheritdoc ISLAManager
    function attachmentOf(uint256 jobId, uint32 segment) external view returns (uint256) {
        return _storage().attachmentOf[jobId][segment];
    }

    /// @inheritdoc ISLAManager
    function attachmentCount() external view returns (uint256) {
        return _storage().attachmentCount;
    }

    /// @inheritdoc ISLAManager
    function getViolation(uint256 attachmentId, uint32 period)
        external
        view
        returns (Violation memory)
    {
        return _storage().violations[attachmentId][period];
    }

    /// @inheritdoc ISLAManager
    function withdrawable(address account) external view returns (uint256) {
        return _storage().withdrawable[account];
    }

    // Inside.

    /// @dev A witness that loses its role takes back what has no quorum yet; who else spoke says it
    /// again.
    function _revokeRole(bytes32 role, address account) internal override returns (bool revoked) {
        revoked = super._revokeRole(role, account);
        if (revoked && role == Roles.WITNESS) ++_storage().ballotRound;
    }

    function _dismiss(uint256 attachmentId, uint32 period) private {
        SLAManagerStorage storage $ = _storage();
        Violation storage violation = $.violations[attachmentId][period];
        violation.status = ViolationStatus.Dismissed;
        $.withdrawable[$.attachments[attachmentId].owner] += violation.bond;

        emit ViolationDismissed(attachmentId, period);
    }

    /// @dev On another node the job owes another owner, who has agreed to nothing.
    function _credit(Attachment storage attachment) private returns (uint256) {
        SLAManagerStorage storage $ = _storage();
        uint256 jobId = attachment.jobId;
        uint256 amount = attachment.creditAmount;
        bool moved = $.contracts.jobs.getBilling(jobId).segments - 1 != attachment.segment;
        if (amount == 0 || moved) return 0;
        return $.contracts.payments.credit(jobId, amount);
    }

    /// @dev Slashing takes the owner's stake first, so this much never reaches the delegators.
    function _slash(Attachment storage attachment, bytes32 reason)
        private
        returns (uint256 slashed, uint256 reward)
    {
        ISlashing staking = _storage().contracts.staking;
        Terms storage terms = _storage().slas[attachment.slaId];
        (bytes32 nodeId, address owner) = (attachment.nodeId, attachment.owner);
        IStakingManager.StakeInfo memory own = staking.getStakeOf(nodeId, owner);
        uint256 amount = Math.min(terms.slashAmount, own.total + own.unbonding);
        if (amount == 0) return (0, 0);
        return
            staking.slashOwner(
                nodeId, owner, amount, attachment.customer, terms.customerBps, reason
            );
    }

    function _checkReport(uint256 attachmentId, uint32 period, uint64 downtime) private view {
        SLAManagerStorage storage $ = _storage();
        Attachment storage attachment = _attachment(attachmentId);
        Terms storage terms = $.slas[attachment.slaId];
        require(period < terms.periods, NoSuchPeriod(attachmentId, period));

        uint256 start = attachment.attachedAt + uint256(terms.period) * period;
        bool hasBegun = attachment.closedAt == 0 || start < attachment.closedAt;
        require(hasBegun, NoSuchPeriod(attachmentId, period));
        uint256 end = start + terms.period;
        _checkTime(end, end + $.parameters.reportWindow);
        require(
            downtime > terms.downtimeMax && downtime <= terms.period,
            NotAViolation(downtime, terms.downtimeMax + 1, terms.period)
        );
    }

    function _attachment(uint256 attachmentId) private view returns (Attachment storage found) {
        found = _storage().attachments[attachmentId];
        require(found.slaId != 0, UnknownAttachment(attachmentId));
    }

    function _isOnItsNode(Attachment storage attachment) private view returns (bool) {
        IBilledJobs.Billing memory billing = _storage().contracts.jobs.getBilling(attachment.jobId);
        return _isPlaced(billing) && billing.segments - 1 == attachment.segment;
    }

    function _isOffered(Offer storage offer, uint256 slaId, uint32 segment)
        private
        view
        returns (bool)
    {
        return
            offer.slaId == slaId && offer.segment == segment && block.timestamp <= offer.validUntil;
    }

    /// @dev Both borders are good.
    function _checkTime(uint256 from, uint256 until) private view {
        require(block.timestamp >= from && block.timestamp <= until, WrongTime(from, until));
    }

    function _checkStatus(Violation storage violation, ViolationStatus expected) private view {
        require(violation.status == expected, WrongViolationStatus(violation.status));
    }

    function _isPlaced(IBilledJobs.Billing memory billing) private pure returns (bool) {
        return billing.segments != 0
            && (billing.status == IJobManager.JobStatus.Assigned
                || billing.status == IJobManager.JobStatus.Running);
    }

    function _setParameters(Parameters calldata parameters) private {
        Bounds.check("witnessQuorum", parameters.witnessQuorum, 1, WITNESS_QUORUM_MAX);
        Bounds.check("offerValidity", parameters.offerValidity, 1, WINDOW_S_MAX);
        Bounds.check("reportWindow", parameters.reportWindow, 1, WINDOW_S_MAX);
        Bounds.check("disputeWindow", parameters.disputeWindow, 1, WINDOW_S_MAX);
        Bounds.check("resolutionWindow", parameters.resolutionWindow, 1, WINDOW_S_MAX);
        Bounds.check("applyWindow", parameters.applyWindow, APPLY_WINDOW_S_MIN, APPLY_WINDOW_S_MAX);
        Bounds.check("customerBpsMax", parameters.customerBpsMax, 0, CUSTOMER_BPS_MAX);
        Bounds.check("slashMax", parameters.slashMax, 0, SLASH_MAX);
        Bounds.check("disputeBond", parameters.disputeBond, 1, DISPUTE_BOND_MAX);
        _storage().parameters = parameters;

        emit ParametersSet(parameters);
    }

    function _storage() private pure returns (SLAManagerStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

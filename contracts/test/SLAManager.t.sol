// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";

import {vm} from "../script/Vm.sol";
import {SLAManager} from "../src/SLAManager.sol";
import {IBilledJobs} from "../src/interfaces/IBilledJobs.sol";
import {ICredits} from "../src/interfaces/ICredits.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {ISLAManager} from "../src/interfaces/ISLAManager.sol";
import {ISlashing} from "../src/interfaces/ISlashing.sol";
import {Bounds} from "../src/libraries/Bounds.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {SLAFixture} from "./base/SLAFixture.sol";

contract SLAManagerTest is SLAFixture {
    // Terms.

    function test_terms_are_kept_and_said() public {
        vm.expectEmit(address(slas));
        emit ISLAManager.SlaDefined(1, STRANGER, _terms());
        vm.prank(STRANGER);
        vm.assertEq(slas.defineSla(_terms()), 1);
        vm.assertEq(abi.encode(slas.getSla(1)), abi.encode(_terms()));
        vm.assertEq(slas.slaCount(), 1);
    }

    function test_terms_are_bounded() public {
        ISLAManager.Terms memory terms = _terms();
        terms.period = 59;
        _expectOutOfBounds(terms, "period", 59, 60, 31 days);
        terms.period = 31 days + 1;
        _expectOutOfBounds(terms, "period", 31 days + 1, 60, 31 days);
        terms = _terms();
        terms.periods = 0;
        _expectOutOfBounds(terms, "periods", 0, 1, 1000);
        terms.periods = 1001;
        _expectOutOfBounds(terms, "periods", 1001, 1, 1000);
        terms = _terms();
        terms.downtimeMax = PERIOD_S;
        _expectOutOfBounds(terms, "downtimeMax", PERIOD_S, 0, PERIOD_S - 1);
        terms = _terms();
        terms.creditBps = 10_001;
        _expectOutOfBounds(terms, "creditBps", 10_001, 0, 10_000);
        terms = _terms();
        terms.slashAmount = 1000 ether + 1;
        _expectOutOfBounds(terms, "slashAmount", 1000 ether + 1, 0, 1000 ether);
        terms = _terms();
        terms.customerBps = 5001;
        _expectOutOfBounds(terms, "customerBps", 5001, 0, 5000);
    }

    function test_terms_have_a_penalty() public {
        ISLAManager.Terms memory terms = _terms();
        (terms.creditBps, terms.slashAmount) = (0, 0);
        vm.expectRevert(ISLAManager.NoPenalty.selector);
        slas.defineSla(terms);
        terms.creditBps = 1;
        slas.defineSla(terms);
        (terms.creditBps, terms.slashAmount) = (0, 1);
        slas.defineSla(terms);
    }

    // Agreements.

    function test_an_agreement_takes_both_in_either_order() public {
        uint256 slaId = slas.defineSla(_terms());
        _place(JOB + 1, NODE, OWNER);
        address[2] memory first = [CUSTOMER, OWNER];
        address[2] memory second = [OWNER, CUSTOMER];
        for (uint256 i = 0; i < 2; ++i) {
            uint64 validUntil = uint64(block.timestamp) + OFFER_VALIDITY_S;
            vm.expectEmit(address(slas));
            emit ISLAManager.SlaOffered(JOB + i, slaId, first[i], validUntil);
            vm.prank(first[i]);
            vm.assertEq(slas.attachSla(JOB + i, slaId), 0);
            vm.assertEq(slas.getOffer(JOB + i, first[i]).slaId, slaId);
            vm.assertEq(slas.getOffer(JOB + i, first[i]).validUntil, validUntil);

            vm.expectEmit(address(slas));
            emit ISLAManager.SlaAttached(i + 1, JOB + i, slaId, NODE);
            vm.prank(second[i]);
            vm.assertEq(slas.attachSla(JOB + i, slaId), i + 1);
            vm.assertEq(slas.getOffer(JOB + i, first[i]).slaId, 0);
            vm.assertEq(slas.getOffer(JOB + i, second[i]).slaId, 0);
            vm.assertEq(slas.attachmentOf(JOB + i, 0), i + 1);
        }
        vm.assertEq(slas.attachmentCount(), 2);
        ISLAManager.Attachment memory attachment = slas.getAttachment(1);
        ISLAManager.Attachment memory expected = ISLAManager.Attachment({
            jobId: JOB,
            slaId: slaId,
            nodeId: NODE,
            customer: CUSTOMER,
            owner: OWNER,
            segment: 0,
            attachedAt: uint64(block.timestamp),
            closedAt: 0,
            creditAmount: CREDIT
        });
        vm.assertEq(abi.encode(attachment), abi.encode(expected));
    }

    function test_who_rents_from_itself_agrees_alone() public {
        _place(JOB, NODE, CUSTOMER);
        uint256 slaId = slas.defineSla(_terms());
        vm.prank(CUSTOMER);
        vm.assertEq(slas.attachSla(JOB, slaId), 1);
    }

    function test_other_terms_are_another_offer() public {
        uint256 slaId = slas.defineSla(_terms());
        uint256 otherId = slas.defineSla(_terms());
        vm.prank(CUSTOMER);
        slas.attachSla(JOB, slaId);
        vm.prank(OWNER);
        vm.assertEq(slas.attachSla(JOB, otherId), 0);
        // The customer comes round.
        vm.prank(CUSTOMER);
        vm.assertEq(slas.attachSla(JOB, otherId), 1);
    }

    function test_an_offer_is_for_a_time() public {
        uint256 slaId = slas.defineSla(_terms());
        vm.prank(CUSTOMER);
        slas.attachSla(JOB, slaId);
        _skip(OFFER_VALIDITY_S + 1);
        vm.prank(OWNER);
        vm.assertEq(slas.attachSla(JOB, slaId), 0);
        _skip(OFFER_VALIDITY_S);
        vm.prank(CUSTOMER);
        vm.assertEq(slas.attachSla(JOB, slaId), 1);
    }

    function test_an_offer_is_for_the_node() public {
        uint256 slaId = slas.defineSla(_terms());
        vm.prank(CUSTOMER);
        slas.attachSla(JOB, slaId);
        _place(JOB, OTHER_NODE, OWNER);
        vm.prank(OWNER);
        vm.assertEq(slas.attachSla(JOB, slaId), 0);
    }

    function test_an_offer_can_be_withdrawn() public {
        uint256 slaId = slas.defineSla(_terms());
        vm.startPrank(CUSTOMER);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.NoOffer.selector, JOB, CUSTOMER));
        slas.withdrawOffer(JOB);
        slas.attachSla(JOB, slaId);
        vm.expectEmit(address(slas));
        emit ISLAManager.SlaOfferWithdrawn(JOB, CUSTOMER);
        slas.withdrawOffer(JOB);
        vm.stopPrank();
        vm.prank(OWNER);
        vm.assertEq(slas.attachSla(JOB, slaId), 0);
    }

    function test_only_the_parties_agree_on_known_terms_once_for_a_placed_job() public {
        uint256 slaId = slas.defineSla(_terms());
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.NotParty.selector, JOB, STRANGER));
        vm.prank(STRANGER);
        slas.attachSla(JOB, slaId);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.UnknownSla.selector, slaId + 1));
        vm.prank(CUSTOMER);
        slas.attachSla(JOB, slaId + 1);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.JobNotPlaced.selector, 99));
        vm.prank(CUSTOMER);
        slas.attachSla(99, slaId);
        jobs.setStatus(JOB, IJobManager.JobStatus.Stopping);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.JobNotPlaced.selector, JOB));
        vm.prank(CUSTOMER);
        slas.attachSla(JOB, slaId);

        jobs.setStatus(JOB, IJobManager.JobStatus.Assigned);
        uint256 id = _attached();
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.AlreadyAttached.selector, id));
        vm.prank(CUSTOMER);
        slas.attachSla(JOB, slaId);
    }

    function test_each_node_of_a_job_has_its_own_agreement() public {
        uint256 id = _attached();
        _place(JOB, OTHER_NODE, OWNER);
        uint256 otherId = _attached();
        vm.assertEq(slas.attachmentOf(JOB, 0), id);
        vm.assertEq(slas.attachmentOf(JOB, 1), otherId);
        vm.assertEq(slas.getAttachment(otherId).nodeId, OTHER_NODE);
    }

    function test_an_agreement_closes_when_the_job_leaves_or_ends() public {
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.UnknownAttachment.selector, 1));
        slas.closeSla(1);
        uint256 id = _attached();
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.StillBinding.selector, id));
        slas.closeSla(id);
        jobs.setStatus(JOB, IJobManager.JobStatus.Assigned);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.StillBinding.selector, id));
        slas.closeSla(id);

        uint256 state = vm.snapshotState();
        IJobManager.JobStatus[3] memory ends = [
            IJobManager.JobStatus.Stopping,
            IJobManager.JobStatus.Completed,
            IJobManager.JobStatus.Failed
        ];
        for (uint256 i = 0; i < ends.length; ++i) {
            jobs.setStatus(JOB, ends[i]);
            slas.closeSla(id);
            vm.revertToState(state);
        }
        _place(JOB, OTHER_NODE, OWNER);
        vm.expectEmit(address(slas));
        emit ISLAManager.SlaClosed(id);
        vm.prank(STRANGER);
        slas.closeSla(id);
        vm.assertEq(slas.getAttachment(id).closedAt, block.timestamp);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.AlreadyClosed.selector, id));
        slas.closeSla(id);
    }

    // Reports.

    function test_a_quorum_reports() public {
        uint256 id = _attached();
        _skip(PERIOD_S);
        _report(id, 0, 0, QUORUM - 1);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.None);

        uint64 until = uint64(block.timestamp) + DISPUTE_WINDOW_S;
        bytes32 statement = keccak256(abi.encode(id, 0, DOWNTIME_S, EVIDENCE, 0));
        vm.expectEmit(address(slas));
        emit ISLAManager.ViolationWitnessed(id, 0, _witness(2), statement);
        vm.expectEmit(address(slas));
        emit ISLAManager.ViolationReported(id, 0, DOWNTIME_S, EVIDENCE, until);
        _report(id, 0, QUORUM - 1, QUORUM);
        ISLAManager.Violation memory expected = ISLAManager.Violation({
            status: ISLAManager.ViolationStatus.Reported,
            deadline: until,
            lapsesAt: until + APPLY_WINDOW_S,
            downtime: DOWNTIME_S,
            bond: 0,
            evidenceHash: EVIDENCE
        });
        vm.assertEq(abi.encode(slas.getViolation(id, 0)), abi.encode(expected));
    }

    function test_a_report_comes_after_the_period_and_not_too_late() public {
        uint256 id = _attached();
        uint256 end = block.timestamp + PERIOD_S;
        bytes memory refusal = _wrongTime(end, end + REPORT_WINDOW_S);
        vm.startPrank(_witness(0));
        vm.warp(end - 1);
        vm.expectRevert(refusal);
        slas.reportViolation(id, 0, DOWNTIME_S, EVIDENCE);
        vm.warp(end + REPORT_WINDOW_S + 1);
        vm.expectRevert(refusal);
        slas.reportViolation(id, 0, DOWNTIME_S, EVIDENCE);
        vm.warp(end + REPORT_WINDOW_S);
        slas.reportViolation(id, 0, DOWNTIME_S, EVIDENCE);
    }

    function test_a_report_is_of_a_period_of_an_agreement() public {
        vm.startPrank(_witness(0));
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.UnknownAttachment.selector, 1));
        slas.reportViolation(1, 0, DOWNTIME_S, EVIDENCE);
        vm.stopPrank();
        uint256 id = _attached();
        vm.startPrank(_witness(0));
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.NoSuchPeriod.selector, id, 30));
        slas.reportViolation(id, 30, DOWNTIME_S, EVIDENCE);
        _skip(30 * PERIOD_S);
        slas.reportViolation(id, 29, DOWNTIME_S, EVIDENCE);
    }

    function test_a_report_is_of_more_downtime_than_allowed() public {
        uint256 id = _attached();
        _skip(PERIOD_S);
        vm.startPrank(_witness(0));
        uint64[2] memory wrong = [DOWNTIME_MAX_S, PERIOD_S + 1];
        for (uint256 i = 0; i < wrong.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    ISLAManager.NotAViolation.selector, wrong[i], DOWNTIME_MAX_S + 1, PERIOD_S
                )
            );
            slas.reportViolation(id, 0, wrong[i], EVIDENCE);
        }
        slas.reportViolation(id, 0, DOWNTIME_MAX_S + 1, EVIDENCE);
        slas.reportViolation(id, 0, PERIOD_S, EVIDENCE);
        vm.expectRevert(ISLAManager.ZeroEvidence.selector);
        slas.reportViolation(id, 0, DOWNTIME_S, 0);
    }

    /// @dev Nobody is rid of the terms by failing the job.
    function test_the_period_in_which_the_job_ends_counts_whole_and_is_the_last() public {
        uint256 id = _attached();
        uint256 attachedAt = block.timestamp;
        _skip(PERIOD_S + 1);
        jobs.setStatus(JOB, IJobManager.JobStatus.Failed);
        slas.closeSla(id);
        vm.startPrank(_witness(0));
        vm.expectRevert(
            _wrongTime(attachedAt + 2 * PERIOD_S, attachedAt + 2 * PERIOD_S + REPORT_WINDOW_S)
        );
        slas.reportViolation(id, 1, PERIOD_S - 1, EVIDENCE);
        vm.warp(attachedAt + 3 * PERIOD_S);
        slas.reportViolation(id, 0, PERIOD_S, EVIDENCE);
        slas.reportViolation(id, 1, PERIOD_S - 1, EVIDENCE);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.NoSuchPeriod.selector, id, 2));
        slas.reportViolation(id, 2, PERIOD_S, EVIDENCE);
    }

    function test_a_period_that_would_begin_at_the_end_does_not() public {
        uint256 id = _attached();
        _skip(PERIOD_S);
        jobs.setStatus(JOB, IJobManager.JobStatus.Completed);
        slas.closeSla(id);
        _skip(PERIOD_S);
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.NoSuchPeriod.selector, id, 1));
        vm.prank(_witness(0));
        slas.reportViolation(id, 1, DOWNTIME_S, EVIDENCE);
    }

    function test_only_witnesses_report_and_each_once() public {
        uint256 id = _attached();
        _skip(PERIOD_S);
        vm.expectRevert(_unauthorized(CUSTOMER, Roles.WITNESS));
        vm.prank(CUSTOMER);
        slas.reportViolation(id, 0, DOWNTIME_S, EVIDENCE);

        _report(id, 0, 0, 1);
        bytes32 statement = keccak256(abi.encode(id, 0, DOWNTIME_S, EVIDENCE, 0));
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.AlreadyVoted.selector, _witness(0), statement)
        );
        vm.prank(_witness(0));
        slas.reportViolation(id, 0, DOWNTIME_S, EVIDENCE);
    }

    function test_a_lost_role_discards_reports_without_a_quorum() public {
        uint256 id = _attached();
        _skip(PERIOD_S);
        _report(id, 0, 0, QUORUM - 1);
        slas.revokeRole(Roles.SLASHER, COMMITTEE);
        slas.revokeRole(Roles.WITNESS, STRANGER);
        vm.expectRevert(
            abi.encodeWithSelector(
                Quorum.AlreadyVoted.selector,
                _witness(0),
                keccak256(abi.encode(id, 0, DOWNTIME_S, EVIDENCE, 0))
            )
        );
        _report(id, 0, 0, 1);
        slas.revokeRole(Roles.WITNESS, _witness(QUORUM));
        _report(id, 0, 0, QUORUM - 1);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.None);
        _report(id, 0, QUORUM - 1, QUORUM);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.Reported);
    }

    // Disputes.

    function test_a_dispute_takes_a_bond() public {
        uint256 id = _reported();
        _skip(DISPUTE_WINDOW_S);
        uint64 until = uint64(block.timestamp) + RESOLUTION_WINDOW_S;
        uint256 before = aleph.balanceOf(OWNER);
        vm.expectEmit(address(slas));
        emit ISLAManager.ViolationDisputed(id, 0, keccak256("counter"), until);
        vm.prank(OWNER);
        slas.disputeViolation(id, 0, keccak256("counter"));
        vm.assertEq(before - aleph.balanceOf(OWNER), BOND);
        vm.assertEq(aleph.balanceOf(address(slas)), BOND);
        vm.assertEq(slas.getViolation(id, 0).bond, BOND);
        vm.assertEq(slas.getViolation(id, 0).deadline, until);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.Disputed);
    }

    function test_a_dispute_is_the_owners_in_time_and_once() public {
        uint256 id = _attached();
        vm.startPrank(OWNER);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.None));
        slas.disputeViolation(id, 0, EVIDENCE);
        vm.stopPrank();
        _skip(PERIOD_S);
        _report(id, 0, 0, QUORUM);

        vm.expectRevert(abi.encodeWithSelector(ISLAManager.NotAccused.selector, CUSTOMER));
        vm.prank(CUSTOMER);
        slas.disputeViolation(id, 0, EVIDENCE);
        vm.startPrank(OWNER);
        vm.expectRevert(ISLAManager.ZeroEvidence.selector);
        slas.disputeViolation(id, 0, 0);
        uint256 state = vm.snapshotState();
        uint256 deadline = block.timestamp + DISPUTE_WINDOW_S;
        _skip(DISPUTE_WINDOW_S + 1);
        vm.expectRevert(_wrongTime(0, deadline));
        slas.disputeViolation(id, 0, EVIDENCE);
        vm.revertToState(state);
        slas.disputeViolation(id, 0, EVIDENCE);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Disputed));
        slas.disputeViolation(id, 0, EVIDENCE);
    }

    function test_a_lost_dispute_is_the_customers_bond_and_a_penalty() public {
        uint256 id = _disputed();
        vm.expectEmit(address(slas));
        emit ISLAManager.ViolationUpheld(id, 0);
        _resolve(id, 0, true);
        vm.assertEq(slas.withdrawable(CUSTOMER), BOND);
        vm.assertEq(slas.withdrawable(OWNER), 0);
        // At once.
        slas.applyPenalty(id, 0);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.Applied);
        vm.assertEq(staking.slashedOf(OWNER), SLASH);
        _withdraw(CUSTOMER, BOND);
    }

    function test_a_won_dispute_gives_the_bond_back() public {
        uint256 id = _disputed();
        _skip(RESOLUTION_WINDOW_S);
        vm.expectEmit(address(slas));
        emit ISLAManager.ViolationDismissed(id, 0);
        _resolve(id, 0, false);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.Dismissed);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Dismissed));
        slas.applyPenalty(id, 0);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Dismissed));
        slas.closeViolation(id, 0);
        _withdraw(OWNER, BOND);
    }

    function test_a_dispute_that_nobody_decides_is_won() public {
        uint256 id = _disputed();
        uint256 deadline = slas.getViolation(id, 0).deadline;
        _skip(RESOLUTION_WINDOW_S);
        vm.expectRevert(_wrongTime(deadline + 1, type(uint256).max));
        slas.closeViolation(id, 0);
        _skip(1);
        vm.expectRevert(_wrongTime(0, deadline));
        _resolve(id, 0, true);
        vm.expectEmit(address(slas));
        emit ISLAManager.ViolationDismissed(id, 0);
        vm.prank(STRANGER);
        slas.closeViolation(id, 0);
        _withdraw(OWNER, BOND);
    }

    function test_only_the_committee_decides_and_only_disputes() public {
        uint256 id = _reported();
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Reported));
        _resolve(id, 0, false);
        vm.prank(OWNER);
        slas.disputeViolation(id, 0, EVIDENCE);
        vm.expectRevert(_unauthorized(OWNER, Roles.SLASHER));
        vm.prank(OWNER);
        slas.resolveDispute(id, 0, false);
    }

    // Penalties.

    function test_a_penalty_credits_and_slashes() public {
        uint256 id = _reported();
        uint256 from = block.timestamp + DISPUTE_WINDOW_S + 1;
        bytes memory refusal = _wrongTime(from, from - 1 + APPLY_WINDOW_S);
        _skip(DISPUTE_WINDOW_S);
        vm.expectRevert(refusal);
        slas.applyPenalty(id, 0);
        _skip(1);
        vm.expectEmit(address(slas));
        emit ISLAManager.PenaltyApplied(id, 0, CREDIT, SLASH, SLASH * CUSTOMER_BPS / 10_000);
        vm.prank(STRANGER);
        slas.applyPenalty(id, 0);
        vm.assertEq(payments.credited(JOB), CREDIT);
        vm.assertEq(staking.callCount(), 1);
        vm.assertEq(
            abi.encode(staking.callAt(0)),
            abi.encode(NODE, OWNER, SLASH, CUSTOMER, CUSTOMER_BPS, EVIDENCE)
        );
    }

    function test_a_penalty_that_nobody_applies_lapses() public {
        uint256[2] memory ids = [_reported(), 0];
        _place(JOB + 1, NODE, OWNER);
        ids[1] = _attach(JOB + 1, _terms());
        _skip(PERIOD_S);
        _report(ids[1], 0, 0, QUORUM);
        vm.prank(OWNER);
        slas.disputeViolation(ids[1], 0, EVIDENCE);
        _resolve(ids[1], 0, true);

        for (uint256 i = 0; i < 2; ++i) {
            uint256 state = vm.snapshotState();
            ISLAManager.Violation memory violation = slas.getViolation(ids[i], 0);
            vm.warp(violation.lapsesAt);
            vm.expectRevert(_wrongTime(uint256(violation.lapsesAt) + 1, type(uint256).max));
            slas.closeViolation(ids[i], 0);
            _skip(1);
            vm.expectRevert(_wrongTime(violation.deadline + 1 - i, violation.lapsesAt));
            slas.applyPenalty(ids[i], 0);
            vm.expectEmit(address(slas));
            emit ISLAManager.ViolationLapsed(ids[i], 0);
            slas.closeViolation(ids[i], 0);
            vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Lapsed));
            slas.applyPenalty(ids[i], 0);
            vm.revertToState(state);
        }
    }

    function test_only_a_violation_can_be_closed() public {
        uint256 id = _attached();
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.None));
        slas.closeViolation(id, 0);
    }

    function test_a_slash_stops_at_the_owners_stake() public {
        uint256 id = _reported();
        staking.setStake(NODE, OWNER, 30 ether, 20 ether);
        staking.setDelegated(NODE, 1000 ether);
        _skip(DISPUTE_WINDOW_S + 1);
        slas.applyPenalty(id, 0);
        vm.assertEq(staking.slashedOf(OWNER), 50 ether);
        vm.assertEq(staking.delegated(NODE), 1000 ether);
    }

    function test_without_stake_there_is_no_slash() public {
        uint256 id = _reported();
        staking.setStake(NODE, OWNER, 0, 0);
        _skip(DISPUTE_WINDOW_S + 1);
        vm.expectEmit(address(slas));
        emit ISLAManager.PenaltyApplied(id, 0, CREDIT, 0, 0);
        slas.applyPenalty(id, 0);
        vm.assertEq(staking.callCount(), 0);
    }

    function test_the_next_node_of_a_job_pays_nothing() public {
        uint256 id = _reported();
        _place(JOB, OTHER_NODE, OWNER);
        _skip(DISPUTE_WINDOW_S + 1);
        vm.expectEmit(address(slas));
        emit ISLAManager.PenaltyApplied(id, 0, 0, SLASH, SLASH * CUSTOMER_BPS / 10_000);
        slas.applyPenalty(id, 0);
        vm.assertEq(payments.calls(), 0);
    }

    function test_a_job_that_costs_nothing_is_credited_nothing() public {
        jobs.place(JOB + 1, CUSTOMER, 0, NODE, OWNER);
        uint256 id = _attach(JOB + 1, _terms());
        _skip(PERIOD_S);
        _report(id, 0, 0, QUORUM);
        _skip(DISPUTE_WINDOW_S + 1);
        slas.applyPenalty(id, 0);
        vm.assertEq(payments.calls(), 0);
        vm.assertEq(staking.slashedOf(OWNER), SLASH);
    }

    function testFuzz_the_credit_is_a_part_of_what_the_period_costs(
        uint128 pricePerHour,
        uint64 period,
        uint16 creditBps
    ) public {
        ISLAManager.Terms memory terms = _terms();
        terms.period = 1 hours + period % 30 days;
        terms.creditBps = creditBps % 10_001;
        jobs.place(JOB + 1, CUSTOMER, pricePerHour, NODE, OWNER);
        uint256 id = _attach(JOB + 1, terms);
        uint256 amount = slas.getAttachment(id).creditAmount;
        uint256 whole = uint256(pricePerHour) * terms.period / 1 hours;
        vm.assertLe(amount, whole);
        if (terms.creditBps == 10_000) vm.assertEq(amount, whole);
        if (terms.creditBps == 0) vm.assertEq(amount, 0);
    }

    function test_nothing_is_withdrawn_twice() public {
        uint256 id = _disputed();
        _resolve(id, 0, false);
        _withdraw(OWNER, BOND);
        vm.expectRevert(ISLAManager.NothingToWithdraw.selector);
        vm.prank(OWNER);
        slas.withdraw();
    }

    // Governance.

    function test_parameters_are_governances_and_bounded() public {
        vm.assertEq(abi.encode(slas.getParameters()), abi.encode(_parameters()));
        vm.expectRevert(_unauthorized(STRANGER, Roles.PARAMETER));
        vm.prank(STRANGER);
        slas.setParameters(_parameters());

        ISLAManager.Parameters memory all = _parameters();
        all.witnessQuorum = 0;
        _expectOutOfBounds(all, "witnessQuorum", 0, 1, 32);
        all = _parameters();
        all.offerValidity = 0;
        _expectOutOfBounds(all, "offerValidity", 0, 1, 30 days);
        all = _parameters();
        all.reportWindow = 30 days + 1;
        _expectOutOfBounds(all, "reportWindow", 30 days + 1, 1, 30 days);
        all = _parameters();
        all.disputeWindow = 0;
        _expectOutOfBounds(all, "disputeWindow", 0, 1, 30 days);
        all = _parameters();
        all.resolutionWindow = 30 days + 1;
        _expectOutOfBounds(all, "resolutionWindow", 30 days + 1, 1, 30 days);
        all = _parameters();
        all.applyWindow = 1 hours - 1;
        _expectOutOfBounds(all, "applyWindow", 1 hours - 1, 1 hours, 90 days);
        all = _parameters();
        all.customerBpsMax = 5001;
        _expectOutOfBounds(all, "customerBpsMax", 5001, 0, 5000);
        all = _parameters();
        all.slashMax = 1e27 + 1;
        _expectOutOfBounds(all, "slashMax", 1e27 + 1, 0, 1e27);
        all = _parameters();
        all.disputeBond = 0;
        _expectOutOfBounds(all, "disputeBond", 0, 1, 1e24);

        all = ISLAManager.Parameters(
            32, 30 days, 30 days, 30 days, 30 days, 90 days, 5000, 1e27, 1e24
        );
        vm.expectEmit(address(slas));
        emit ISLAManager.ParametersSet(all);
        slas.setParameters(all);
        vm.assertEq(abi.encode(slas.getParameters()), abi.encode(all));
    }

    function test_new_parameters_leave_what_runs_alone() public {
        uint256 id = _disputed();
        bytes memory before = abi.encode(slas.getViolation(id, 0), slas.getAttachment(id));
        slas.setParameters(ISLAManager.Parameters(1, 1, 1, 1, 1, 1 hours, 0, 0, 1));
        vm.assertEq(abi.encode(slas.getViolation(id, 0), slas.getAttachment(id)), before);
        _resolve(id, 0, true);
        slas.applyPenalty(id, 0);
        vm.assertEq(staking.slashedOf(OWNER), SLASH);
        _withdraw(CUSTOMER, BOND);
    }

    function test_initialization_refuses_zero_addresses() public {
        address implementation = address(new SLAManager());
        for (uint256 i = 0; i < 4; ++i) {
            ISLAManager.Contracts memory all = _contracts();
            if (i == 0) all.token = IERC20(address(0));
            if (i == 1) all.staking = ISlashing(address(0));
            if (i == 2) all.jobs = IBilledJobs(address(0));
            if (i == 3) all.payments = ICredits(address(0));
            vm.expectRevert(ISLAManager.ZeroAddress.selector);
            _proxy(
                implementation,
                abi.encodeCall(SLAManager.initialize, (address(this), all, _parameters()))
            );
        }
    }

    function test_a_pause_stops_terms_and_agreements() public {
        uint256 slaId = slas.defineSla(_terms());
        slas.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        slas.defineSla(_terms());
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        vm.prank(CUSTOMER);
        slas.attachSla(JOB, slaId);
    }

    function test_storage_is_in_its_namespace() public view {
        uint256 start = uint256(SlotDerivation.erc7201Slot("aleph.storage.SLAManager"));
        vm.assertEq(uint256(vm.load(address(slas), bytes32(start))), uint160(address(aleph)));
        vm.assertEq(uint256(vm.load(address(slas), bytes32(start + 3))), uint160(address(payments)));
    }

    function _withdraw(address account, uint256 amount) private {
        uint256 before = aleph.balanceOf(account);
        vm.expectEmit(address(slas));
        emit ISLAManager.BondsWithdrawn(account, amount);
        vm.prank(account);
        slas.withdraw();
        vm.assertEq(aleph.balanceOf(account) - before, amount);
    }

    function _expectOutOfBounds(
        ISLAManager.Terms memory terms,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        slas.defineSla(terms);
    }

    function _expectOutOfBounds(
        ISLAManager.Parameters memory parameters,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        slas.setParameters(parameters);
    }

    function _unauthorized(address account, bytes32 role) private pure returns (bytes memory) {
        return abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, account, role
        );
    }
}

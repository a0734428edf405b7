// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {JobManager} from "../../src/JobManager.sol";
import {IAttestations} from "../../src/interfaces/IAttestations.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {Bounds} from "../../src/libraries/Bounds.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev What a job costs and for which time, who may give it to another node, and how it ends when
/// its node is dead. The states and their transitions are in JobManagerTest.
contract JobPaymentTest is PaymentFixture {
    uint64 private constant WITHIN_S = 1 days;

    // What an order needs.

    function test_an_order_keeps_its_price_and_the_allowance_that_was_seen() public {
        IJobManager.JobRequest memory request = _priced(address(aleph), PRICE);
        request.attestedWithin = WITHIN_S;
        _allow(aleph, CUSTOMER, 5 ether);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobCreated(1, CUSTOMER, request, 5 ether);
        vm.prank(CUSTOMER);
        uint256 jobId = jobs.createJob(request);

        IJobManager.Job memory job = jobs.getJob(jobId);
        vm.assertEq(job.token, address(aleph));
        vm.assertEq(job.pricePerHour, PRICE);
        vm.assertEq(job.attestedWithin, WITHIN_S);
        IJobManager.Billing memory billing = jobs.getBilling(jobId);
        vm.assertEq(billing.customer, CUSTOMER);
        vm.assertEq(billing.token, address(aleph));
        vm.assertEq(billing.pricePerHour, PRICE);
        vm.assertTrue(billing.status == IJobManager.JobStatus.Created);
        vm.assertEq(billing.segments, 0);
    }

    function test_an_order_must_be_funded_by_allowance_and_balance() public {
        IJobManager.JobRequest memory request = _priced(address(aleph), PRICE);
        vm.startPrank(CUSTOMER);
        aleph.approve(address(payments), PRICE - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobManager.NotFunded.selector, PRICE - 1, 10_000_000 ether, PRICE
            )
        );
        jobs.createJob(request);

        aleph.approve(address(payments), PRICE);
        aleph.transfer(address(this), 10_000_000 ether - PRICE + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NotFunded.selector, PRICE, PRICE - 1, PRICE)
        );
        jobs.createJob(request);
        vm.stopPrank();

        aleph.transfer(CUSTOMER, 1);
        vm.prank(CUSTOMER);
        jobs.createJob(request);
    }

    function test_a_price_has_an_allowed_token_and_no_price_has_none() public {
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.TokenWithoutPrice.selector, address(aleph))
        );
        jobs.createJob(_priced(address(aleph), 0));

        vm.expectRevert(abi.encodeWithSelector(IJobManager.TokenNotAllowed.selector, STRANGER));
        jobs.createJob(_priced(STRANGER, PRICE));
    }

    function test_without_a_payment_manager_only_free_jobs_can_be_ordered() public {
        JobManager other = JobManager(
            _proxy(
                address(new JobManager()),
                abi.encodeCall(JobManager.initialize, (address(this), registry, _jobParameters()))
            )
        );
        vm.expectRevert(IJobManager.PaymentManagerNotSet.selector);
        other.createJob(_priced(address(aleph), PRICE));
        other.createJob(_request());
    }

    function test_the_payment_manager_is_set_once() public {
        vm.assertEq(address(jobs.getPaymentManager()), address(payments));
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.PaymentManagerAlreadySet.selector, address(payments))
        );
        jobs.setPaymentManager(IPaymentManager(STRANGER));
        vm.expectRevert(IJobManager.ZeroAddress.selector);
        jobs.setPaymentManager(IPaymentManager(address(0)));
    }

    // Proven time.

    function test_the_time_between_proofs_is_paid_if_it_is_short_enough() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 60);
        vm.assertEq(_accrued(jobId), 60);
        _prove(jobId, GAP_S);
        vm.assertEq(_accrued(jobId), 60 + GAP_S);

        // One second more and nothing of it counts, but the next gap does.
        vm.warp(block.timestamp + 1);
        _prove(jobId, GAP_S);
        vm.assertEq(_accrued(jobId), 60 + GAP_S);
        _prove(jobId, 10);
        vm.assertEq(_accrued(jobId), 70 + GAP_S);
        // Twice in a block.
        uint256[] memory jobIds = new uint256[](2);
        (jobIds[0], jobIds[1]) = (jobId, jobId);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        vm.assertEq(_accrued(jobId), 70 + GAP_S);
    }

    function test_completing_is_the_last_proof_and_failing_is_none() public {
        uint256 completed = _paidJob();
        uint256 failed = _paidJob();
        vm.warp(block.timestamp + 60);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobCompleted(completed, 60);
        vm.startPrank(OPERATOR);
        jobs.completeJob(completed);
        jobs.failJob(failed, "");

        vm.assertEq(_accrued(completed), 60);
        vm.assertEq(_accrued(failed), 0);
    }

    function test_nothing_accrues_once_a_stop_is_asked_for() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 60);
        vm.warp(block.timestamp + 30);
        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        vm.assertEq(_accrued(jobId), 60);

        // What was proven only now, but passed before.
        _prove(jobId, 100);
        vm.assertEq(_accrued(jobId), 90);
        _prove(jobId, 100);
        vm.warp(block.timestamp + 100);
        _complete(jobId, OPERATOR);
        vm.assertEq(_accrued(jobId), 90);
    }

    function test_a_job_that_never_started_proves_nothing() public {
        uint256 jobId = _order(CUSTOMER, address(aleph), PRICE);
        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, NODE);
        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        _prove(jobId, 60);
        _prove(jobId, 60);
        _complete(jobId, OPERATOR);
        vm.assertEq(_accrued(jobId), 0);
    }

    function test_unattested_time_is_not_paid() public {
        _mockAttested(NODE, true);
        uint256 jobId = _attestedJob();
        _prove(jobId, 60);
        vm.assertEq(_accrued(jobId), 60);

        _mockAttested(NODE, false);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobHeartbeatUnattested(jobId, NODE);
        _prove(jobId, 60);
        vm.assertTrue(jobs.getJob(jobId).attestationLapsed);
        vm.assertEq(jobs.getJob(jobId).lastHeartbeat, block.timestamp - 60);

        // The gap that holds unattested time is lost; from here on it counts again.
        _mockAttested(NODE, true);
        _prove(jobId, 60);
        vm.assertEq(_accrued(jobId), 60);
        vm.assertFalse(jobs.getJob(jobId).attestationLapsed);
        _prove(jobId, 60);
        vm.assertEq(_accrued(jobId), 120);

        _mockAttested(NODE, false);
        vm.warp(block.timestamp + 60);
        _complete(jobId, OPERATOR);
        vm.assertEq(_accrued(jobId), 120);
    }

    function test_a_job_that_asks_for_attestation_goes_to_attested_nodes_only() public {
        IJobManager.JobRequest memory request = _request();
        request.attestedWithin = WITHIN_S;
        uint256 jobId = jobs.createJob(request);

        _mockAttested(NODE, false);
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NodeNotAttested.selector, NODE, WITHIN_S)
        );
        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, NODE);

        _mockAttested(NODE, true);
        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, NODE);
        _mockAttested(NODE, false);
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NodeNotAttested.selector, NODE, WITHIN_S)
        );
        vm.prank(OPERATOR);
        jobs.startJob(jobId);
    }

    // Another node.

    function test_a_silent_node_loses_the_job_but_not_its_time() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.warp(block.timestamp + 2 hours);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobReassigned(jobId, NODE, OTHER_NODE, 100, OTHER_OWNER);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);

        vm.assertEq(jobs.getJob(jobId).nodeId, OTHER_NODE);
        vm.assertEq(jobs.getJobsOfNode(NODE, 0, 1).length, 0);
        vm.assertEq(jobs.getJobsOfNode(OTHER_NODE, 0, 1)[0], jobId);
        vm.assertEq(jobs.getBilling(jobId).segments, 2);
        _assertSegment(jobId, 0, IJobManager.Segment(NODE, 100, true, OWNER));
        _assertSegment(jobId, 1, IJobManager.Segment(OTHER_NODE, 0, false, OTHER_OWNER));

        // The old node wakes up: its heartbeats are nobody's.
        _prove(jobId, OPERATOR, 50);
        _prove(jobId, OTHER_OPERATOR, 50);
        _assertSegment(jobId, 0, IJobManager.Segment(NODE, 100, true, OWNER));
        _assertSegment(jobId, 1, IJobManager.Segment(OTHER_NODE, 100, false, OTHER_OWNER));
        _complete(jobId, OTHER_OPERATOR);
        _assertSegment(jobId, 1, IJobManager.Segment(OTHER_NODE, 100, true, OTHER_OWNER));
        vm.expectRevert(abi.encodeWithSelector(IJobManager.NoSuchSegment.selector, jobId, 2));
        jobs.getSegment(jobId, 2);
    }

    function test_a_lapse_of_one_node_is_not_the_next_ones() public {
        _mockAttested(NODE, true);
        uint256 jobId = _attestedJob();
        _mockAttested(NODE, false);
        _prove(jobId, 2 hours);
        _mockAttested(OTHER_NODE, true);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _prove(jobId, OTHER_OPERATOR, 60);
        vm.assertEq(_accrued(jobId), 60);
    }

    function test_reassigning_waits_for_silence_from_start_and_last_proof() public {
        uint256 jobId = _order(CUSTOMER, address(aleph), PRICE);
        vm.startPrank(SCHEDULER);
        vm.expectRevert(_wrongStatus(jobId, IJobManager.JobStatus.Created));
        jobs.reassignJob(jobId, OTHER_NODE);

        jobs.assignJob(jobId, NODE);
        _expectTooEarly(jobId, 2 hours);
        jobs.reassignJob(jobId, OTHER_NODE);
        vm.stopPrank();

        vm.warp(block.timestamp + 2 hours - 1);
        vm.prank(OPERATOR);
        jobs.startJob(jobId);
        _expectTooEarly(jobId, 2 hours);
        vm.prank(SCHEDULER);
        jobs.reassignJob(jobId, OTHER_NODE);

        _prove(jobId, 60);
        vm.warp(block.timestamp + 2 hours - 1);
        _expectTooEarly(jobId, 1);
        vm.startPrank(SCHEDULER);
        jobs.reassignJob(jobId, OTHER_NODE);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobManager.SameNode.selector, jobId, NODE));
        jobs.reassignJob(jobId, NODE);
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NodeNotActive.selector, keccak256("no node"))
        );
        jobs.reassignJob(jobId, keccak256("no node"));
        jobs.reassignJob(jobId, OTHER_NODE);
        vm.stopPrank();

        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(_wrongStatus(jobId, IJobManager.JobStatus.Stopping));
        vm.prank(SCHEDULER);
        jobs.reassignJob(jobId, NODE);
    }

    function test_a_job_has_sixteen_segments_at_most() public {
        uint256 jobId = _paidJob();
        for (uint256 i = 1; i < 16; ++i) {
            vm.warp(block.timestamp + 2 hours);
            vm.prank(SCHEDULER);
            jobs.reassignJob(jobId, i % 2 == 1 ? OTHER_NODE : NODE);
        }
        vm.assertEq(jobs.getBilling(jobId).segments, 16);
        vm.warp(block.timestamp + 2 hours);
        vm.expectRevert(abi.encodeWithSelector(IJobManager.TooManySegments.selector, jobId, 16));
        vm.prank(SCHEDULER);
        jobs.reassignJob(jobId, NODE);
    }

    // Dead nodes.

    function test_anyone_ends_a_job_whose_node_is_dead() public {
        uint256 assigned = _order(CUSTOMER, address(aleph), PRICE);
        vm.prank(SCHEDULER);
        jobs.assignJob(assigned, NODE);
        uint256[3] memory jobIds = [assigned, _paidJob(), _paidJob()];
        vm.prank(CUSTOMER);
        jobs.stopJob(jobIds[2]);

        vm.warp(block.timestamp + 1 days - 1);
        for (uint256 i = 0; i < jobIds.length; ++i) {
            _expectTooEarly(jobIds[i], 1);
            jobs.expireJob(jobIds[i]);
        }
        vm.warp(block.timestamp + 1);
        for (uint256 i = 0; i < jobIds.length; ++i) {
            vm.expectEmit(address(jobs));
            emit IJobManager.JobFailed(jobIds[i], "no proof of life");
            vm.prank(STRANGER);
            jobs.expireJob(jobIds[i]);
            _assertStatus(jobIds[i], IJobManager.JobStatus.Failed);
        }
        vm.assertEq(jobs.getJobsOfNode(NODE, 0, 1).length, 0);
    }

    function test_a_node_cannot_hold_a_stopping_job_by_living_on() public {
        uint256 jobId = _paidJob();
        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        _prove(jobId, 1 days);
        jobs.expireJob(jobId);
        _assertStatus(jobId, IJobManager.JobStatus.Failed);
    }

    function test_only_what_has_a_node_and_goes_on_expires() public {
        uint256 created = _order(CUSTOMER, address(aleph), PRICE);
        uint256 completed = _paidJob();
        _complete(completed, OPERATOR);
        vm.warp(block.timestamp + 30 days);
        vm.expectRevert(_wrongStatus(created, IJobManager.JobStatus.Created));
        jobs.expireJob(created);
        vm.expectRevert(_wrongStatus(completed, IJobManager.JobStatus.Completed));
        jobs.expireJob(completed);
        vm.expectRevert(_wrongStatus(99, IJobManager.JobStatus.None));
        jobs.expireJob(99);
    }

    function test_an_unpaid_job_is_asked_to_stop() public {
        uint256 jobId = _paidJob();
        vm.expectEmit(address(jobs));
        emit IJobManager.JobStopRequested(jobId);
        vm.startPrank(address(payments));
        jobs.stopUnpaidJob(jobId);
        vm.assertEq(jobs.getJob(jobId).stoppedAt, block.timestamp);
        vm.expectRevert(_wrongStatus(jobId, IJobManager.JobStatus.Stopping));
        jobs.stopUnpaidJob(jobId);
    }

    // The rules.

    function test_parameters_are_bounded_and_ordered() public {
        IJobManager.Parameters memory good = IJobManager.Parameters(10, 20, 30, 40);
        vm.expectEmit(address(jobs));
        emit IJobManager.ParametersSet(10, 20, 30, 40);
        jobs.setParameters(good);
        vm.assertEq(abi.encode(jobs.getParameters()), abi.encode(good));

        _expectBounds("heartbeatGapMax", 0, 1, 1 days);
        jobs.setParameters(IJobManager.Parameters(0, 20, 30, 40));
        _expectBounds("heartbeatGapMax", 1 days + 1, 1, 1 days);
        jobs.setParameters(IJobManager.Parameters(1 days + 1, 2 days, 3 days, 40));
        _expectBounds("reassignAfter", 9, 10, 7 days);
        jobs.setParameters(IJobManager.Parameters(10, 9, 30, 40));
        _expectBounds("reassignAfter", 7 days + 1, 10, 7 days);
        jobs.setParameters(IJobManager.Parameters(10, 7 days + 1, 8 days, 40));
        _expectBounds("expireAfter", 19, 20, 30 days);
        jobs.setParameters(IJobManager.Parameters(10, 20, 19, 40));
        _expectBounds("expireAfter", 30 days + 1, 20, 30 days);
        jobs.setParameters(IJobManager.Parameters(10, 20, 30 days + 1, 40));
        _expectBounds("minFundedHours", 721, 0, 720);
        jobs.setParameters(IJobManager.Parameters(10, 20, 30, 721));
        jobs.setParameters(IJobManager.Parameters(1 days, 7 days, 30 days, 720));
        jobs.setParameters(IJobManager.Parameters(1, 1, 1, 0));
    }

    /// @dev However proofs come, a node is paid for at most the time that passed, and for all of it
    /// when no gap is too long.
    function testFuzz_proven_time(uint16[8] calldata gaps, uint256 stopAt) public {
        uint256 jobId = _paidJob();
        uint64 expected;
        uint256 stop = stopAt % 16;
        for (uint256 i = 0; i < gaps.length; ++i) {
            uint256 gap = gaps[i] % (2 * GAP_S);
            vm.warp(block.timestamp + gap);
            uint256[] memory jobIds = new uint256[](1);
            jobIds[0] = jobId;
            vm.prank(OPERATOR);
            jobs.heartbeat(jobIds);
            if (gap <= GAP_S && i <= stop) expected += uint64(gap);
            if (i == stop) {
                vm.prank(CUSTOMER);
                jobs.stopJob(jobId);
            }
        }
        vm.assertEq(_accrued(jobId), expected);
    }

    function _attestedJob() private returns (uint256 jobId) {
        IJobManager.JobRequest memory request = _priced(address(aleph), PRICE);
        request.attestedWithin = WITHIN_S;
        vm.prank(CUSTOMER);
        jobId = jobs.createJob(request);
        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, NODE);
        vm.prank(OPERATOR);
        jobs.startJob(jobId);
    }

    /// @dev How the registry comes to its answer is its own test's matter.
    function _mockAttested(bytes32 nodeId, bool attested) private {
        vm.mockCall(
            address(registry),
            abi.encodeCall(IAttestations.isAttested, (nodeId, WITHIN_S)),
            abi.encode(attested)
        );
    }

    function _accrued(uint256 jobId) private view returns (uint64) {
        return jobs.getSegment(jobId, jobs.getBilling(jobId).segments - 1).accruedSeconds;
    }

    function _assertSegment(uint256 jobId, uint256 index, IJobManager.Segment memory expected)
        private
        view
    {
        vm.assertEq(abi.encode(jobs.getSegment(jobId, index)), abi.encode(expected));
    }

    function _expectTooEarly(uint256 jobId, uint256 secondsLeft) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobManager.TooEarly.selector, jobId, block.timestamp + secondsLeft
            )
        );
    }

    function _expectBounds(bytes32 name, uint256 value, uint256 min, uint256 max) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
    }

    function _wrongStatus(uint256 jobId, IJobManager.JobStatus status)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IJobManager.WrongJobStatus.selector, jobId, status);
    }
}

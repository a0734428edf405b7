// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";

import {vm} from "../script/Vm.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {Fixture} from "./base/Fixture.sol";

contract JobManagerTest is Fixture {
    function setUp() public override {
        super.setUp();
        _activeNode(NODE, OWNER, OPERATOR);
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
    }

    function test_creation_keeps_everything_and_says_so() public {
        vm.expectEmit(address(jobs));
        emit IJobManager.JobCreated(1, CUSTOMER, _request(), 0);
        uint256 jobId = _createJob();

        vm.assertEq(jobId, 1);
        vm.assertEq(jobs.jobCount(), 1);
        IJobManager.Job memory job = jobs.getJob(jobId);
        vm.assertEq(job.customer, CUSTOMER);
        vm.assertEq(job.manifestHash, MANIFEST);
        vm.assertEq(job.nodeId, 0);
        vm.assertTrue(job.status == IJobManager.JobStatus.Created);
        vm.assertEq(abi.encode(job.resources), abi.encode(_resources()));
        vm.assertEq(job.createdAt, block.timestamp);
        vm.assertEq(job.assignedAt + job.startedAt + job.lastHeartbeat + job.endedAt, 0);
        _assertOpen(jobId, true);
    }

    function test_creation_refuses_what_is_not_a_job() public {
        IJobManager.JobRequest memory request = _request();
        request.manifestHash = 0;
        vm.expectRevert(IJobManager.ZeroManifestHash.selector);
        jobs.createJob(request);

        for (uint256 i = 0; i < 3; ++i) {
            request = _request();
            if (i == 0) request.resources.vcpus = 0;
            if (i == 1) request.resources.memoryMib = 0;
            if (i == 2) request.resources.diskMib = 0;
            vm.expectRevert(IJobManager.ZeroResources.selector);
            jobs.createJob(request);
        }

        request = _request();
        request.attestedWithin = 365 days + 1;
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobManager.AttestedWithinTooLong.selector, 365 days + 1, 365 days
            )
        );
        jobs.createJob(request);
        request.attestedWithin = 365 days;
        jobs.createJob(request);
    }

    function test_a_gpu_has_a_model_and_a_count() public {
        IJobManager.JobRequest memory request = _request();
        request.resources.gpuModel = keccak256("H100");
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.InvalidGpu.selector, keccak256("H100"), 0)
        );
        jobs.createJob(request);

        request.resources.gpuCount = 8;
        uint256 jobId = jobs.createJob(request);
        vm.assertEq(abi.encode(jobs.getJob(jobId).resources), abi.encode(request.resources));

        request.resources.gpuModel = 0;
        vm.expectRevert(abi.encodeWithSelector(IJobManager.InvalidGpu.selector, bytes32(0), 8));
        jobs.createJob(request);
    }

    function test_assignment_is_to_an_active_node_and_once() public {
        uint256 jobId = _createJob();
        vm.startPrank(SCHEDULER);

        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NodeNotActive.selector, keccak256("no node"))
        );
        jobs.assignJob(jobId, keccak256("no node"));

        vm.warp(block.timestamp + 10);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobAssigned(jobId, NODE, OWNER);
        jobs.assignJob(jobId, NODE);
        vm.assertEq(jobs.getJob(jobId).nodeId, NODE);
        vm.assertEq(jobs.getJob(jobId).assignedAt, block.timestamp);
        _assertOpen(jobId, false);
        _assertOnNode(jobId, NODE, true);

        vm.expectRevert(_wrongStatus(jobId, IJobManager.JobStatus.Assigned));
        jobs.assignJob(jobId, OTHER_NODE);
        vm.expectRevert(_wrongStatus(99, IJobManager.JobStatus.None));
        jobs.assignJob(99, NODE);
    }

    function test_only_its_node_starts_and_completes_a_job() public {
        uint256 jobId = _assignedJob(NODE);

        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NotJobOperator.selector, jobId, OTHER_OPERATOR)
        );
        vm.prank(OTHER_OPERATOR);
        jobs.startJob(jobId);

        vm.startPrank(OPERATOR);
        vm.expectRevert(_wrongStatus(jobId, IJobManager.JobStatus.Assigned));
        jobs.completeJob(jobId);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobStarted(jobId, NODE);
        jobs.startJob(jobId);
        vm.assertEq(jobs.getJob(jobId).startedAt, block.timestamp);
        vm.stopPrank();

        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NotJobOperator.selector, jobId, OTHER_OPERATOR)
        );
        vm.prank(OTHER_OPERATOR);
        jobs.completeJob(jobId);

        vm.expectEmit(address(jobs));
        emit IJobManager.JobCompleted(jobId, 0);
        vm.prank(OPERATOR);
        jobs.completeJob(jobId);
        vm.assertEq(jobs.getJob(jobId).endedAt, block.timestamp);
        _assertOnNode(jobId, NODE, false);
    }

    function test_a_stop_ends_an_open_job_at_once() public {
        uint256 jobId = _createJob();
        vm.recordLogs();
        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);

        vm.assertEq(vm.getRecordedLogs().length, 1);
        vm.assertTrue(_jobStatus(jobId) == IJobManager.JobStatus.Completed);
        _assertOpen(jobId, false);
    }

    function test_a_stop_asks_the_node_of_an_assigned_or_running_job() public {
        uint256[2] memory jobIds = [_assignedJob(NODE), _runningJob(NODE, OPERATOR)];
        for (uint256 i = 0; i < jobIds.length; ++i) {
            vm.expectEmit(address(jobs));
            emit IJobManager.JobStopRequested(jobIds[i]);
            vm.startPrank(CUSTOMER);
            jobs.stopJob(jobIds[i]);
            _assertOnNode(jobIds[i], NODE, true);

            vm.expectRevert(_wrongStatus(jobIds[i], IJobManager.JobStatus.Stopping));
            jobs.stopJob(jobIds[i]);
            vm.stopPrank();

            vm.prank(OPERATOR);
            jobs.completeJob(jobIds[i]);
            vm.assertTrue(_jobStatus(jobIds[i]) == IJobManager.JobStatus.Completed);
        }
    }

    function test_a_stop_is_the_customers() public {
        uint256 jobId = _createJob();
        vm.expectRevert(abi.encodeWithSelector(IJobManager.NotCustomer.selector, jobId, STRANGER));
        vm.prank(STRANGER);
        jobs.stopJob(jobId);

        vm.expectRevert(_wrongStatus(99, IJobManager.JobStatus.None));
        vm.prank(CUSTOMER);
        jobs.stopJob(99);
    }

    function test_a_heartbeat_skips_what_does_not_run_here() public {
        uint256 running = _runningJob(NODE, OPERATOR);
        uint256 assigned = _assignedJob(NODE);
        uint256 elsewhere = _runningJob(OTHER_NODE, OTHER_OPERATOR);
        uint256 stopping = _runningJob(NODE, OPERATOR);
        vm.prank(CUSTOMER);
        jobs.stopJob(stopping);
        vm.warp(block.timestamp + 60);
        uint64 now_ = uint64(block.timestamp);

        uint256[] memory jobIds = new uint256[](5);
        (jobIds[0], jobIds[1], jobIds[2]) = (assigned, running, elsewhere);
        (jobIds[3], jobIds[4]) = (99, stopping);

        vm.expectEmit(address(jobs));
        emit IJobManager.JobHeartbeatSkipped(assigned, IJobManager.JobStatus.Assigned);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobHeartbeat(running, NODE, now_, 60);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobHeartbeatSkipped(elsewhere, IJobManager.JobStatus.Running);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobHeartbeatSkipped(99, IJobManager.JobStatus.None);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobHeartbeat(stopping, NODE, now_, 0);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);

        vm.assertEq(jobs.getJob(running).lastHeartbeat, now_);
        vm.assertEq(jobs.getJob(stopping).lastHeartbeat, now_);
        vm.assertEq(jobs.getJob(assigned).lastHeartbeat, 0);
        vm.assertEq(jobs.getJob(elsewhere).lastHeartbeat, 0);
    }

    function test_a_heartbeat_is_bounded() public {
        vm.startPrank(OPERATOR);
        jobs.heartbeat(new uint256[](64));
        vm.expectRevert(abi.encodeWithSelector(IJobManager.TooManyJobs.selector, 65, 64));
        jobs.heartbeat(new uint256[](65));
    }

    function test_an_operator_fails_its_jobs_in_every_state() public {
        uint256[3] memory jobIds =
            [_assignedJob(NODE), _runningJob(NODE, OPERATOR), _runningJob(NODE, OPERATOR)];
        vm.prank(CUSTOMER);
        jobs.stopJob(jobIds[2]);

        for (uint256 i = 0; i < jobIds.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IJobManager.NotJobOperator.selector, jobIds[i], OTHER_OPERATOR
                )
            );
            vm.prank(OTHER_OPERATOR);
            jobs.failJob(jobIds[i], "not mine");

            vm.expectEmit(address(jobs));
            emit IJobManager.JobFailed(jobIds[i], "no image");
            vm.startPrank(OPERATOR);
            jobs.failJob(jobIds[i], "no image");
            vm.assertEq(jobs.getJob(jobIds[i]).reason, "no image");
            _assertOnNode(jobIds[i], NODE, false);

            vm.expectRevert(_wrongStatus(jobIds[i], IJobManager.JobStatus.Failed));
            jobs.failJob(jobIds[i], "again");
            vm.stopPrank();
        }
    }

    function test_the_scheduler_fails_what_has_not_started() public {
        uint256 created = _createJob();
        uint256 assigned = _assignedJob(NODE);
        uint256 running = _runningJob(NODE, OPERATOR);
        vm.startPrank(SCHEDULER);

        jobs.failJob(created, "no node fits");
        _assertOpen(created, false);
        jobs.failJob(assigned, "node does not answer");
        _assertOnNode(assigned, NODE, false);

        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NotJobOperator.selector, running, SCHEDULER)
        );
        jobs.failJob(running, "too late");
    }

    function test_an_account_without_a_node_is_no_operator_of_a_job_without_one() public {
        uint256 jobId = _createJob();
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.NotJobOperator.selector, jobId, STRANGER)
        );
        vm.prank(STRANGER);
        jobs.failJob(jobId, "");
    }

    function test_a_reason_is_bounded() public {
        uint256 jobId = _runningJob(NODE, OPERATOR);
        vm.startPrank(OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(IJobManager.ReasonTooLong.selector, 257, 256));
        jobs.failJob(jobId, string(new bytes(257)));
        jobs.failJob(jobId, string(new bytes(256)));
    }

    function test_jobs_of_a_node_that_left_can_be_closed() public {
        uint256 jobId = _runningJob(NODE, OPERATOR);
        vm.startPrank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        registry.deregisterNode(NODE);
        vm.stopPrank();

        vm.prank(OPERATOR);
        jobs.completeJob(jobId);
        vm.assertTrue(_jobStatus(jobId) == IJobManager.JobStatus.Completed);
    }

    function test_a_pause_stops_creation_only() public {
        uint256 open = _createJob();
        uint256 running = _runningJob(NODE, OPERATOR);
        jobs.pause();

        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _createJob();

        vm.prank(SCHEDULER);
        jobs.assignJob(open, NODE);
        vm.startPrank(OPERATOR);
        jobs.startJob(open);
        jobs.heartbeat(new uint256[](1));
        jobs.failJob(open, "");
        vm.stopPrank();
        vm.prank(CUSTOMER);
        jobs.stopJob(running);
        vm.prank(OPERATOR);
        jobs.completeJob(running);
    }

    /// @dev Of all calls in all states, exactly the transitions of the diagram succeed.
    function testFuzz_transitions(uint8 state, uint8 call) public {
        IJobManager.JobStatus status = IJobManager.JobStatus(1 + state % 6);
        uint256 jobId = _jobIn(status);
        call %= 5;

        (address sender, bytes memory data) = _call(call, jobId);
        vm.prank(sender);
        (bool succeeded,) = address(jobs).call(data);
        IJobManager.JobStatus wanted = _after(status, call);
        vm.assertTrue(succeeded == (wanted != IJobManager.JobStatus.None));
        vm.assertTrue(_jobStatus(jobId) == (succeeded ? wanted : status));
    }

    function _jobIn(IJobManager.JobStatus status) private returns (uint256 jobId) {
        if (status == IJobManager.JobStatus.Created) return _createJob();
        if (status == IJobManager.JobStatus.Assigned) return _assignedJob(NODE);
        jobId = _runningJob(NODE, OPERATOR);
        if (status == IJobManager.JobStatus.Stopping) {
            vm.prank(CUSTOMER);
            jobs.stopJob(jobId);
        } else if (status == IJobManager.JobStatus.Completed) {
            vm.prank(OPERATOR);
            jobs.completeJob(jobId);
        } else if (status == IJobManager.JobStatus.Failed) {
            vm.prank(OPERATOR);
            jobs.failJob(jobId, "");
        }
    }

    function _call(uint8 call, uint256 jobId) private pure returns (address, bytes memory) {
        if (call == 0) return (SCHEDULER, abi.encodeCall(IJobManager.assignJob, (jobId, NODE)));
        if (call == 1) return (OPERATOR, abi.encodeCall(IJobManager.startJob, (jobId)));
        if (call == 2) return (CUSTOMER, abi.encodeCall(IJobManager.stopJob, (jobId)));
        if (call == 3) return (OPERATOR, abi.encodeCall(IJobManager.completeJob, (jobId)));
        return (OPERATOR, abi.encodeCall(IJobManager.failJob, (jobId, "")));
    }

    /// @dev The state that a call leads to, or `None` when it must revert.
    function _after(IJobManager.JobStatus status, uint8 call)
        private
        pure
        returns (IJobManager.JobStatus)
    {
        bool created = status == IJobManager.JobStatus.Created;
        bool assigned = status == IJobManager.JobStatus.Assigned;
        bool running = status == IJobManager.JobStatus.Running;
        bool stopping = status == IJobManager.JobStatus.Stopping;
        if (call == 0 && created) return IJobManager.JobStatus.Assigned;
        if (call == 1 && assigned) return IJobManager.JobStatus.Running;
        if (call == 2 && created) return IJobManager.JobStatus.Completed;
        if (call == 2 && (assigned || running)) return IJobManager.JobStatus.Stopping;
        if (call == 3 && (running || stopping)) return IJobManager.JobStatus.Completed;
        if (call == 4 && (assigned || running || stopping)) return IJobManager.JobStatus.Failed;
        return IJobManager.JobStatus.None;
    }

    function _assertOpen(uint256 jobId, bool expected) private view {
        vm.assertTrue(_contains(jobs.getOpenJobs(0, 256), jobId) == expected, "open");
    }

    function _assertOnNode(uint256 jobId, bytes32 nodeId, bool expected) private view {
        vm.assertTrue(_contains(jobs.getJobsOfNode(nodeId, 0, 256), jobId) == expected, "of node");
    }

    function _contains(uint256[] memory items, uint256 item) private pure returns (bool) {
        for (uint256 i = 0; i < items.length; ++i) {
            if (items[i] == item) return true;
        }
        return false;
    }

    function _wrongStatus(uint256 jobId, IJobManager.JobStatus status)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IJobManager.WrongJobStatus.selector, jobId, status);
    }
}

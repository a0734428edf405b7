// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Vm, vm} from "../script/Vm.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev From an unknown machine to a finished job, through all contracts: after each step, the
/// logs are exactly the events named here, in this order.
contract FlowTest is Fixture {
    function test_a_node_joins_and_a_job_runs_event_by_event() public {
        vm.recordLogs();

        _register(NODE, OWNER, OPERATOR);
        _expectEvents(address(registry), INodeRegistry.NodeRegistered.selector);

        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2);
        _assertEvent(logs[0], address(staking), IStakingManager.Staked.selector);
        _assertEvent(logs[1], address(aleph), IERC20.Transfer.selector);

        _mature();
        vm.prank(STRANGER);
        staking.activate(NODE);
        _expectEvents(address(registry), INodeRegistry.NodeActivated.selector);

        vm.prank(OPERATOR);
        registry.heartbeat(NODE, keccak256("status"));
        _expectEvents(address(registry), INodeRegistry.NodeHeartbeat.selector);

        uint256 jobId = _createJob();
        _expectEvents(address(jobs), IJobManager.JobCreated.selector);

        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, NODE);
        _expectEvents(address(jobs), IJobManager.JobAssigned.selector);

        vm.prank(OPERATOR);
        jobs.startJob(jobId);
        _expectEvents(address(jobs), IJobManager.JobStarted.selector);

        uint256[] memory jobIds = new uint256[](1);
        jobIds[0] = jobId;
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        _expectEvents(address(jobs), IJobManager.JobHeartbeat.selector);

        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        _expectEvents(address(jobs), IJobManager.JobStopRequested.selector);

        vm.prank(OPERATOR);
        jobs.completeJob(jobId);
        _expectEvents(address(jobs), IJobManager.JobCompleted.selector);

        vm.prank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2);
        _assertEvent(logs[0], address(staking), IStakingManager.Unstaked.selector);
        _assertEvent(logs[1], address(registry), INodeRegistry.NodeDeactivated.selector);

        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        vm.prank(OWNER);
        staking.withdraw(NODE);
        logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2);
        _assertEvent(logs[0], address(staking), IStakingManager.Withdrawn.selector);
        _assertEvent(logs[1], address(aleph), IERC20.Transfer.selector);

        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _expectEvents(address(registry), INodeRegistry.NodeDeregistered.selector);
    }

    function _expectEvents(address emitter, bytes32 only) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 1);
        _assertEvent(logs[0], emitter, only);
    }

    function _assertEvent(Vm.Log memory log, address emitter, bytes32 signature) private pure {
        vm.assertEq(log.emitter, emitter);
        vm.assertEq(log.topics[0], signature);
    }
}

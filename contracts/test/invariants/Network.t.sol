// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {Fixture} from "../base/Fixture.sol";
import {Handler} from "./Handler.sol";

/// @dev What holds after any sequence of what users can do.
contract NetworkInvariants is Fixture {
    Handler private handler;

    function setUp() public override {
        super.setUp();
        handler = new Handler(aleph, registry, staking, jobs, SCHEDULER);
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            _fund(handler.owner(i));
        }
        // Two nodes at work from the start: a random sequence alone seldom gets that far.
        for (uint256 i = 0; i < 2; ++i) {
            handler.register(i);
            handler.stake(i, 1200 ether);
        }
        handler.pass(MIN_STAKE_DURATION_S, 2);
        handler.activate(0);
        handler.activate(1);
        vm.assertEq(registry.getActiveNodes(0, 256).length, 2);
    }

    /// @dev forge calls random functions of these contracts only.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev The staking contract holds exactly what it owes.
    function invariant_every_token_is_accounted_for() external view {
        uint256 owed;
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            IStakingManager.StakeInfo memory info = staking.getStake(handler.nodeId(i));
            vm.assertLe(info.matured, info.total);
            owed += info.total + info.unbonding;
        }
        vm.assertEq(aleph.balanceOf(address(staking)), owed);
        vm.assertEq(owed, handler.deposited() - handler.withdrawn());
    }

    /// @dev Work goes only to nodes with the stake for it.
    function invariant_active_nodes_have_their_stake() external view {
        bytes32[] memory active = registry.getActiveNodes(0, 256);
        for (uint256 i = 0; i < active.length; ++i) {
            vm.assertTrue(registry.isNodeActive(active[i]));
            vm.assertGe(staking.getStake(active[i]).matured, MIN_TOTAL_STAKE);
        }
    }

    function invariant_the_registrys_counts_match_its_nodes() external view {
        uint256 registered;
        uint256 active;
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            INodeRegistry.NodeStatus status = _nodeStatus(handler.nodeId(i));
            if (status == INodeRegistry.NodeStatus.Active) ++active;
            if (
                status != INodeRegistry.NodeStatus.None
                    && status != INodeRegistry.NodeStatus.Deregistered
            ) ++registered;
        }
        vm.assertEq(registry.nodeCount(), registered);
        vm.assertEq(registry.getActiveNodes(0, 256).length, active);
    }

    /// @dev A job is in the one list that its state says, and in no other.
    function invariant_lists_match_the_jobs() external view {
        uint256[] memory perList = new uint256[](handler.NODES() + 1);
        uint256 count = jobs.jobCount();
        for (uint256 jobId = 1; jobId <= count; ++jobId) {
            IJobManager.Job memory job = jobs.getJob(jobId);
            if (job.status == IJobManager.JobStatus.Created) ++perList[0];
            else if (job.endedAt == 0) ++perList[uint256(job.nodeId)];
        }
        uint256[] memory open = jobs.getOpenJobs(0, 256);
        vm.assertEq(open.length, perList[0]);
        for (uint256 i = 0; i < open.length; ++i) {
            vm.assertTrue(_jobStatus(open[i]) == IJobManager.JobStatus.Created);
        }
        for (uint256 node = 0; node < handler.NODES(); ++node) {
            uint256[] memory ofNode = jobs.getJobsOfNode(handler.nodeId(node), 0, 256);
            vm.assertEq(ofNode.length, perList[node + 1]);
            for (uint256 i = 0; i < ofNode.length; ++i) {
                vm.assertEq(jobs.getJob(ofNode[i]).nodeId, handler.nodeId(node));
            }
        }
    }

    /// @dev Nothing that ended changes, and time runs forward through a job's life.
    function invariant_an_end_is_final() external view {
        uint256 count = jobs.jobCount();
        for (uint256 jobId = 1; jobId <= count; ++jobId) {
            IJobManager.Job memory job = jobs.getJob(jobId);
            bytes32 seal = handler.sealedJob(jobId);
            vm.assertTrue((seal != 0) == (job.endedAt != 0));
            if (seal != 0) vm.assertEq(keccak256(abi.encode(job)), seal);
            if (job.assignedAt != 0) vm.assertGe(job.assignedAt, job.createdAt);
            if (job.startedAt != 0) vm.assertGe(job.startedAt, job.assignedAt);
            if (job.endedAt != 0) vm.assertGe(job.endedAt, job.startedAt);
        }
    }
}

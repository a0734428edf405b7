// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../script/Vm.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev What each step of a node's and a job's life costs, each as a transaction of its own.
/// tools/gas.mjs compares it with snapshots/.
contract GasTest is Fixture {
    /// forge-config: default.isolate = true
    function test_gas_of_each_step() public {
        _register(NODE, OWNER, OPERATOR);
        vm.snapshotGasLastCall("NodeRegistry.registerNode");
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        vm.snapshotGasLastCall("StakingManager.stake");
        _mature();
        staking.activate(NODE);
        vm.snapshotGasLastCall("StakingManager.activate");
        vm.prank(OPERATOR);
        registry.heartbeat(NODE, keccak256("status"));
        vm.snapshotGasLastCall("NodeRegistry.heartbeat");

        uint256[] memory jobIds = new uint256[](64);
        for (uint256 i = 0; i < jobIds.length; ++i) {
            vm.prank(CUSTOMER);
            jobIds[i] = jobs.createJob(_request());
            if (i == 0) vm.snapshotGasLastCall("JobManager.createJob");
            vm.prank(SCHEDULER);
            jobs.assignJob(jobIds[i], NODE);
            if (i == 0) vm.snapshotGasLastCall("JobManager.assignJob");
            vm.prank(OPERATOR);
            jobs.startJob(jobIds[i]);
            if (i == 0) vm.snapshotGasLastCall("JobManager.startJob");
        }
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        vm.snapshotGasLastCall("JobManager.heartbeat of 64 jobs");

        vm.prank(CUSTOMER);
        jobs.stopJob(jobIds[0]);
        vm.snapshotGasLastCall("JobManager.stopJob");
        vm.prank(OPERATOR);
        jobs.completeJob(jobIds[0]);
        vm.snapshotGasLastCall("JobManager.completeJob");
        vm.prank(OPERATOR);
        jobs.failJob(jobIds[1], "the guest did not boot");
        vm.snapshotGasLastCall("JobManager.failJob");

        vm.prank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        vm.snapshotGasLastCall("StakingManager.unstake");
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        vm.prank(OWNER);
        staking.withdraw(NODE);
        vm.snapshotGasLastCall("StakingManager.withdraw");
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        vm.snapshotGasLastCall("NodeRegistry.deregisterNode");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {vm} from "../../script/Vm.sol";
import {JobManager} from "../../src/JobManager.sol";
import {PaymentManager} from "../../src/PaymentManager.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";

/// @title Customers, nodes and strangers around jobs with a price
/// @dev Like {Handler}: nothing is tried that must not succeed, so with `fail_on_revert` a call that
/// cannot be made when it should be is a finding. A payment that is refused is no revert.
contract PaymentHandler {
    uint256 public constant CUSTOMERS = 3;
    uint256 public constant JOBS_MAX = 6;

    /// @notice What the handler works with; set once by who deploys it.
    struct World {
        JobManager jobs;
        PaymentManager payments;
        IERC20 aleph;
        IERC20 token;
        address scheduler;
        address slaManager;
        address marketplace;
        bytes32[2] nodes;
        address[2] owners;
        address[2] operators;
        address buyer;
        address seller;
        address treasury;
    }

    World private world;

    /// @notice What an outside observer adds up: per token and customer what it was given, per job
    /// what it was credited and forgiven.
    mapping(address token => mapping(address customer => uint256)) public given;
    mapping(uint256 jobId => uint256) public credited;
    mapping(uint256 jobId => uint256) public forgiven;

    constructor(World memory world_) {
        world = world_;
    }

    // Customers.

    function createJob(uint256 seed, uint256 price) external {
        if (world.jobs.jobCount() == JOBS_MAX) return;
        address who = customer(seed);
        IJobManager.JobRequest memory request;
        request.manifestHash = bytes32(seed | 1);
        request.resources = IJobManager.Resources(1, 512, 1024, 0, 0);
        uint256 kind = (seed >> 128) % 5;
        if (kind != 0) {
            IERC20 token = kind < 3 ? world.aleph : world.token;
            request.token = address(token);
            request.pricePerHour = uint128(1 + price % (kind < 3 ? 100 ether : 100e6));
            if (token.balanceOf(who) < request.pricePerHour) return;
            _allow(token, who, type(uint256).max);
        }
        vm.prank(who);
        world.jobs.createJob(request);
    }

    function stopJob(uint256 seed) external {
        (uint256 jobId, IJobManager.Job memory job) = _pick(seed);
        bool stoppable = job.status == IJobManager.JobStatus.Created
            || job.status == IJobManager.JobStatus.Assigned
            || job.status == IJobManager.JobStatus.Running;
        if (!stoppable || seed % 4 != 0) return;
        vm.prank(job.customer);
        world.jobs.stopJob(jobId);
    }

    function allow(uint256 seed, uint256 amount) external {
        IERC20 token = seed % 2 == 0 ? world.aleph : world.token;
        if (seed % 3 == 0) amount = 0;
        else if (seed % 3 == 1) amount = type(uint256).max;
        else amount %= 1000 ether;
        _allow(token, customer(seed >> 8), amount);
    }

    function give(uint256 seed, uint256 amount) external {
        IERC20 token = seed % 2 == 0 ? world.aleph : world.token;
        amount %= seed % 2 == 0 ? 100 ether : 100e6;
        address who = customer(seed >> 8);
        token.transfer(who, amount);
        given[address(token)][who] += amount;
    }

    function takeAll(uint256 seed) external {
        if (seed % 5 != 0) return;
        IERC20 token = seed % 2 == 0 ? world.aleph : world.token;
        address who = customer(seed >> 8);
        uint256 amount = token.balanceOf(who);
        vm.prank(who);
        token.transfer(address(this), amount);
        given[address(token)][who] -= amount;
    }

    // Nodes and the scheduler.

    function place(uint256 seed) external {
        (uint256 jobId, IJobManager.Job memory job) = _pick(seed);
        if (job.status != IJobManager.JobStatus.Created) return;
        uint256 node = (seed >> 128) % 2;
        vm.prank(world.scheduler);
        world.jobs.assignJob(jobId, world.nodes[node]);
        if ((seed >> 136) % 4 == 0) return;
        vm.prank(world.operators[node]);
        world.jobs.startJob(jobId);
    }

    function replace(uint256 seed) external {
        (uint256 jobId, IJobManager.Job memory job) = _pick(seed);
        bool placed = job.status == IJobManager.JobStatus.Assigned
            || job.status == IJobManager.JobStatus.Running;
        if (!placed || world.jobs.getBilling(jobId).segments == 16) return;
        vm.warp(block.timestamp + world.jobs.getParameters().reassignAfter);
        uint256 other = job.nodeId == world.nodes[0] ? 1 : 0;
        vm.prank(world.scheduler);
        world.jobs.reassignJob(jobId, world.nodes[other]);
        vm.prank(world.operators[other]);
        world.jobs.startJob(jobId);
    }

    function prove(uint256 seed, uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 4000);
        uint256 count = world.jobs.jobCount();
        uint256[] memory jobIds = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            jobIds[i] = i + 1;
        }
        vm.prank(world.operators[seed % 2]);
        world.jobs.heartbeat(jobIds);
    }

    function end(uint256 seed) external {
        (uint256 jobId, IJobManager.Job memory job) = _pick(seed);
        bool runs = job.status == IJobManager.JobStatus.Running
            || job.status == IJobManager.JobStatus.Stopping;
        if (!runs || seed % 3 != 0) return;
        vm.prank(world.operators[job.nodeId == world.nodes[0] ? 0 : 1]);
        if (seed % 2 == 0) world.jobs.completeJob(jobId);
        else world.jobs.failJob(jobId, "");
    }

    // Anyone.

    function settle(uint256 seed) external {
        (uint256 jobId,) = _pick(seed);
        world.payments.settleJob(jobId);
    }

    function settleUpTo(uint256 seed, uint64 target) external {
        (uint256 jobId,) = _pick(seed);
        world.payments.settleJobUpTo(jobId, target % 100_000);
    }

    function settleAll(uint256[] calldata jobIds) external {
        world.payments.settleJobs(jobIds.length <= 8 ? jobIds : jobIds[:8]);
    }

    function pass(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 1 days);
    }

    // Agreements, credits, sales, balances.

    function agree(uint256 seed, uint256 amount) external {
        (uint256 jobId, IJobManager.Job memory job) = _pick(seed);
        IPaymentManager.Account memory before = world.payments.getAccount(jobId);
        if (before.segment >= world.jobs.getBilling(jobId).segments) return;
        IJobManager.Segment memory segment = world.jobs.getSegment(jobId, before.segment);
        uint64 segmentEnd = before.segmentStart + segment.accruedSeconds;
        if (!segment.closed || before.settledSeconds >= segmentEnd) return;
        uint256 due = _owed(job, segmentEnd) - _owed(job, before.settledSeconds);
        due -= due < before.credit ? due : before.credit;
        amount %= due + 1;
        if (job.token != address(0)) {
            IERC20 token = IERC20(job.token);
            if (token.balanceOf(job.customer) < amount) return;
            // The last unit is worth less than the pool's fee.
            if (address(token) != address(world.aleph) && amount != 0) return;
            _allow(token, job.customer, type(uint256).max);
        }
        vm.prank(job.customer);
        world.payments.agreeFinal(jobId, amount);
        vm.prank(segment.owner);
        world.payments.agreeFinal(jobId, amount);
        forgiven[jobId] += due - amount;
    }

    function credit(uint256 seed, uint256 amount) external {
        (uint256 jobId, IJobManager.Job memory job) = _pick(seed);
        vm.prank(world.slaManager);
        credited[
            jobId
        ] += world.payments.credit(jobId, amount % (2 * uint256(job.pricePerHour) + 2));
    }

    function sell(uint256 seed, uint256 amount) external {
        IERC20 token = seed % 2 == 0 ? world.aleph : world.token;
        amount = 1 + amount % 10e6;
        token.transfer(world.buyer, amount);
        _allow(token, world.buyer, amount);
        vm.prank(world.marketplace);
        world.payments.collectSale(address(token), world.buyer, world.seller, amount);
    }

    function refund(uint256 seed, uint256 amount) external {
        IERC20 token = seed % 2 == 0 ? world.aleph : world.token;
        vm.prank(world.marketplace);
        world.payments.refundSale(address(token), world.buyer, world.seller, amount % 10e6);
    }

    function withdraw(uint256 seed) external {
        IERC20 token = seed % 2 == 0 ? world.aleph : world.token;
        address[] memory all = people();
        address who = all[(seed >> 8) % all.length];
        uint256 amount = world.payments.withdrawable(address(token), who);
        if (amount == 0) return;
        uint256 before = token.balanceOf(who);
        vm.prank(who);
        world.payments.withdraw(address(token));
        vm.assertEq(token.balanceOf(who) - before, amount);
    }

    // What the invariants ask.

    function customer(uint256 seed) public pure returns (address) {
        return address(uint160(0xC000 + seed % CUSTOMERS));
    }

    /// @notice Everyone who can have a balance.
    function people() public view returns (address[] memory all) {
        all = new address[](5);
        (all[0], all[1]) = (world.owners[0], world.owners[1]);
        (all[2], all[3], all[4]) = (world.treasury, world.buyer, world.seller);
    }

    /// @dev A job that there is, or 0 and an empty one.
    function _pick(uint256 seed) private view returns (uint256 jobId, IJobManager.Job memory job) {
        uint256 count = world.jobs.jobCount();
        if (count != 0) jobId = 1 + (seed >> 16) % count;
        job = world.jobs.getJob(jobId);
    }

    /// @dev Written anew, so that it does not share a mistake with the library.
    function _owed(IJobManager.Job memory job, uint256 seconds_) private pure returns (uint256) {
        return uint256(job.pricePerHour) * seconds_ / 3600;
    }

    function _allow(IERC20 token, address who, uint256 amount) private {
        vm.prank(who);
        token.approve(address(world.payments), amount);
    }
}

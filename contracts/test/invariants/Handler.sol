// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {JobManager} from "../../src/JobManager.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";

/// @title Random but sensible users
/// @dev Every action is made from inputs that must succeed, and none is tried that must not: with
/// `fail_on_revert`, a call that cannot be made when it should be is a finding.
contract Handler {
    uint256 public constant NODES = 3;

    AlephToken private immutable ALEPH;
    NodeRegistry private immutable REGISTRY;
    StakingManager private immutable STAKING;
    JobManager private immutable JOBS;
    address private immutable SCHEDULER;

    /// @notice What an outside observer expects the staking contract to hold.
    uint256 public deposited;
    uint256 public withdrawn;

    /// @notice The end in which a job was first seen, and when.
    mapping(uint256 jobId => bytes32) public sealedJob;

    constructor(
        AlephToken aleph,
        NodeRegistry registry,
        StakingManager staking,
        JobManager jobs,
        address scheduler
    ) {
        (ALEPH, REGISTRY, STAKING, JOBS) = (aleph, registry, staking, jobs);
        SCHEDULER = scheduler;
    }

    // Nodes.

    function register(uint256 seed) external {
        uint256 i = seed % NODES;
        INodeRegistry.NodeStatus status = REGISTRY.getNode(nodeId(i)).status;
        if (
            status != INodeRegistry.NodeStatus.None
                && status != INodeRegistry.NodeStatus.Deregistered
        ) return;
        vm.prank(operator(i));
        REGISTRY.registerNode(
            nodeId(i), owner(i), INodeRegistry.NodeType.Compute, _key(), "bafk", "eu"
        );
    }

    function deregister(uint256 seed) external {
        // Seldom, or nothing ever grows.
        if (seed % 5 != 0) return;
        uint256 i = (seed / 5) % NODES;
        INodeRegistry.NodeStatus status = REGISTRY.getNode(nodeId(i)).status;
        if (
            status != INodeRegistry.NodeStatus.Inactive
                && status != INodeRegistry.NodeStatus.Unbonding
        ) return;
        vm.prank(owner(i));
        REGISTRY.deregisterNode(nodeId(i));
    }

    // Stake.

    function stake(uint256 seed, uint256 amount) external {
        uint256 i = seed % NODES;
        INodeRegistry.NodeStatus status = REGISTRY.getNode(nodeId(i)).status;
        if (
            status == INodeRegistry.NodeStatus.None
                || status == INodeRegistry.NodeStatus.Deregistered
        ) return;
        amount = 1 + amount % 1500 ether;
        if (ALEPH.balanceOf(owner(i)) < amount) return;
        vm.prank(owner(i));
        STAKING.stake(nodeId(i), amount);
        deposited += amount;
    }

    function unstake(uint256 seed, uint256 amount) external {
        uint256 i = seed % NODES;
        uint256 staked = STAKING.getStake(nodeId(i)).total;
        if (staked == 0) return;
        vm.prank(owner(i));
        try STAKING.unstake(nodeId(i), 1 + amount % staked) {}
        catch (bytes memory error) {
            // The one refusal that random calls may meet.
            vm.assertEq(bytes32(bytes4(error)), bytes32(IStakingManager.TooManyUnstakings.selector));
        }
    }

    function withdraw(uint256 seed) external {
        uint256 i = seed % NODES;
        uint256 before = ALEPH.balanceOf(owner(i));
        vm.prank(owner(i));
        try STAKING.withdraw(nodeId(i)) {}
        catch (bytes memory error) {
            vm.assertEq(bytes32(bytes4(error)), bytes32(IStakingManager.NothingToWithdraw.selector));
        }
        withdrawn += ALEPH.balanceOf(owner(i)) - before;
    }

    function activate(uint256 seed) external {
        uint256 i = seed % NODES;
        INodeRegistry.NodeStatus status = REGISTRY.getNode(nodeId(i)).status;
        if (
            status != INodeRegistry.NodeStatus.Inactive
                && status != INodeRegistry.NodeStatus.Unbonding
        ) return;
        uint256 required = STAKING.getParameters().minTotalStake;
        if (STAKING.getStake(nodeId(i)).matured < required) return;
        STAKING.activate(nodeId(i));
    }

    function pass(uint256 seconds_, uint256 blocks) external {
        vm.warp(block.timestamp + seconds_ % 10 days);
        vm.roll(block.number + blocks % 4);
    }

    // Jobs.

    function createJob(uint256 seed) external {
        vm.prank(address(uint160(0xC000 + seed % 3)));
        JOBS.createJob(
            IJobManager.JobRequest(
                keccak256(abi.encode(seed)),
                IJobManager.Resources(1, 512, 1024, 0, 0),
                address(0),
                0,
                0
            )
        );
    }

    function assignJob(uint256 seed) external {
        uint256[] memory open = JOBS.getOpenJobs(0, 256);
        bytes32[] memory active = REGISTRY.getActiveNodes(0, 256);
        if (open.length == 0 || active.length == 0) return;
        vm.prank(SCHEDULER);
        JOBS.assignJob(open[seed % open.length], active[(seed >> 128) % active.length]);
    }

    function moveJob(uint256 seed, uint8 how) external {
        uint256 count = JOBS.jobCount();
        if (count == 0) return;
        uint256 jobId = 1 + seed % count;
        IJobManager.Job memory job = JOBS.getJob(jobId);
        if (job.status == IJobManager.JobStatus.Created) {
            if (how % 4 != 0) return;
            vm.prank(job.customer);
            JOBS.stopJob(jobId);
        } else if (job.status == IJobManager.JobStatus.Assigned) {
            vm.prank(_operatorOf(job.nodeId));
            if (how % 4 == 0) JOBS.failJob(jobId, "no image");
            else JOBS.startJob(jobId);
        } else if (job.status == IJobManager.JobStatus.Running) {
            vm.prank(how % 2 == 0 ? job.customer : _operatorOf(job.nodeId));
            if (how % 2 == 0) JOBS.stopJob(jobId);
            else JOBS.completeJob(jobId);
        } else if (job.status == IJobManager.JobStatus.Stopping) {
            vm.prank(_operatorOf(job.nodeId));
            JOBS.completeJob(jobId);
        }
        _seal(jobId);
    }

    function heartbeat(uint256 seed, uint256[] calldata jobIds) external {
        vm.prank(operator(seed % NODES));
        JOBS.heartbeat(jobIds.length <= 64 ? jobIds : jobIds[:64]);
    }

    // What the invariants ask.

    function nodeId(uint256 i) public pure returns (bytes32) {
        return bytes32(i + 1);
    }

    function owner(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i));
    }

    function operator(uint256 i) public pure returns (address) {
        return address(uint160(0xB000 + i));
    }

    /// @dev Remembers an ended job as it is, so that any later change of it shows.
    function _seal(uint256 jobId) private {
        IJobManager.Job memory job = JOBS.getJob(jobId);
        if (job.endedAt != 0 && sealedJob[jobId] == 0) {
            sealedJob[jobId] = keccak256(abi.encode(job));
        }
    }

    function _operatorOf(bytes32 nodeId_) private pure returns (address) {
        return operator(uint256(nodeId_) - 1);
    }

    function _key() private pure returns (INodeRegistry.AttestationKey memory) {
        return INodeRegistry.AttestationKey(
            0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
            0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
        );
    }
}

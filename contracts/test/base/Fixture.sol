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
import {Roles} from "../../src/libraries/Roles.sol";
import {CoreDeployer} from "./CoreDeployer.sol";

/// @title A deployed network, its people, and the steps that most tests begin with
/// @dev The test contract itself is the administrator.
abstract contract Fixture is CoreDeployer {
    uint256 internal constant MIN_TOTAL_STAKE = 1000 ether;
    uint64 internal constant MIN_STAKE_DURATION_S = 1 hours;
    uint64 internal constant UNBONDING_PERIOD_S = 14 days;

    address internal constant OWNER = address(0xA1);
    address internal constant OPERATOR = address(0xA2);
    address internal constant OTHER_OWNER = address(0xB1);
    address internal constant OTHER_OPERATOR = address(0xB2);
    address internal constant CUSTOMER = address(0xC1);
    address internal constant SCHEDULER = address(0xD1);
    address internal constant STRANGER = address(0xE1);

    bytes32 internal constant NODE = keccak256("node");
    bytes32 internal constant OTHER_NODE = keccak256("other node");
    bytes32 internal constant MANIFEST = keccak256("manifest");

    AlephToken internal aleph;
    NodeRegistry internal registry;
    StakingManager internal staking;
    JobManager internal jobs;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        Core memory all = _deploy(address(this), _parameters());
        (aleph, registry, staking, jobs) =
        (all.aleph, all.nodeRegistry, all.stakingManager, all.jobManager);
        jobs.grantRole(Roles.SCHEDULER, SCHEDULER);
        _fund(OWNER);
        _fund(OTHER_OWNER);
    }

    function _parameters() internal pure returns (IStakingManager.Parameters memory) {
        return IStakingManager.Parameters({
            minTotalStake: MIN_TOTAL_STAKE,
            minStakeDuration: MIN_STAKE_DURATION_S,
            unbondingPeriod: UNBONDING_PERIOD_S,
            reporterBpsMax: 1000,
            rewardInterval: 1 days,
            treasury: address(0),
            rewardGrowthMax: 10_000 ether
        });
    }

    /// @dev The generator of the P-256 curve: the simplest public key there is.
    function _key() internal pure returns (INodeRegistry.AttestationKey memory) {
        return INodeRegistry.AttestationKey(
            0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
            0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
        );
    }

    function _resources() internal pure returns (IJobManager.Resources memory) {
        return IJobManager.Resources({
            vcpus: 2, memoryMib: 2048, diskMib: 20_480, gpuModel: 0, gpuCount: 0
        });
    }

    /// @dev A job that costs nothing and asks for no attestation.
    function _request() internal pure returns (IJobManager.JobRequest memory) {
        return IJobManager.JobRequest({
            manifestHash: MANIFEST,
            resources: _resources(),
            token: address(0),
            pricePerHour: 0,
            attestedWithin: 0
        });
    }

    function _fund(address account) internal {
        aleph.transfer(account, 1_000_000 ether);
        vm.prank(account);
        aleph.approve(address(staking), type(uint256).max);
    }

    function _register(bytes32 nodeId, address owner, address operator) internal {
        vm.prank(operator);
        registry.registerNode(
            nodeId, owner, INodeRegistry.NodeType.Compute, _key(), "bafkmetadata", "eu-west"
        );
    }

    function _stake(bytes32 nodeId, address owner, uint256 amount) internal {
        vm.prank(owner);
        staking.stake(nodeId, amount);
    }

    function _mature() internal {
        vm.warp(block.timestamp + MIN_STAKE_DURATION_S);
        vm.roll(block.number + 2);
    }

    function _activeNode(bytes32 nodeId, address owner, address operator) internal {
        _register(nodeId, owner, operator);
        _stake(nodeId, owner, MIN_TOTAL_STAKE);
        _mature();
        staking.activate(nodeId);
    }

    function _createJob() internal returns (uint256) {
        vm.prank(CUSTOMER);
        return jobs.createJob(_request());
    }

    function _assignedJob(bytes32 nodeId) internal returns (uint256 jobId) {
        jobId = _createJob();
        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, nodeId);
    }

    function _runningJob(bytes32 nodeId, address operator) internal returns (uint256 jobId) {
        jobId = _assignedJob(nodeId);
        vm.prank(operator);
        jobs.startJob(jobId);
    }

    function _nodeStatus(bytes32 nodeId) internal view returns (INodeRegistry.NodeStatus) {
        return registry.getNode(nodeId).status;
    }

    function _jobStatus(uint256 jobId) internal view returns (IJobManager.JobStatus) {
        return jobs.getJob(jobId).status;
    }
}

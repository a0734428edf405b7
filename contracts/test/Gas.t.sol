// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../script/Vm.sol";
import {IDomainRegistry} from "../src/interfaces/IDomainRegistry.sol";
import {ISLAManager} from "../src/interfaces/ISLAManager.sol";
import {RoyaltySplit} from "../src/libraries/RoyaltySplit.sol";
import {NetworkFixture} from "./base/NetworkFixture.sol";

/// @dev What each step of the network's life costs, each as a transaction of its own, with the
/// parameters of production. tools/gas.mjs compares it with snapshots/. Storage and attestation
/// have tests of their own.
contract GasTest is NetworkFixture {
    function setUp() public override {
        super.setUp();
        _fund(OWNER);
        _fund(CUSTOMER);
        _fund(DELEGATOR);
    }

    /// forge-config: default.isolate = true
    function test_gas_of_nodes_and_stake() public {
        _register(NODE, OWNER, OPERATOR);
        vm.snapshotGasLastCall("NodeRegistry.registerNode");
        _stake(NODE, OWNER, 2 * MINIMUM_STAKE);
        vm.snapshotGasLastCall("StakingManager.stake");
        vm.prank(DELEGATOR);
        staking.delegate(NODE, 1000 ether, 0);
        vm.snapshotGasLastCall("StakingManager.delegate");
        _pass(staking.getParameters().minStakeDuration);
        staking.activate(NODE);
        vm.snapshotGasLastCall("StakingManager.activate");
        vm.prank(OPERATOR);
        registry.heartbeat(NODE, keccak256("status"));
        vm.snapshotGasLastCall("NodeRegistry.heartbeat");

        vm.prank(COMMITTEE);
        staking.slash(NODE, 1000 ether, CHALLENGER, 1000, keccak256("reason"));
        vm.snapshotGasLastCall("StakingManager.slash");
        vm.prank(DELEGATOR);
        staking.undelegate(NODE, 1e15);
        vm.snapshotGasLastCall("StakingManager.undelegate");
        uint256 staked = staking.getStake(NODE).total;
        vm.prank(OWNER);
        staking.unstake(NODE, staked);
        vm.snapshotGasLastCall("StakingManager.unstake");
        _pass(staking.getParameters().unbondingPeriod);
        vm.prank(OWNER);
        staking.withdraw(NODE);
        vm.snapshotGasLastCall("StakingManager.withdraw");
        vm.prank(DELEGATOR);
        staking.withdrawDelegation(NODE);
        vm.snapshotGasLastCall("StakingManager.withdrawDelegation");
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        vm.snapshotGasLastCall("NodeRegistry.deregisterNode");
    }

    /// @dev A tree of two leaves.
    /// forge-config: default.isolate = true
    function test_gas_of_rewards() public {
        vm.prank(CUSTOMER);
        staking.fundRewards(2000 ether);
        bytes32 left = _leaf(OWNER, 100 ether);
        bytes32 right = _leaf(DELEGATOR, 50 ether);
        bytes32 root =
            left < right ? keccak256(abi.encode(left, right)) : keccak256(abi.encode(right, left));
        vm.prank(REPORTER_ACCOUNT);
        staking.submitRewardRoot(1, root, 150 ether);
        vm.snapshotGasLastCall("StakingManager.submitRewardRoot");
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = right;
        staking.claimRewards(OWNER, 100 ether, proof);
        vm.snapshotGasLastCall("StakingManager.claimRewards");
    }

    function _leaf(address account, uint256 amount) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, amount))));
    }

    /// forge-config: default.isolate = true
    function test_gas_of_jobs() public {
        _activeNode(NODE, OWNER, OPERATOR);
        vm.prank(DELEGATOR);
        staking.delegate(NODE, 1000 ether, 0);
        uint256[] memory jobIds = new uint256[](64);
        for (uint256 i = 0; i < jobIds.length; ++i) {
            jobIds[i] = _createJob();
            if (i == 0) vm.snapshotGasLastCall("JobManager.createJob");
            vm.prank(SCHEDULER);
            jobs.assignJob(jobIds[i], NODE);
            if (i == 0) vm.snapshotGasLastCall("JobManager.assignJob");
            vm.prank(OPERATOR);
            jobs.startJob(jobIds[i]);
            if (i == 0) vm.snapshotGasLastCall("JobManager.startJob");
        }
        _pass(600);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        vm.snapshotGasLastCall("JobManager.heartbeat of 64 jobs");

        payments.settleJob(jobIds[0]);
        vm.snapshotGasLastCall("PaymentManager.settleJob, first time");
        _pass(600);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        payments.settleJob(jobIds[0]);
        vm.snapshotGasLastCall("PaymentManager.settleJob");
        payments.settleJobs(jobIds);
        vm.snapshotGasLastCall("PaymentManager.settleJobs, 63 of 64 due");
        vm.prank(OWNER);
        payments.withdraw(address(aleph));
        vm.snapshotGasLastCall("PaymentManager.withdraw");

        vm.prank(CUSTOMER);
        jobs.stopJob(jobIds[0]);
        vm.snapshotGasLastCall("JobManager.stopJob");
        vm.prank(OPERATOR);
        jobs.completeJob(jobIds[0]);
        vm.snapshotGasLastCall("JobManager.completeJob");
        vm.prank(OPERATOR);
        jobs.failJob(jobIds[1], "the guest did not boot");
        vm.snapshotGasLastCall("JobManager.failJob");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_service_levels() public {
        _activeNode(NODE, OWNER, OPERATOR);
        uint256 slaId = slas.defineSla(
            ISLAManager.Terms({
                period: 1 hours,
                periods: 100,
                downtimeMax: 60,
                creditBps: 1000,
                slashAmount: 10 ether,
                customerBps: 1000,
                documentHash: keccak256("document")
            })
        );
        vm.snapshotGasLastCall("SLAManager.defineSla");
        uint256 jobId = _runningJob(NODE, OPERATOR);
        vm.prank(CUSTOMER);
        slas.attachSla(jobId, slaId);
        vm.snapshotGasLastCall("SLAManager.attachSla, first party");
        vm.prank(OWNER);
        uint256 attachmentId = slas.attachSla(jobId, slaId);
        vm.snapshotGasLastCall("SLAManager.attachSla, second party");
        _pass(1 hours);
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(_witness(i));
            slas.reportViolation(attachmentId, 0, 600, keccak256("evidence"));
        }
        vm.snapshotGasLastCall("SLAManager.reportViolation, last voice");
        _pass(slas.getParameters().disputeWindow + 1);
        slas.applyPenalty(attachmentId, 0);
        vm.snapshotGasLastCall("SLAManager.applyPenalty");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_domains() public {
        vm.prank(OWNER);
        (uint256 claimId,) = domains.registerDomain("example.org");
        vm.snapshotGasLastCall("DomainRegistry.registerDomain");
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(_dnsWitness(i));
            domains.verify(claimId);
        }
        vm.snapshotGasLastCall("DomainRegistry.verify, last voice");
        bytes32 domainId = domains.domainIdOf("example.org");
        vm.prank(OWNER);
        domains.mapDomain(domainId, IDomainRegistry.TargetKind.Instance, keccak256("target"));
        vm.snapshotGasLastCall("DomainRegistry.mapDomain");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_images() public {
        RoyaltySplit.Share[] memory royalties = new RoyaltySplit.Share[](2);
        royalties[0] = RoyaltySplit.Share(OPERATOR, 1000);
        royalties[1] = RoyaltySplit.Share(DELEGATOR, 500);
        vm.prank(OWNER);
        uint256 imageId = images.publishImage(
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            address(aleph),
            10 ether,
            royalties
        );
        vm.snapshotGasLastCall("ImageMarketplace.publishImage, two royalties");
        vm.prank(CUSTOMER);
        images.purchase(imageId, address(aleph), 10 ether);
        vm.snapshotGasLastCall("ImageMarketplace.purchase, two royalties");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {Governed} from "../../src/base/Governed.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {NetworkFixture} from "../base/NetworkFixture.sol";
import {NetworkHandler} from "./NetworkHandler.sol";

/// @dev What holds of the whole network, after any sequence of what people can do; and at the end of
/// each sequence everybody gets out, with all contracts paused.
contract NetworkInvariants is NetworkFixture {
    NetworkHandler private handler;
    uint256 private supply;

    function setUp() public override {
        super.setUp();
        handler = new NetworkHandler(
            NetworkHandler.Contracts({
                aleph: aleph,
                registry: registry,
                staking: staking,
                jobs: jobs,
                payments: payments,
                beacon: beacon,
                storages: storages,
                images: images,
                scheduler: SCHEDULER,
                committee: COMMITTEE
            })
        );
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            _fund(handler.owner(i));
        }
        for (uint256 i = 0; i < handler.CUSTOMERS(); ++i) {
            _fund(handler.customer(i));
        }
        supply = aleph.totalSupply();
        // Two nodes at work from the start: a random sequence alone seldom gets that far.
        for (uint256 i = 0; i < 2; ++i) {
            handler.join(i, 249_999 ether);
        }
        handler.pass(staking.getParameters().minStakeDuration, 2);
        handler.activate(0);
        handler.activate(1);
        handler.commit(0);
        handler.delegate(0, 5000 ether);
        handler.order(0, true);
        handler.assign(0);
        handler.work(0, 0);
        vm.assertEq(registry.getActiveNodes(0, 256).length, 2);
    }

    /// @dev forge calls random functions of these contracts only.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev Each contract holds what it owes, no more and no less, and nothing is made or lost.
    function invariant_every_token_is_accounted_for() external view {
        vm.assertEq(aleph.totalSupply(), supply);
        vm.assertEq(aleph.balanceOf(address(staking)), staking.heldTokens(), "stake");
        vm.assertEq(
            aleph.balanceOf(address(payments)),
            payments.totalWithdrawable(address(aleph)),
            "payments"
        );
        vm.assertEq(
            aleph.balanceOf(address(storages)),
            handler.bondsPaid() - handler.bondsWithdrawn(),
            "bonds"
        );
        vm.assertEq(aleph.balanceOf(address(slas)), 0, "service levels");
        vm.assertEq(aleph.balanceOf(address(images)), 0, "images");
    }

    /// @dev What the staking contract holds is somebody's: owners', delegators', reporters', slashed.
    function invariant_stake_is_somebodys() external view {
        uint256 owed = staking.slashedTokens();
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 nodeId = handler.nodeId(i);
            IStakingManager.StakeInfo memory own = staking.getStakeOf(nodeId, handler.owner(i));
            IStakingManager.PoolInfo memory pool = staking.getPool(nodeId);
            owed += own.total + own.unbonding + pool.tokens + pool.thawing;
        }
        for (uint256 i = 0; i < handler.CUSTOMERS(); ++i) {
            owed += staking.reporterRewardOf(handler.customer(i));
        }
        vm.assertLe(owed, staking.heldTokens());
        // Rounding leaves dust in favour of those who stay.
        vm.assertLe(staking.heldTokens() - owed, 1e6);
    }

    /// @dev Work goes only to nodes with the stake for it.
    function invariant_active_nodes_have_their_stake() external view {
        bytes32[] memory active = registry.getActiveNodes(0, 256);
        for (uint256 i = 0; i < active.length; ++i) {
            vm.assertTrue(registry.isNodeActive(active[i]));
            vm.assertGe(staking.getStake(active[i]).matured, MINIMUM_STAKE);
        }
    }

    /// @dev Nobody pays for more than was proven, or twice.
    function invariant_no_job_is_paid_beyond_what_is_proven() external view {
        uint256 count = jobs.jobCount();
        for (uint256 jobId = 1; jobId <= count; ++jobId) {
            IJobManager.Billing memory billing = jobs.getBilling(jobId);
            uint256 proven;
            for (uint256 i = 0; i < billing.segments; ++i) {
                proven += jobs.getSegment(jobId, i).accruedSeconds;
            }
            IPaymentManager.Account memory account = payments.getAccount(jobId);
            vm.assertLe(account.settledSeconds, proven);
            vm.assertLe(account.paid, uint256(billing.pricePerHour) * proven / 1 hours);
        }
    }

    /// @dev Past its grace, a job that is not paid is stopped by whoever asks for its payment.
    function invariant_no_job_runs_unpaid_past_its_grace() external {
        uint256 count = jobs.jobCount();
        for (uint256 jobId = 1; jobId <= count; ++jobId) {
            uint64 until = payments.getAccount(jobId).graceUntil;
            if (until == 0 || block.timestamp < until) continue;
            if (jobs.getJob(jobId).status != IJobManager.JobStatus.Running) continue;
            payments.settleJob(jobId);
            vm.assertTrue(
                jobs.getJob(jobId).status == IJobManager.JobStatus.Stopping
                    || payments.getAccount(jobId).graceUntil == 0
            );
        }
    }

    /// @dev A commitment counts the challenges that are open, and a node no others.
    function invariant_open_challenges_are_counted() external view {
        uint256 count = storages.challengeCount();
        uint256 open;
        for (uint256 id = 1; id <= count; ++id) {
            IStorageRegistry.Challenge memory challenge = storages.getChallenge(id);
            if (challenge.status == IStorageRegistry.ChallengeStatus.Open) ++open;
        }
        uint256 listed;
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            listed += storages.getOpenChallengesOf(handler.nodeId(i), 0, 256).length;
        }
        vm.assertEq(listed, open);
    }

    /// @dev Every state has an exit that no pause closes: all jobs end, all challenges are resolved,
    /// all commitments are closed, everybody withdraws, every node leaves; and then the contracts
    /// hold nothing but dust.
    function afterInvariant() external {
        _pauseAll();
        _endJobs();
        _endStorage();
        _leaveNodes();
        _withdrawAll();

        if (staking.slashedTokens() != 0) staking.sendSlashedTokens();
        vm.assertLe(aleph.balanceOf(address(staking)), 1e6, "left in staking");
        vm.assertEq(aleph.balanceOf(address(payments)), 0, "left in payments");
        vm.assertEq(aleph.balanceOf(address(storages)), 0, "left in storage");
        vm.assertEq(registry.nodeCount(), 0);
    }

    function _pauseAll() private {
        address[] memory proxies = _proxies();
        vm.startPrank(EMERGENCY);
        for (uint256 i = 0; i < proxies.length; ++i) {
            Governed(proxies[i]).pause();
        }
        vm.stopPrank();
    }

    function _endJobs() private {
        vm.warp(block.timestamp + jobs.getParameters().expireAfter + 1);
        uint256 count = jobs.jobCount();
        for (uint256 jobId = 1; jobId <= count; ++jobId) {
            IJobManager.Job memory job = jobs.getJob(jobId);
            if (job.endedAt != 0) continue;
            if (job.status == IJobManager.JobStatus.Created) {
                vm.prank(job.customer);
                jobs.stopJob(jobId);
            } else {
                jobs.expireJob(jobId);
            }
            payments.settleJob(jobId);
            vm.assertTrue(jobs.getJob(jobId).endedAt != 0);
        }
    }

    function _endStorage() private {
        IStorageRegistry.Parameters memory parameters = storages.getParameters();
        vm.warp(
            block.timestamp + parameters.beaconDelay + parameters.beaconGrace
                + parameters.responseWindow + 1
        );
        uint256 count = storages.challengeCount();
        for (uint256 id = 1; id <= count; ++id) {
            if (storages.getChallenge(id).status == IStorageRegistry.ChallengeStatus.Open) {
                storages.resolveChallenge(id);
            }
        }
        vm.warp(block.timestamp + 40 * parameters.period);
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32[] memory ids = storages.getCommitmentsOf(handler.nodeId(i), 0, 256);
            for (uint256 j = 0; j < ids.length; ++j) {
                storages.close(ids[j]);
            }
        }
    }

    function _leaveNodes() private {
        vm.warp(block.timestamp + staking.getParameters().unbondingPeriod);
        _withdrawStakes();
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 nodeId = handler.nodeId(i);
            uint256 staked = staking.getStakeOf(nodeId, handler.owner(i)).total;
            if (staked != 0) {
                vm.prank(handler.owner(i));
                staking.unstake(nodeId, staked);
            }
            for (uint256 j = 0; j < handler.CUSTOMERS(); ++j) {
                uint256 shares = staking.getDelegation(nodeId, handler.customer(j)).shares;
                if (shares == 0) continue;
                vm.prank(handler.customer(j));
                staking.undelegate(nodeId, shares);
            }
            if (registry.getNode(nodeId).owner != address(0) && _isRegistered(nodeId)) {
                vm.prank(handler.owner(i));
                registry.deregisterNode(nodeId);
            }
        }
        vm.warp(block.timestamp + staking.getParameters().unbondingPeriod);
        _withdrawStakes();
    }

    function _isRegistered(bytes32 nodeId) private view returns (bool) {
        return uint256(registry.getNode(nodeId).status) != 4;
    }

    /// @dev By value: a thaw that a slash has emptied is cleared away, or is nothing to withdraw.
    function _withdrawStakes() private {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 nodeId = handler.nodeId(i);
            if (staking.getUnstakings(nodeId, handler.owner(i)).length != 0) {
                vm.prank(handler.owner(i));
                staking.withdraw(nodeId);
            }
            for (uint256 j = 0; j < handler.CUSTOMERS(); ++j) {
                if (staking.getUndelegations(nodeId, handler.customer(j)).length == 0) continue;
                vm.prank(handler.customer(j));
                staking.withdrawDelegation(nodeId);
            }
        }
    }

    function _withdrawAll() private {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            _withdrawFor(handler.owner(i));
        }
        for (uint256 i = 0; i < handler.CUSTOMERS(); ++i) {
            _withdrawFor(handler.customer(i));
        }
        _withdrawFor(TREASURY);
    }

    function _withdrawFor(address account) private {
        vm.startPrank(account);
        if (payments.withdrawable(address(aleph), account) != 0) payments.withdraw(address(aleph));
        if (storages.creditOf(account) != 0) storages.withdraw();
        if (staking.reporterRewardOf(account) != 0) staking.withdrawReporterReward();
        vm.stopPrank();
    }
}

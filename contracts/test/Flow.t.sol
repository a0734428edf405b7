// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Vm, vm} from "../script/Vm.sol";
import {IBeacon} from "../src/interfaces/IBeacon.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IPaymentManager} from "../src/interfaces/IPaymentManager.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {IStorageRegistry} from "../src/interfaces/IStorageRegistry.sol";
import {BeaconSigner} from "./base/BeaconSigner.sol";
import {NetworkFixture} from "./base/NetworkFixture.sol";
import {Tree} from "./base/Tree.sol";

/// @dev The three flows of the network, with every contract real: after each step, the logs are
/// exactly the events named here, in this order. Approvals that a contract gives for a moment are
/// left out.
contract FlowTest is NetworkFixture {
    struct Event {
        address emitter;
        bytes32 topic;
    }

    Event[] private expected;

    function setUp() public override {
        super.setUp();
        _fund(OWNER);
        _fund(CUSTOMER);
        _fund(DELEGATOR);
        _fund(CHALLENGER);
        vm.recordLogs();
    }

    function test_a_node_joins_event_by_event() public {
        _register(NODE, OWNER, OPERATOR);
        _expect(address(registry), INodeRegistry.NodeRegistered.selector);
        _checkEvents();

        _stake(NODE, OWNER, MINIMUM_STAKE);
        _expect(address(staking), IStakingManager.Staked.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();

        _pass(staking.getParameters().minStakeDuration);
        vm.prank(STRANGER);
        staking.activate(NODE);
        _expect(address(registry), INodeRegistry.NodeActivated.selector);
        _checkEvents();

        vm.prank(OWNER);
        staking.unstake(NODE, MINIMUM_STAKE);
        _expect(address(staking), IStakingManager.Unstaked.selector);
        _expect(address(registry), INodeRegistry.NodeDeactivated.selector);
        _checkEvents();

        _pass(staking.getParameters().unbondingPeriod);
        vm.prank(OWNER);
        staking.withdraw(NODE);
        _expect(address(staking), IStakingManager.Withdrawn.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();
        vm.assertEq(aleph.balanceOf(OWNER), 1_000_000 ether);

        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _expect(address(registry), INodeRegistry.NodeDeregistered.selector);
        _checkEvents();
    }

    function test_a_job_is_paid_event_by_event() public {
        _activeNode(NODE, OWNER, OPERATOR);
        vm.prank(DELEGATOR);
        staking.delegate(NODE, 1000 ether, 0);
        vm.getRecordedLogs();

        uint256 jobId = _createJob();
        _expect(address(jobs), IJobManager.JobCreated.selector);
        _checkEvents();

        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, NODE);
        _expect(address(jobs), IJobManager.JobAssigned.selector);
        _checkEvents();

        vm.prank(OPERATOR);
        jobs.startJob(jobId);
        _expect(address(jobs), IJobManager.JobStarted.selector);
        _checkEvents();

        _pass(600);
        _beat(jobId, OPERATOR);
        _expect(address(jobs), IJobManager.JobHeartbeat.selector);
        _checkEvents();

        vm.prank(STRANGER);
        payments.settleJob(jobId);
        _expect(address(aleph), IERC20.Transfer.selector);
        _expect(address(staking), IStakingManager.DelegationRewarded.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _expect(address(payments), IPaymentManager.JobSettled.selector);
        _checkEvents();
        _checkShares(PRICE_PER_HOUR / 6);

        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        _expect(address(jobs), IJobManager.JobStopRequested.selector);
        _checkEvents();

        vm.prank(OPERATOR);
        jobs.completeJob(jobId);
        _expect(address(jobs), IJobManager.JobCompleted.selector);
        _checkEvents();

        vm.prank(OWNER);
        payments.withdraw(address(aleph));
        _expect(address(payments), IPaymentManager.Withdrawn.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();
    }

    /// @dev Treasury, delegators and owner have all of it.
    function _checkShares(uint256 paid) private view {
        uint256 treasury = payments.withdrawable(address(aleph), TREASURY);
        uint256 owner = payments.withdrawable(address(aleph), OWNER);
        uint256 delegators = staking.getPool(NODE).tokens - 1000 ether;
        vm.assertEq(treasury, paid * payments.getParameters().treasuryBps / 10_000);
        vm.assertEq(delegators, paid * payments.getParameters().rewardShareBps / 10_000);
        vm.assertEq(treasury + owner + delegators, paid);
    }

    /// @dev The first job's customer has taken the allowance back; the second one is paid from the
    /// same node, in the same batch.
    function test_a_job_without_allowance_ends_and_blocks_nobody() public {
        _activeNode(NODE, OWNER, OPERATOR);
        uint256[] memory jobIds = new uint256[](2);
        jobIds[0] = _runningJob(NODE, OPERATOR);
        vm.prank(DELEGATOR);
        jobIds[1] = jobs.createJob(_request());
        vm.prank(SCHEDULER);
        jobs.assignJob(jobIds[1], NODE);
        vm.prank(OPERATOR);
        jobs.startJob(jobIds[1]);
        vm.prank(CUSTOMER);
        aleph.approve(address(payments), 0);
        _pass(600);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        vm.getRecordedLogs();

        payments.settleJobs(jobIds);
        _expect(address(payments), IPaymentManager.JobPaymentRefused.selector);
        _expect(address(payments), IPaymentManager.JobGraceStarted.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _expect(address(payments), IPaymentManager.JobSettled.selector);
        _checkEvents();

        _pass(payments.getParameters().gracePeriod);
        payments.settleJob(jobIds[0]);
        _expect(address(payments), IPaymentManager.JobPaymentRefused.selector);
        _expect(address(payments), IPaymentManager.JobStoppedUnpaid.selector);
        _expect(address(jobs), IJobManager.JobStopRequested.selector);
        _checkEvents();
    }

    function test_a_node_that_has_lost_bytes_is_slashed_event_by_event() public {
        bytes32 commitmentId = _committed();
        uint256 balance = aleph.balanceOf(CHALLENGER);
        uint256 challengeId = _challenge(commitmentId);
        _post(challengeId);

        _pass(storages.getParameters().responseWindow + 1);
        vm.prank(STRANGER);
        storages.resolveChallenge(challengeId);
        _expect(address(staking), IStakingManager.Slashed.selector);
        _expect(address(storages), IStorageRegistry.ChallengeResolved.selector);
        _checkEvents();

        vm.prank(CHALLENGER);
        storages.withdraw();
        _expect(address(storages), IStorageRegistry.Withdrawn.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();

        vm.prank(CHALLENGER);
        staking.withdrawReporterReward();
        _expect(address(staking), IStakingManager.ReporterRewardWithdrawn.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();
        StorageCost memory cost = _cost();
        vm.assertEq(aleph.balanceOf(CHALLENGER), balance + cost.reward);
        vm.assertEq(staking.slashedTokens(), cost.amount - cost.reward);

        staking.sendSlashedTokens();
        _expect(address(staking), IStakingManager.SlashedTokensSent.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();
    }

    function test_a_node_that_answers_earns_the_bond_event_by_event() public {
        bytes32 commitmentId = _committed();
        uint256 challengeId = _challenge(commitmentId);
        _post(challengeId);

        bytes memory proof = Tree.answer(_leaves(), storages.leavesOf(challengeId));
        vm.prank(OPERATOR);
        storages.respond(challengeId, proof);
        _expect(address(storages), IStorageRegistry.ChallengeAnswered.selector);
        _checkEvents();

        uint256 balance = aleph.balanceOf(OWNER);
        vm.prank(OWNER);
        storages.withdraw();
        _expect(address(storages), IStorageRegistry.Withdrawn.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();
        vm.assertEq(aleph.balanceOf(OWNER) - balance, storages.getParameters().bond);
    }

    function test_without_a_round_the_challenger_gets_its_bond_back() public {
        bytes32 commitmentId = _committed();
        uint256 balance = aleph.balanceOf(CHALLENGER);
        uint256 challengeId = _challenge(commitmentId);
        IStorageRegistry.Parameters memory parameters = storages.getParameters();
        _pass(parameters.beaconDelay + parameters.beaconGrace + 1);

        storages.resolveChallenge(challengeId);
        _expect(address(storages), IStorageRegistry.ChallengeRefunded.selector);
        _checkEvents();
        vm.prank(CHALLENGER);
        storages.withdraw();
        vm.assertEq(aleph.balanceOf(CHALLENGER), balance);
        vm.assertEq(staking.slashableStake(NODE), 2 * MINIMUM_STAKE);
    }

    // Storage.

    struct StorageCost {
        uint256 amount;
        uint256 reward;
    }

    function _cost() private view returns (StorageCost memory cost) {
        cost.amount = faults.getPrices().base;
        cost.reward = cost.amount * faults.getPrices().challengerBps / 10_000;
    }

    function _leaves() private pure returns (bytes[] memory) {
        return Tree.leaves(40, 100, 1);
    }

    /// @dev A commitment in force, of a node that a slash does not put below the minimum.
    function _committed() private returns (bytes32 commitmentId) {
        _activeNode(NODE, OWNER, OPERATOR);
        _stake(NODE, OWNER, MINIMUM_STAKE);
        _pass(staking.getParameters().minStakeDuration);
        IStorageRegistry.Offer memory offer = IStorageRegistry.Offer({
            root: Tree.rootOf(_leaves()),
            encoding: 0,
            size: Tree.sizeOf(_leaves()),
            replicas: 1,
            periods: 30
        });
        vm.getRecordedLogs();

        vm.prank(OPERATOR);
        commitmentId = storages.commit(NODE, keccak256("content"), offer);
        _expect(address(storages), IStorageRegistry.Committed.selector);
        _checkEvents();
        _pass(2 * storages.getParameters().period);
    }

    function _challenge(bytes32 commitmentId) private returns (uint256 challengeId) {
        vm.prank(CHALLENGER);
        challengeId = storages.issueChallenge(commitmentId);
        _expect(address(storages), IStorageRegistry.ChallengeIssued.selector);
        _expect(address(aleph), IERC20.Transfer.selector);
        _checkEvents();
    }

    function _post(uint256 challengeId) private {
        _pass(storages.getParameters().beaconDelay + BEACON_PERIOD_S);
        uint64 round = storages.getChallenge(challengeId).round;
        beacon.submit(round, BeaconSigner.sign(round));
        _expect(address(beacon), IBeacon.RoundPosted.selector);
        _checkEvents();
    }

    // Events.

    function _expect(address emitter, bytes32 topic) private {
        expected.push(Event(emitter, topic));
    }

    function _checkEvents() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 seen;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IERC20.Approval.selector) continue;
            vm.assertTrue(seen < expected.length, "more events than expected");
            vm.assertEq(logs[i].emitter, expected[seen].emitter);
            vm.assertEq(logs[i].topics[0], expected[seen].topic);
            ++seen;
        }
        vm.assertEq(seen, expected.length, "fewer events than expected");
        delete expected;
    }
}

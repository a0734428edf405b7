// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageProof} from "../../src/libraries/StorageProof.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {StakeDouble, StorageFixture} from "../base/StorageFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev How challenges begin and end.
contract StorageChallengesTest is StorageFixture {
    bytes32 private commitmentId;

    function setUp() public override {
        super.setUp();
        commitmentId = _committed();
    }

    // Issue.

    function test_a_challenge_waits_for_a_round_to_come() public {
        uint64 dueAt = uint64(block.timestamp) + BEACON_DELAY_S;
        uint64 round = beacon.roundAt(dueAt);
        vm.expectEmit(address(store));
        emit IStorageRegistry.ChallengeIssued(1, commitmentId, NODE, round, CHALLENGER, 1, 5, BOND);
        vm.assertEq(_issue(commitmentId), 1);

        vm.assertEq(aleph.balanceOf(address(store)), BOND);
        vm.assertEq(store.challengeCount(), 1);
        vm.assertEq(store.getCommitment(commitmentId).openChallenges, 1);
        vm.assertEq(store.getOpenChallengesOf(NODE, 0, 10)[0], 1);
        IStorageRegistry.Challenge memory challenge = store.getChallenge(1);
        vm.assertEq(challenge.commitmentId, commitmentId);
        vm.assertEq(challenge.challenger, CHALLENGER);
        vm.assertEq(challenge.version, 1);
        vm.assertEq(challenge.positions, 5);
        vm.assertEq(address(challenge.beacon), address(beacon));
        vm.assertEq(challenge.round, round);
        vm.assertEq(challenge.bond, BOND);
        vm.assertEq(challenge.roundBy, dueAt + BEACON_GRACE_S);
        vm.assertEq(challenge.responseWindow, RESPONSE_WINDOW_S);
        _assertStatus(1, IStorageRegistry.ChallengeStatus.Open);
    }

    function test_only_what_is_in_force_is_challenged() public {
        bytes32 other = _commit(keccak256("other"), _offer());
        bytes memory notInForce =
            abi.encodeWithSelector(IStorageRegistry.CommitmentNotInForce.selector, other);
        vm.expectRevert(notInForce);
        _issue(other);
        vm.warp(store.getCommitment(other).endsAt);
        vm.expectRevert(notInForce);
        _issue(other);
    }

    function test_a_round_that_is_known_is_not_used() public {
        uint64 round = beacon.roundAt(uint64(block.timestamp) + BEACON_DELAY_S);
        beacon.submit(round, BeaconSigner.sign(round));
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.RoundAlreadyPosted.selector, round));
        _issue(commitmentId);
    }

    function test_small_contents_are_asked_for_fewer_leaves() public {
        bytes32 small = _commit(keccak256("small"), _offer(Tree.leaves(2, 1, 4)));
        _toBorder();
        vm.assertEq(store.getChallenge(_issue(small)).positions, 2);
    }

    function test_the_pause_stops_challenges() public {
        store.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _issue(commitmentId);
    }

    // Answers.

    function test_an_answer_earns_the_bond() public {
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        bytes memory proof = _answer(challengeId);
        vm.expectEmit(address(store));
        emit IStorageRegistry.ChallengeAnswered(challengeId, commitmentId, OWNER, BOND);
        vm.prank(OPERATOR);
        store.respond(challengeId, proof);

        _assertStatus(challengeId, IStorageRegistry.ChallengeStatus.Answered);
        vm.assertEq(store.creditOf(OWNER), BOND);
        vm.assertEq(store.getCommitment(commitmentId).lastProvenAt, block.timestamp);
        vm.assertEq(store.getCommitment(commitmentId).openChallenges, 0);
        vm.assertEq(store.getOpenChallengesOf(NODE, 0, 10).length, 0);

        vm.expectEmit(address(store));
        emit IStorageRegistry.Withdrawn(OWNER, BOND);
        vm.prank(OWNER);
        store.withdraw();
        vm.assertEq(aleph.balanceOf(OWNER), BOND);
        vm.assertEq(aleph.balanceOf(address(store)), 0);
    }

    function test_anyone_can_carry_an_answer_and_the_node_is_paid() public {
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        bytes memory proof = _answer(challengeId);
        vm.prank(STRANGER);
        store.respond(challengeId, proof);
        vm.assertEq(store.creditOf(OWNER), BOND);
        vm.assertEq(store.creditOf(STRANGER), 0);
    }

    function test_an_answer_until_the_last_second() public {
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        bytes memory proof = _answer(challengeId);
        uint64 respondBy = _respondBy(challengeId);
        vm.warp(respondBy + 1);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.TooLate.selector, respondBy));
        store.respond(challengeId, proof);
        vm.warp(respondBy);
        store.respond(challengeId, proof);
    }

    function test_the_clock_starts_when_the_round_is_posted() public {
        uint256 challengeId = _issue(commitmentId);
        vm.warp(store.getChallenge(challengeId).roundBy);
        uint64 round = store.getChallenge(challengeId).round;
        beacon.submit(round, BeaconSigner.sign(round));

        vm.warp(block.timestamp + RESPONSE_WINDOW_S);
        store.respond(challengeId, _answer(challengeId));
    }

    function test_no_answer_without_the_round() public {
        uint256 challengeId = _issue(commitmentId);
        uint64 round = store.getChallenge(challengeId).round;
        bytes memory notPosted =
            abi.encodeWithSelector(IStorageRegistry.RoundNotPosted.selector, round);
        vm.expectRevert(notPosted);
        store.respond(challengeId, "");
        vm.expectRevert(notPosted);
        store.leavesOf(challengeId);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.RoundNotPosted.selector, 0));
        store.leavesOf(99);

        vm.warp(store.getChallenge(challengeId).roundBy + 1);
        beacon.submit(round, BeaconSigner.sign(round));
        bytes memory proof = _answer(challengeId);
        vm.expectRevert(notPosted);
        store.respond(challengeId, proof);
    }

    function test_a_wrong_answer_leaves_the_challenge_open() public {
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        bytes memory proof = _answer(challengeId);
        proof[0] ^= 0x01;
        uint64 first = store.leavesOf(challengeId)[0];
        vm.expectRevert(abi.encodeWithSelector(StorageProof.WrongProof.selector, 0, first));
        store.respond(challengeId, proof);
        proof[0] ^= 0x01;
        store.respond(challengeId, proof);
    }

    // Faults.

    function test_no_answer_costs_stake() public {
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        uint64 respondBy = _respondBy(challengeId);
        vm.warp(respondBy);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.TooEarly.selector, respondBy));
        store.resolveChallenge(challengeId);

        vm.warp(respondBy + 1);
        vm.expectEmit(address(store));
        emit IStorageRegistry.ChallengeResolved(
            challengeId, commitmentId, CHALLENGER, 100 ether, 20 ether
        );
        vm.prank(STRANGER);
        store.resolveChallenge(challengeId);

        _assertStatus(challengeId, IStorageRegistry.ChallengeStatus.Failed);
        vm.assertEq(staking.slashableStake(NODE), STAKE - FAULT_BASE);
        vm.assertEq(staking.rewards(CHALLENGER), 20 ether);
        vm.assertEq(staking.lastReason(), "storage fault");
        vm.assertEq(staking.lastOwner(), OWNER);
        vm.assertEq(store.creditOf(CHALLENGER), BOND);
        IStorageRegistry.Commitment memory commitment = store.getCommitment(commitmentId);
        vm.assertEq(commitment.faults, 1);
        vm.assertEq(commitment.lastFaultAt, block.timestamp);
        vm.assertEq(commitment.openChallenges, 0);
        vm.assertEq(store.getOpenChallengesOf(NODE, 0, 10).length, 0);
    }

    function test_faults_of_one_loss_cost_once() public {
        uint256 first = _issue(commitmentId);
        uint256 second = _issue(commitmentId);
        _post(first);
        vm.warp(_respondBy(first) + 1);
        store.resolveChallenge(first);
        vm.expectEmit(address(store));
        emit IStorageRegistry.ChallengeResolved(second, commitmentId, CHALLENGER, 0, 0);
        store.resolveChallenge(second);
        vm.assertEq(staking.slashableStake(NODE), STAKE - FAULT_BASE);
        vm.assertEq(store.getCommitment(commitmentId).faults, 2);
        vm.assertEq(store.creditOf(CHALLENGER), 2 * BOND);
    }

    function test_a_challenge_outlives_its_commitment() public {
        uint256 challengeId = _issue(commitmentId);
        vm.prank(OPERATOR);
        store.remove(commitmentId);
        _post(challengeId);
        vm.warp(_respondBy(challengeId) + 1);
        store.close(commitmentId);
        store.resolveChallenge(challengeId);
        vm.assertEq(store.getCommitment(commitmentId).faults, 1);
    }

    function test_who_promised_answers_and_is_paid_whoever_owns_the_node_now() public {
        uint256 answered = _issue(commitmentId);
        uint256 failed = _issue(commitmentId);
        registry.deactivateNode(NODE);
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _activeNode(NODE, STRANGER, OPERATOR);
        IStorageRegistry.Offer memory offer = _offer();
        vm.prank(STRANGER);
        store.renew(commitmentId, offer);

        _post(answered);
        store.respond(answered, _answer(answered));
        vm.assertEq(store.creditOf(OWNER), BOND);
        vm.warp(_respondBy(failed) + 1);
        store.resolveChallenge(failed);
        vm.assertEq(staking.lastOwner(), OWNER);
    }

    // Ends without a verdict.

    function test_no_round_no_fault() public {
        uint256 challengeId = _issue(commitmentId);
        uint64 roundBy = store.getChallenge(challengeId).roundBy;
        vm.warp(roundBy);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.TooEarly.selector, roundBy));
        store.resolveChallenge(challengeId);

        vm.warp(roundBy + 1);
        vm.expectEmit(address(store));
        emit IStorageRegistry.ChallengeRefunded(challengeId, commitmentId, CHALLENGER);
        store.resolveChallenge(challengeId);
        _assertStatus(challengeId, IStorageRegistry.ChallengeStatus.Refunded);
        vm.assertEq(store.creditOf(CHALLENGER), BOND);
        vm.assertEq(staking.slashableStake(NODE), STAKE);
        vm.assertEq(store.getCommitment(commitmentId).faults, 0);
    }

    function test_a_fault_that_nobody_can_resolve_is_abandoned_after_a_week() public {
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        staking.jam(true);
        uint64 respondBy = _respondBy(challengeId);
        vm.warp(respondBy + ABANDON_AFTER_S);
        vm.expectRevert(StakeDouble.Stuck.selector);
        store.resolveChallenge(challengeId);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.TooEarly.selector, respondBy + ABANDON_AFTER_S)
        );
        store.abandonChallenge(challengeId);

        vm.warp(block.timestamp + 1);
        vm.expectEmit(address(store));
        emit IStorageRegistry.ChallengeRefunded(challengeId, commitmentId, CHALLENGER);
        store.abandonChallenge(challengeId);
        vm.assertEq(store.creditOf(CHALLENGER), BOND);
        vm.assertEq(store.getCommitment(commitmentId).faults, 0);
    }

    function test_without_its_round_a_challenge_is_resolved_and_not_abandoned() public {
        uint256 challengeId = _issue(commitmentId);
        uint64 round = store.getChallenge(challengeId).round;
        vm.warp(block.timestamp + 30 days);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.RoundNotPosted.selector, round));
        store.abandonChallenge(challengeId);
    }

    function test_an_end_is_final() public {
        uint256 answered = _issue(commitmentId);
        uint256 failed = _issue(commitmentId);
        uint256 refunded = _issue(commitmentId);
        _post(answered);
        store.respond(answered, _answer(answered));
        vm.warp(_respondBy(failed) + ABANDON_AFTER_S + 1);
        store.resolveChallenge(failed);
        store.abandonChallenge(refunded);

        for (uint256 challengeId = 0; challengeId <= 4; ++challengeId) {
            bytes memory notOpen = abi.encodeWithSelector(
                IStorageRegistry.ChallengeNotOpen.selector, challengeId, _status(challengeId)
            );
            vm.expectRevert(notOpen);
            store.respond(challengeId, "");
            vm.expectRevert(notOpen);
            store.resolveChallenge(challengeId);
            vm.expectRevert(notOpen);
            store.abandonChallenge(challengeId);
        }
    }

    function test_a_withdrawal_needs_credit() public {
        vm.expectRevert(IStorageRegistry.NothingToWithdraw.selector);
        store.withdraw();
        uint256 challengeId = _issue(commitmentId);
        vm.warp(block.timestamp + 1 days);
        store.resolveChallenge(challengeId);
        vm.startPrank(CHALLENGER);
        store.withdraw();
        vm.assertEq(aleph.balanceOf(CHALLENGER), 1_000_000 ether);
        vm.expectRevert(IStorageRegistry.NothingToWithdraw.selector);
        store.withdraw();
    }

    // Caps.

    function test_challenges_of_a_commitment_are_capped() public {
        for (uint256 i = 0; i < 3; ++i) {
            _issue(commitmentId);
        }
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.TooManyChallenges.selector, commitmentId)
        );
        _issue(commitmentId);

        _post(1);
        store.respond(1, _answer(1));
        _issue(commitmentId);
    }

    function test_challenges_of_a_node_are_capped_but_for_each_commitments_first() public {
        bytes32[3] memory ids = [commitmentId, commitmentId, commitmentId];
        ids[1] = _commit(keccak256("second"), _offer());
        ids[2] = _commit(keccak256("third"), _offer());
        _toBorder();
        for (uint256 i = 0; i < 3; ++i) {
            _issue(ids[0]);
        }
        _issue(ids[1]);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.TooManyChallenges.selector, ids[1]));
        _issue(ids[1]);
        _issue(ids[2]);
        vm.assertEq(store.getOpenChallengesOf(NODE, 0, 10).length, 5);
    }

    /// @dev The rules that a challenge was issued under hold to its end.
    function test_new_rules_leave_open_challenges_alone() public {
        uint256 challengeId = _issue(commitmentId);
        IStorageRegistry.Parameters memory parameters = _parameters();
        parameters.bond = 1;
        parameters.responseWindow = 24 hours;
        parameters.positions = 1;
        store.setParameters(parameters);
        _post(challengeId);
        vm.warp(block.timestamp + 26 hours);
        store.respond(challengeId, _answer(challengeId));
        vm.assertEq(store.creditOf(OWNER), BOND);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {StorageFixture} from "../base/StorageFixture.sol";

/// @dev The beacon is away, or someone keeps its round back.
contract StorageMissingRoundTest is StorageFixture {
    function test_nobody_loses_anything_when_the_beacon_is_away() public {
        uint256 challengeId = _issue(_committed());
        vm.warp(store.getChallenge(challengeId).roundBy + 1);
        vm.prank(STRANGER);
        store.resolveChallenge(challengeId);
        vm.prank(CHALLENGER);
        store.withdraw();
        vm.assertEq(aleph.balanceOf(CHALLENGER), 1_000_000 ether);
        vm.assertEq(aleph.balanceOf(address(store)), 0);
        vm.assertEq(staking.slashableStake(NODE), STAKE);
        vm.assertEq(store.getCommitment(store.getChallenge(challengeId).commitmentId).faults, 0);
    }

    /// @dev A round that comes too late is as good as none, for both sides and whoever is first.
    function test_a_late_round_slashes_nobody() public {
        uint256 challengeId = _issue(_committed());
        IStorageRegistry.Challenge memory challenge = store.getChallenge(challengeId);
        vm.warp(challenge.roundBy + 1);
        beacon.submit(challenge.round, BeaconSigner.sign(challenge.round));
        vm.warp(block.timestamp + 30 days);
        store.resolveChallenge(challengeId);
        _assertStatus(challengeId, IStorageRegistry.ChallengeStatus.Refunded);
        vm.assertEq(staking.slashableStake(NODE), STAKE);
    }

    /// @dev Who keeps the round back until the last moment takes none of the node's time.
    function test_a_round_that_is_kept_back_leaves_the_whole_window() public {
        uint256 challengeId = _issue(_committed());
        IStorageRegistry.Challenge memory challenge = store.getChallenge(challengeId);
        vm.warp(challenge.roundBy);
        beacon.submit(challenge.round, BeaconSigner.sign(challenge.round));
        vm.warp(block.timestamp + RESPONSE_WINDOW_S);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.TooEarly.selector, block.timestamp));
        store.resolveChallenge(challengeId);
        store.respond(challengeId, _answer(challengeId));
    }

    /// @dev A node that waits for the grace to pass gains nothing: anyone posts the round.
    function test_anyone_posts_the_round() public {
        uint256 challengeId = _issue(_committed());
        vm.warp(block.timestamp + BEACON_DELAY_S + 3);
        uint64 round = store.getChallenge(challengeId).round;
        bytes memory signature = BeaconSigner.sign(round);
        vm.prank(STRANGER);
        beacon.submit(round, signature);
        vm.warp(_respondBy(challengeId) + 1);
        store.resolveChallenge(challengeId);
        _assertStatus(challengeId, IStorageRegistry.ChallengeStatus.Failed);
    }
}

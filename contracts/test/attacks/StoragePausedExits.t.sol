// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageFixture} from "../base/StorageFixture.sol";

/// @dev Whoever can pause holds nobody's money and breaks nobody's answer.
contract StoragePausedExitsTest is StorageFixture {
    function test_what_is_in_gets_out_while_paused() public {
        bytes32 commitmentId = _committed();
        uint256 answered = _issue(commitmentId);
        uint256 failed = _issue(commitmentId);
        store.pause();

        _post(answered);
        store.respond(answered, _answer(answered));
        vm.prank(OPERATOR);
        store.remove(commitmentId);
        vm.warp(_respondBy(failed) + 1);
        store.resolveChallenge(failed);
        store.close(commitmentId);
        _assertStatus(answered, IStorageRegistry.ChallengeStatus.Answered);
        _assertStatus(failed, IStorageRegistry.ChallengeStatus.Failed);

        vm.prank(OWNER);
        store.withdraw();
        vm.prank(CHALLENGER);
        store.withdraw();
        vm.assertEq(aleph.balanceOf(address(store)), 0);
    }

    function test_refunds_are_paid_while_paused() public {
        bytes32 commitmentId = _committed();
        uint256 unasked = _issue(commitmentId);
        store.pause();
        vm.warp(store.getChallenge(unasked).roundBy + 1);
        store.resolveChallenge(unasked);
        vm.prank(CHALLENGER);
        store.withdraw();
        vm.assertEq(aleph.balanceOf(address(store)), 0);
    }

    function test_a_fault_that_cannot_be_resolved_is_abandoned_while_paused() public {
        uint256 challengeId = _challenged();
        store.pause();
        staking.jam(true);
        vm.warp(_respondBy(challengeId) + ABANDON_AFTER_S + 1);
        store.abandonChallenge(challengeId);
        vm.prank(CHALLENGER);
        store.withdraw();
        vm.assertEq(aleph.balanceOf(address(store)), 0);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev A node knows what a round asks for and changes what it is asked about.
contract StorageGrindByAddAndRemoveTest is StorageFixture {
    function test_the_questions_stay_the_same_whatever_is_added_and_removed() public {
        uint256 challengeId = _challenged();
        bytes32 commitmentId = store.getChallenge(challengeId).commitmentId;
        bytes memory asked = abi.encode(store.leavesOf(challengeId));

        vm.startPrank(OPERATOR);
        store.renew(commitmentId, _offer(Tree.leaves(3, 5, 2)));
        vm.assertEq(abi.encode(store.leavesOf(challengeId)), asked);
        store.remove(commitmentId);
        vm.assertEq(abi.encode(store.leavesOf(challengeId)), asked);
        vm.warp(_nextBorder());
        store.commit(NODE, CONTENT, _offer(Tree.leaves(1, 1, 3)));
        vm.assertEq(abi.encode(store.leavesOf(challengeId)), asked);
        vm.stopPrank();

        store.respond(challengeId, _answer(challengeId));
    }

    /// @dev Each add and remove costs a period: there are no many tries before a round is due.
    function test_one_change_a_period() public {
        bytes32 commitmentId = _committed();
        IStorageRegistry.Offer memory offer = _offer();
        uint64 border = _nextBorder();
        vm.startPrank(OPERATOR);
        store.renew(commitmentId, offer);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.ChangePending.selector, commitmentId, border)
        );
        store.renew(commitmentId, offer);
        store.remove(commitmentId);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.CommitmentEnding.selector, commitmentId, border)
        );
        store.remove(commitmentId);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.AlreadyCommitted.selector, commitmentId, border)
        );
        store.commit(NODE, CONTENT, offer);
    }

    /// @dev What the new terms would have answered is no answer.
    function test_the_new_bytes_do_not_answer_for_the_old() public {
        uint256 challengeId = _challenged();
        bytes32 commitmentId = store.getChallenge(challengeId).commitmentId;
        bytes[] memory other = Tree.leaves(12, 100, 2);
        IStorageRegistry.Offer memory offer = _offer(other);
        vm.prank(OPERATOR);
        store.renew(commitmentId, offer);
        _toBorder();
        vm.assertEq(store.versionInForce(commitmentId), 2);
        bytes memory proof = Tree.answer(other, store.leavesOf(challengeId));
        (bool accepted,) = address(store).call(abi.encodeCall(store.respond, (challengeId, proof)));
        vm.assertFalse(accepted);
    }
}

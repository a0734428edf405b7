// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev A node sees a challenge coming and acts first.
contract StorageFrontRunChallengeTest is StorageFixture {
    function test_nothing_that_comes_first_takes_the_commitment_out_of_reach() public {
        bytes32 commitmentId = _committed();
        vm.startPrank(OPERATOR);
        store.renew(commitmentId, _offer(Tree.leaves(1, 1, 9)));
        store.remove(commitmentId);
        vm.stopPrank();

        uint256 challengeId = _issue(commitmentId);
        vm.assertEq(store.getChallenge(challengeId).version, 1);
        _post(challengeId);
        store.respond(challengeId, _answer(challengeId));
    }

    /// @dev The node fills its slots with challenges of contents that it has.
    function test_a_node_cannot_hide_one_content_behind_another() public {
        bytes32 kept = _commit(keccak256("kept"), _offer());
        bytes32 lost = _commit(keccak256("lost"), _offer());
        _toBorder();
        _fund(OPERATOR);
        vm.startPrank(OPERATOR);
        while (true) {
            try store.issueChallenge(kept) {}
            catch {
                break;
            }
        }
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.TooManyChallenges.selector, kept));
        _issue(kept);
        _issue(lost);
    }

    /// @dev Filling the slots of the lost content itself is being challenged as often as there is
    /// room for, by questions that nobody chose.
    function test_a_node_that_challenges_itself_must_answer() public {
        bytes32 lost = _committed();
        _fund(OPERATOR);
        vm.startPrank(OPERATOR);
        for (uint256 i = 0; i < 3; ++i) {
            store.issueChallenge(lost);
        }
        vm.stopPrank();
        for (uint256 challengeId = 1; challengeId <= 3; ++challengeId) {
            vm.assertEq(store.getChallenge(challengeId).positions, 5);
        }
        _post(1);
        vm.warp(_respondBy(1) + 1);
        vm.prank(STRANGER);
        store.resolveChallenge(1);
        vm.assertEq(staking.slashableStake(NODE), STAKE - FAULT_BASE);
    }

    /// @dev Copying an answer on its way pays the node all the same.
    function test_an_answer_cannot_be_stolen() public {
        uint256 challengeId = _challenged();
        bytes memory proof = _answer(challengeId);
        vm.prank(STRANGER);
        store.respond(challengeId, proof);
        vm.assertEq(store.creditOf(OWNER), BOND);
        vm.assertEq(store.creditOf(STRANGER), 0);
    }
}

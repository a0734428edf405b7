// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev A node keeps answers and throws the bytes away.
contract StorageReplayedResponseTest is StorageFixture {
    function test_an_answer_is_for_one_challenge() public {
        uint256 first = _issue(_committed());
        uint256 second = _issue(store.getChallenge(first).commitmentId);
        _post(first);
        vm.assertEq(store.getChallenge(first).round, store.getChallenge(second).round);
        bytes memory proof = _answer(first);
        _refused(second, proof);

        store.respond(first, proof);
        vm.expectRevert(
            abi.encodeWithSelector(
                IStorageRegistry.ChallengeNotOpen.selector,
                first,
                IStorageRegistry.ChallengeStatus.Answered
            )
        );
        store.respond(first, proof);
    }

    function test_an_answer_is_for_one_version() public {
        uint256 first = _issue(_committed());
        _post(first);
        bytes32 commitmentId = store.getChallenge(first).commitmentId;
        IStorageRegistry.Offer memory same = _offer();
        vm.prank(OPERATOR);
        store.renew(commitmentId, same);
        _toBorder();
        uint256 second = _issue(commitmentId);
        vm.assertEq(store.getChallenge(second).version, 2);
        _post(second);
        _refused(first, _answer(second));
        _refused(second, _answer(first));
        store.respond(first, _answer(first));
    }

    /// @dev The same bytes, the same round: another node is asked for other leaves.
    function test_an_answer_is_for_one_node() public {
        IStorageRegistry.Offer memory offer = _offer();
        vm.prank(OTHER_OPERATOR);
        bytes32 otherId = store.commit(OTHER_NODE, CONTENT, offer);
        uint256 first = _issue(_committed());
        uint256 second = _issue(otherId);
        _post(first);
        _refused(second, _answer(first));
        store.respond(second, _answer(second));
        vm.assertEq(store.creditOf(OTHER_OWNER), BOND);
    }

    /// @dev Every leaf that was not asked for, in the place of one that was.
    function test_an_answer_is_for_the_leaves_asked_for() public {
        uint256 challengeId = _challenged();
        bytes[] memory leaves = _leaves();
        uint64[] memory asked = store.leavesOf(challengeId);
        for (uint64 other = 0; other < leaves.length; ++other) {
            uint64 right = asked[2];
            if (other == right) continue;
            asked[2] = other;
            _refused(challengeId, Tree.answer(leaves, asked));
            asked[2] = right;
        }
        // Nor in another order.
        (asked[0], asked[1]) = (asked[1], asked[0]);
        if (asked[0] != asked[1]) _refused(challengeId, Tree.answer(leaves, asked));
    }

    function _refused(uint256 challengeId, bytes memory proof) private {
        (bool accepted,) = address(store).call(abi.encodeCall(store.respond, (challengeId, proof)));
        vm.assertFalse(accepted);
    }
}

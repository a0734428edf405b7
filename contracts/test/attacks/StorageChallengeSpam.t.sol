// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {StorageFixture} from "../base/StorageFixture.sol";

/// @dev Someone with money buries a node in challenges.
contract StorageChallengeSpamTest is StorageFixture {
    function test_a_node_has_no_more_to_answer_than_the_caps_say() public {
        bytes32[4] memory ids;
        for (uint256 i = 0; i < ids.length; ++i) {
            ids[i] = _commit(bytes32(i + 1), _offer());
        }
        _toBorder();
        for (uint256 i = 0; i < 40; ++i) {
            vm.prank(CHALLENGER);
            try store.issueChallenge(ids[i % 4]) {} catch {}
        }
        // The cap of the node, or one for each commitment.
        vm.assertEq(store.getOpenChallengesOf(NODE, 0, 100).length, 4);
        vm.assertEq(aleph.balanceOf(address(store)), 4 * BOND);
    }

    /// @dev Every answer is paid: the spammer pays for the node's work, as often as it asks.
    function test_spam_is_paid_for() public {
        bytes32 commitmentId = _committed();
        uint256 before = aleph.balanceOf(CHALLENGER);
        for (uint256 i = 1; i <= 10; ++i) {
            uint256 challengeId = _issue(commitmentId);
            _post(challengeId);
            store.respond(challengeId, _answer(challengeId));
        }
        vm.assertEq(store.creditOf(OWNER), 10 * BOND);
        vm.assertEq(aleph.balanceOf(CHALLENGER), before - 10 * BOND);
    }

    /// @dev Many challengers who know of one loss take the price of one.
    function test_a_loss_is_not_multiplied_by_challenges_of_it() public {
        bytes32 commitmentId = _committed();
        uint256 last;
        for (uint256 i = 0; i < 3; ++i) {
            last = _issue(commitmentId);
        }
        _post(last);
        vm.warp(_respondBy(last) + 1);
        for (uint256 challengeId = 1; challengeId <= last; ++challengeId) {
            store.resolveChallenge(challengeId);
        }
        vm.assertEq(staking.slashableStake(NODE), STAKE - FAULT_BASE);
    }
}

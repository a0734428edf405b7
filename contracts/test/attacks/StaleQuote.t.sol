// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A node that is not any more what it was keeps a quote from better days.
contract StaleQuoteAttack is RegistryFixture {
    function test_an_answer_after_the_validity_is_refused() public {
        _realNode();
        uint64 expiresAt = registry.getChallenge(nodeId).expiresAt;
        Statement memory good = _realStatement("good");

        vm.warp(expiresAt + 1);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.ChallengeExpired.selector, nodeId, expiresAt)
        );
        _attest(nodeId, good);

        vm.warp(expiresAt);
        _attest(nodeId, good);
    }

    function test_an_answer_to_a_replaced_challenge_is_refused() public {
        _realNode();
        _requestChosen(".nextChallenge");
        bytes32 expected = _extraData(nodeId, vm.parseJsonBytes32(json, ".nextChallenge"));
        Statement memory old = _realStatement("good");
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.WrongExtraData.selector,
                vm.parseJsonBytes32(json, ".extraData"),
                expected
            )
        );
        _attest(nodeId, old);
        _attest(nodeId, _realStatement("next"));
    }

    /// @dev Quotes are made in store, each for a challenge that the operator expects. What it can know
    /// is everything but the next block's hash.
    function test_challenges_cannot_be_foreseen() public {
        _madeNode();
        bytes32 last = _request(nodeId, OPERATOR);
        for (uint256 guess = 0; guess < 8; ++guess) {
            uint256 timestamp = block.timestamp + guess;
            bytes32 foreseen =
                keccak256(abi.encode(last, blockhash(block.number - 1), timestamp, nodeId));
            uint256 state = vm.snapshotState();
            vm.warp(timestamp);
            vm.roll(block.number + 1);
            vm.setBlockhash(block.number - 1, keccak256("not known when the quote was made"));
            vm.assertTrue(_request(nodeId, OPERATOR) != foreseen);
            vm.revertToState(state);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A good quote is sent where or when it was good for something else.
contract ReplayedQuoteAttack is RegistryFixture {
    function test_an_answer_is_taken_once() public {
        _realNode();
        Statement memory good = _realStatement("good");
        _attest(nodeId, good);
        vm.warp(block.timestamp + 1 minutes);

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NoChallenge.selector, nodeId));
        _attest(nodeId, good);
        vm.assertFalse(registry.isAttested(nodeId, 59));

        _requestChosen(".nextChallenge");
        _refused("good");
    }

    function test_answers_on_other_chains_and_to_other_registries_are_refused() public {
        _realNode();
        _refused("otherChain");
        _refused("otherRegistry");
        _attest(nodeId, _realStatement("good"));
    }

    /// @dev The same key signs for verifiers off chain, who choose freely what goes into the quote.
    function test_what_was_signed_for_another_protocol_is_refused() public {
        _realNode();
        _refused("otherProtocol");
    }

    /// @dev A challenge of this registry, answered on another: the address is in what is signed.
    function test_the_same_challenge_elsewhere_wants_another_answer() public {
        _realNode();
        bytes32 here = _extraData(nodeId, registry.getChallenge(nodeId).value);
        registry = _deployAt(address(0x1234));
        bytes32 there = _extraData(nodeId, vm.parseJsonBytes32(json, ".challenge"));
        vm.assertTrue(here != there);
    }

    function _refused(string memory name) private {
        Statement memory statement = _realStatement(name);
        bytes32 expected = _extraData(nodeId, registry.getChallenge(nodeId).value);
        bytes32 found;
        bytes memory quote = statement.quote;
        assembly ("memory-safe") {
            found := mload(add(quote, 76))
        }
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.WrongExtraData.selector, found, expected)
        );
        _attest(nodeId, statement);
    }
}

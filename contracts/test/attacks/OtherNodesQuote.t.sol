// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev One good machine vouches for two nodes.
contract OtherNodesQuoteAttack is RegistryFixture {
    /// @dev The machine signs, for its friend, an extra data with the friend's id in it.
    function test_a_quote_about_another_node_is_refused() public {
        _realNode();
        Statement memory foreign = _realStatement("otherNode");
        bytes32 challenge = vm.parseJsonBytes32(json, ".challenge");
        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.WrongExtraData.selector,
                _extraData(otherNodeId, challenge),
                _extraData(nodeId, challenge)
            )
        );
        _attest(nodeId, foreign);
    }

    /// @dev And where that quote would fit, the key does not.
    function test_the_other_node_has_a_key_of_its_own() public {
        _realNode();
        _enrol(otherNodeId, OTHER_OPERATOR, _keyOf(OTHER_SECRET));
        _register(otherNodeId, OTHER_OWNER, OTHER_OPERATOR, _keyOf(OTHER_SECRET));
        registry.choose(vm.parseJsonBytes32(json, ".challenge"));
        _request(otherNodeId, OTHER_OPERATOR);

        Statement memory borrowed = _realStatement("otherNode");
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InvalidQuoteSignature.selector, otherNodeId)
        );
        _attest(otherNodeId, borrowed);
        vm.assertFalse(registry.isAttested(otherNodeId, type(uint64).max));
    }

    /// @dev Two nodes, both honest: their answers cannot be swapped.
    function test_answers_cannot_be_swapped() public {
        _madeNode();
        _enrol(otherNodeId, OTHER_OPERATOR, _keyOf(OTHER_SECRET));
        _register(otherNodeId, OTHER_OWNER, OTHER_OPERATOR, _keyOf(OTHER_SECRET));
        bytes32 challenge = _request(nodeId, OPERATOR);
        bytes32 otherChallenge = _request(otherNodeId, OTHER_OPERATOR);
        Statement memory answer = _answer(nodeId, challenge, RELEASE, 1, SECRET);
        Statement memory other = _answer(otherNodeId, otherChallenge, RELEASE, 1, OTHER_SECRET);

        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.WrongExtraData.selector,
                _extraData(otherNodeId, otherChallenge),
                _extraData(nodeId, challenge)
            )
        );
        _attest(nodeId, other);
        _attest(nodeId, answer);
        _attest(otherNodeId, other);
    }
}

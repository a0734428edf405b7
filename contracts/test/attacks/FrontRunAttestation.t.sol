// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev Someone watches for a node's transactions and puts its own before them.
contract FrontRunAttestationAttack is RegistryFixture {
    /// @dev Sending the node's answer first does what the node wanted.
    function test_an_answer_sent_by_another_counts() public {
        _realNode();
        Statement memory good = _realStatement("good");
        vm.prank(OTHER_OPERATOR);
        registry.attest(nodeId, good.quote, good.r, good.s);
        vm.assertTrue(registry.isAttested(nodeId, 0));

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NoChallenge.selector, nodeId));
        vm.prank(OPERATOR);
        registry.attest(nodeId, good.quote, good.r, good.s);
        vm.assertTrue(registry.isAttested(nodeId, 0));
    }

    /// @dev Nobody else can replace the challenge that a quote is being made for, and a refused
    /// answer does not use it up.
    function test_a_challenge_stays_until_it_is_answered() public {
        _realNode();
        bytes32 challenge = registry.getChallenge(nodeId).value;
        address[3] memory others = [STRANGER, OWNER, OTHER_OPERATOR];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(INodeRegistry.NotNodeOperator.selector, nodeId, others[i])
            );
            _request(nodeId, others[i]);
        }
        Statement memory foreign = _realStatement("foreignKey");
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InvalidQuoteSignature.selector, nodeId)
        );
        _attest(nodeId, foreign);
        vm.assertEq(registry.getChallenge(nodeId).value, challenge);
        _attest(nodeId, _realStatement("good"));
    }
}

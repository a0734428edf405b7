// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A key that nobody saw in the node's TPM: software can sign anything.
contract ForeignAttestationKeyAttack is RegistryFixture {
    /// @dev Another key of the very same TPM, which nobody enrolled.
    function test_a_quote_by_another_real_key_is_refused() public {
        _realNode();
        Statement memory foreign = _realStatement("foreignKey");
        vm.expectRevert(_invalidSignature());
        _attest(nodeId, foreign);

        // Nothing else was wrong with it.
        _enrol(nodeId, OPERATOR, _jsonKey(".foreignKey"));
        _requestChosen(".challenge");
        _attest(nodeId, foreign);
    }

    /// @dev The key that an operator registers with is its own word.
    function test_a_registered_key_is_not_an_enrolled_key() public {
        registry.approveRelease(RELEASE, VERSION);
        _register(nodeId, OWNER, OPERATOR, _keyOf(SECRET));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotEnrolled.selector, nodeId));
        _request(nodeId, OPERATOR);

        _enrol(nodeId, OPERATOR, _keyOf(OTHER_SECRET));
        Statement memory software = _answer(nodeId, _request(nodeId, OPERATOR), RELEASE, 1, SECRET);
        vm.expectRevert(_invalidSignature());
        _attest(nodeId, software);
    }

    /// @dev A challenge that is open when the key is revoked can be answered with it no more.
    function test_a_revoked_key_is_refused() public {
        _madeNode();
        Statement memory answer = _answer(nodeId, _request(nodeId, OPERATOR), RELEASE, 1, SECRET);
        registry.revokeKey(nodeId);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NoChallenge.selector, nodeId));
        _attest(nodeId, answer);
    }

    function testFuzz_signatures_of_other_keys_are_refused(uint256 secret) public {
        secret = 1 + secret % (type(uint256).max >> 8);
        vm.assume(secret != SECRET);
        _madeNode();
        Statement memory statement = _answer(nodeId, _request(nodeId, OPERATOR), RELEASE, 1, secret);
        vm.expectRevert(_invalidSignature());
        _attest(nodeId, statement);
    }

    function testFuzz_made_up_signatures_are_refused(bytes32 r, bytes32 s) public {
        _madeNode();
        Statement memory statement = _answer(nodeId, _request(nodeId, OPERATOR), RELEASE, 1, SECRET);
        vm.assume(r != statement.r || s != statement.s);
        (statement.r, statement.s) = (r, s);
        vm.expectRevert(_invalidSignature());
        _attest(nodeId, statement);
    }

    function _invalidSignature() private view returns (bytes memory) {
        return abi.encodeWithSelector(INodeRegistry.InvalidQuoteSignature.selector, nodeId);
    }
}

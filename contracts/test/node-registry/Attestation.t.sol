// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev Challenges, quotes that a TPM made, and what they are worth. Here the signature is checked by
/// OpenZeppelin's Solidity, for the EVM of the default profile has no P256VERIFY.
contract AttestationTest is RegistryFixture {
    function test_the_signature_is_checked_where_this_contract_says() public view {
        Statement memory good = _realStatement("good");
        INodeRegistry.AttestationKey memory key = _realKey();
        bytes memory input = abi.encode(sha256(good.quote), good.r, good.s, key.x, key.y);
        (bool succeeded, bytes memory answer) = address(0x100).staticcall(input);
        vm.assertTrue(succeeded);
        vm.assertTrue((answer.length == 32) == _hasPrecompile());
    }

    function test_a_real_quote_is_accepted() public {
        _realNode();
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeAttested(nodeId, _pcrDigest(), VERSION, 1);
        _attest(nodeId, _realStatement("good"));

        INodeRegistry.Attestation memory attestation = registry.getAttestation(nodeId);
        vm.assertEq(attestation.attestedAt, block.timestamp);
        vm.assertEq(attestation.pcrDigest, _pcrDigest());
        vm.assertEq(uint256(registry.getEnrolment(nodeId).resetCount), 1);
        vm.assertEq(registry.getChallenge(nodeId).value, 0);
        vm.assertEq(registry.getChallenge(nodeId).expiresAt, 0);
        vm.assertTrue(registry.isAttested(nodeId, 0));
    }

    function test_a_node_attests_again_and_after_a_reset() public {
        _realNode();
        _attest(nodeId, _realStatement("good"));
        _requestChosen(".nextChallenge");
        _attest(nodeId, _realStatement("next"));
        _requestChosen(".nextChallenge");
        _attest(nodeId, _realStatement("afterReset"));
        vm.assertEq(uint256(registry.getEnrolment(nodeId).resetCount), 2);
    }

    function test_both_numbers_must_be_low_and_theirs() public {
        _realNode();
        Statement memory good = _realStatement("good");
        bytes32 high = bytes32(P256.N - uint256(good.s));
        bytes32[2][6] memory wrong = [
            [good.r, high],
            [good.s, good.r],
            [bytes32(0), good.s],
            [good.r, bytes32(0)],
            [bytes32(P256.N), good.s],
            [good.r, bytes32(uint256(good.s) ^ 1)]
        ];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _expectInvalidSignature();
            _attest(nodeId, Statement(good.quote, wrong[i][0], wrong[i][1]));
        }
        _attest(nodeId, good);
    }

    function test_attestation_ages() public {
        _madeNode();
        vm.assertFalse(registry.isAttested(nodeId, type(uint64).max));
        _madeAttestation(RELEASE, 1);
        vm.assertTrue(registry.isAttested(nodeId, 0));
        vm.warp(block.timestamp + 100);
        vm.assertFalse(registry.isAttested(nodeId, 99));
        vm.assertTrue(registry.isAttested(nodeId, 100));
        vm.assertTrue(registry.isAttested(nodeId, type(uint64).max));
    }

    function test_attestation_ends_with_its_release() public {
        _madeNode();
        _madeAttestation(RELEASE, 1);
        registry.revokeRelease(RELEASE);
        vm.assertFalse(registry.isAttested(nodeId, 1));
        registry.approveRelease(RELEASE, VERSION);
        vm.assertTrue(registry.isAttested(nodeId, 1));

        registry.approveRelease(OTHER_RELEASE, VERSION + 1);
        _setMinimum(VERSION + 1);
        vm.assertFalse(registry.isAttested(nodeId, 1));
        _setMinimum(VERSION);
        vm.assertTrue(registry.isAttested(nodeId, 1));
    }

    function test_attestation_ends_with_its_key() public {
        _madeNode();
        _madeAttestation(RELEASE, 1);
        registry.revokeKey(nodeId);
        _assertNothingAttested();

        _enrol(nodeId, OPERATOR, _keyOf(SECRET));
        _assertNothingAttested();
        _madeAttestation(RELEASE, 1);
        _request(nodeId, OPERATOR);
        _enrol(nodeId, OPERATOR, _keyOf(OTHER_SECRET));
        _assertNothingAttested();
    }

    function test_attestation_ends_with_its_registration() public {
        _madeNode();
        _madeAttestation(RELEASE, 1);
        _request(nodeId, OPERATOR);
        vm.prank(OWNER);
        registry.deregisterNode(nodeId);
        _assertNothingAttested();

        // The enrolment stays, and with it what the TPM has said of its resets.
        _register(nodeId, OWNER, OPERATOR, _keyOf(SECRET));
        _assertNothingAttested();
        vm.assertEq(uint256(registry.getEnrolment(nodeId).resetCount), 1);
    }

    function test_a_challenge_is_the_operators_to_request() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeNotRegistered.selector, nodeId));
        _request(nodeId, OPERATOR);
        _register(nodeId, OWNER, OPERATOR, _keyOf(SECRET));
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotEnrolled.selector, nodeId));
        _request(nodeId, OPERATOR);
        _enrol(nodeId, OPERATOR, _keyOf(SECRET));
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NotNodeOperator.selector, nodeId, OWNER)
        );
        _request(nodeId, OWNER);

        uint64 expiresAt = uint64(block.timestamp) + CHALLENGE_VALIDITY_S;
        registry.choose(keccak256("challenge"));
        vm.expectEmit(address(registry));
        emit INodeRegistry.ChallengeRequested(nodeId, keccak256("challenge"), expiresAt);
        vm.assertEq(_request(nodeId, OPERATOR), keccak256("challenge"));
        vm.assertEq(registry.getChallenge(nodeId).value, keccak256("challenge"));
        vm.assertEq(registry.getChallenge(nodeId).expiresAt, expiresAt);
    }

    /// @dev None comes twice, in one block or later, and each depends on the last block and on all
    /// challenges before it.
    function test_challenges_differ() public {
        _madeNode();
        _enrol(otherNodeId, OTHER_OPERATOR, _keyOf(OTHER_SECRET));
        _register(otherNodeId, OTHER_OWNER, OTHER_OPERATOR, _keyOf(OTHER_SECRET));
        vm.setBlockhash(block.number - 1, keccak256("a block"));
        uint256 state = vm.snapshotState();
        bytes32 first = _request(nodeId, OPERATOR);
        bytes32 second = _request(nodeId, OPERATOR);
        vm.assertTrue(first != second && first != 0);

        vm.revertToState(state);
        vm.assertEq(_request(nodeId, OPERATOR), first);
        vm.revertToState(state);
        _request(otherNodeId, OTHER_OPERATOR);
        vm.assertTrue(_request(nodeId, OPERATOR) != first);
        vm.revertToState(state);
        vm.setBlockhash(block.number - 1, keccak256("another block"));
        vm.assertTrue(_request(nodeId, OPERATOR) != first);
        vm.revertToState(state);
        vm.warp(block.timestamp + 1);
        vm.assertTrue(_request(nodeId, OPERATOR) != first);
    }

    function test_an_answer_without_a_challenge_is_refused() public {
        _madeNode();
        Statement memory statement = _answer(nodeId, 0, RELEASE, 1, SECRET);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NoChallenge.selector, nodeId));
        _attest(nodeId, statement);
    }

    function test_a_validity_that_changes_does_not_change_open_challenges() public {
        _madeNode();
        bytes32 challenge = _request(nodeId, OPERATOR);
        INodeRegistry.Parameters memory parameters = _parameters();
        parameters.challengeValidity = 1 minutes;
        registry.setParameters(parameters);
        vm.warp(block.timestamp + CHALLENGE_VALIDITY_S);
        _attest(nodeId, _answer(nodeId, challenge, RELEASE, 1, SECRET));
    }

    function test_a_release_older_than_the_minimum_is_refused() public {
        _madeNode();
        registry.approveRelease(OTHER_RELEASE, VERSION + 1);
        _setMinimum(VERSION + 1);
        bytes32 challenge = _request(nodeId, OPERATOR);
        Statement memory old = _answer(nodeId, challenge, RELEASE, 1, SECRET);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.ReleaseTooOld.selector, VERSION, VERSION + 1)
        );
        _attest(nodeId, old);
        _attest(nodeId, _answer(nodeId, challenge, OTHER_RELEASE, 1, SECRET));
    }

    /// @dev A quote answers one node, one challenge, one chain and one registry, whatever else it says.
    function testFuzz_only_the_right_extra_data_is_taken(bytes32 extraData, uint32 resetCount)
        public
    {
        _madeNode();
        bytes32 expected = _extraData(nodeId, _request(nodeId, OPERATOR));
        vm.assume(extraData != expected);
        Statement memory wrong = _signed(_quote(extraData, RELEASE, resetCount), SECRET);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.WrongExtraData.selector, extraData, expected)
        );
        _attest(nodeId, wrong);
        _attest(nodeId, _signed(_quote(expected, RELEASE, resetCount), SECRET));
        vm.assertTrue(registry.isAttested(nodeId, 0));
    }

    function _hasPrecompile() internal pure virtual returns (bool) {
        return false;
    }

    function _setMinimum(uint64 version) private {
        INodeRegistry.Parameters memory parameters = _parameters();
        parameters.minReleaseVersion = version;
        registry.setParameters(parameters);
    }

    function _assertNothingAttested() private view {
        vm.assertFalse(registry.isAttested(nodeId, type(uint64).max));
        vm.assertEq(registry.getAttestation(nodeId).attestedAt, 0);
        vm.assertEq(registry.getAttestation(nodeId).pcrDigest, 0);
        vm.assertEq(registry.getChallenge(nodeId).expiresAt, 0);
    }

    function _expectInvalidSignature() private {
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.InvalidQuoteSignature.selector, nodeId)
        );
    }
}

/// @dev All of it again with the precompile that Arbitrum One has.
/// forge-config: default.evm_version = "osaka"
contract AttestationByPrecompileTest is AttestationTest {
    function _hasPrecompile() internal pure override returns (bool) {
        return true;
    }
}

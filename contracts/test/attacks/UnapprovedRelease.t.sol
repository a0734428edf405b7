// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A true quote of a machine that runs what nobody approved.
contract UnapprovedReleaseAttack is RegistryFixture {
    function test_other_measurements_are_refused() public {
        _realNode();
        Statement memory other = _realStatement("otherRelease");
        bytes32 digest = vm.parseJsonBytes32(json, ".otherPcrDigest");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ReleaseNotApproved.selector, digest));
        _attest(nodeId, other);

        // Nothing else was wrong with it.
        registry.approveRelease(digest, VERSION);
        _attest(nodeId, other);
        vm.assertEq(registry.getAttestation(nodeId).pcrDigest, digest);
    }

    function test_a_revoked_release_is_refused() public {
        _realNode();
        registry.revokeRelease(_pcrDigest());
        Statement memory good = _realStatement("good");
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.ReleaseNotApproved.selector, _pcrDigest())
        );
        _attest(nodeId, good);
    }

    /// @dev Other PCRs, or another bank, say nothing about the release, whatever their digest.
    function test_other_selections_are_refused_even_with_an_approved_digest() public {
        _realNode();
        string[2] memory names = ["otherPcrs", "otherBank"];
        for (uint256 i = 0; i < names.length; ++i) {
            Statement memory statement = _realStatement(names[i]);
            bytes32 digest;
            bytes memory quote = statement.quote;
            assembly ("memory-safe") {
                digest := mload(add(quote, 145))
            }
            registry.approveRelease(digest, VERSION);
            (bool taken,) = address(registry)
                .call(
                    abi.encodeCall(INodeRegistry.attest, (nodeId, quote, statement.r, statement.s))
                );
            vm.assertFalse(taken);
        }
    }

    function testFuzz_no_digest_but_the_approved_one_is_taken(bytes32 digest) public {
        vm.assume(digest != RELEASE);
        _madeNode();
        bytes32 challenge = _request(nodeId, OPERATOR);
        Statement memory statement = _answer(nodeId, challenge, digest, 1, SECRET);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ReleaseNotApproved.selector, digest));
        _attest(nodeId, statement);
    }
}

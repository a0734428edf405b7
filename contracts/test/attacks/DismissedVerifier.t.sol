// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A verifier is found out after it has spoken; a voice more, and the enrolment would be done.
contract DismissedVerifierAttack is RegistryFixture {
    INodeRegistry.AttestationKey private key;

    function setUp() public override {
        super.setUp();
        key = _keyOf(SECRET);
        _vote(0, nodeId, OTHER_OPERATOR, key);
    }

    function test_its_voice_goes_with_it() public {
        registry.revokeRole(Roles.VERIFIER, verifiers[0]);
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OTHER_OPERATOR, key), 0);
        _vote(1, nodeId, OTHER_OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, address(0));
    }

    function test_a_verifier_that_resigns_takes_its_voice_along() public {
        vm.prank(verifiers[0]);
        registry.renounceRole(Roles.VERIFIER, verifiers[0]);
        _vote(1, nodeId, OTHER_OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, address(0));
    }

    /// @dev Whoever spoke beside it, for something true, says it again and is counted.
    function test_the_others_speak_again() public {
        _vote(1, nodeId, OPERATOR, key);
        registry.revokeRole(Roles.VERIFIER, verifiers[0]);
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OPERATOR, key), 0);
        _vote(1, nodeId, OPERATOR, key);
        _vote(2, nodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, OPERATOR);
    }

    /// @dev Roles that are no verifier's, and accounts that had none, change nothing.
    function test_other_revocations_keep_the_voices() public {
        registry.revokeRole(Roles.VERIFIER, STRANGER);
        registry.revokeRole(Roles.PAUSER, address(this));
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OTHER_OPERATOR, key), 1);
    }

    /// @dev With its role given back, it does not have two voices.
    function test_a_role_given_back_is_one_voice() public {
        registry.revokeRole(Roles.VERIFIER, verifiers[0]);
        registry.grantRole(Roles.VERIFIER, verifiers[0]);
        _vote(0, nodeId, OTHER_OPERATOR, key);
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OTHER_OPERATOR, key), 1);
    }
}

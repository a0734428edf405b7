// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {Quorum} from "../../src/libraries/Quorum.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev Who speaks for a node, by a quorum's word. Two of three verifiers are a quorum.
contract EnrolmentTest is RegistryFixture {
    INodeRegistry.AttestationKey private key;
    INodeRegistry.AttestationKey private otherKey;

    function setUp() public override {
        super.setUp();
        key = _keyOf(SECRET);
        otherKey = _keyOf(OTHER_SECRET);
    }

    function test_a_quorum_enrols() public {
        vm.expectEmit(address(registry));
        emit INodeRegistry.KeyEnrolmentVoted(nodeId, verifiers[0], OPERATOR, key, 1);
        _vote(0, nodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, address(0));
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OPERATOR, key), 1);

        vm.expectEmit(address(registry));
        emit INodeRegistry.KeyEnrolmentVoted(nodeId, verifiers[2], OPERATOR, key, 2);
        vm.expectEmit(address(registry));
        emit INodeRegistry.KeyEnrolled(nodeId, OPERATOR, key);
        _vote(2, nodeId, OPERATOR, key);

        INodeRegistry.Enrolment memory enrolment = registry.getEnrolment(nodeId);
        vm.assertEq(enrolment.operator, OPERATOR);
        vm.assertEq(enrolment.key.x, key.x);
        vm.assertEq(enrolment.key.y, key.y);
        vm.assertEq(uint256(enrolment.resetCount), 0);
        // What is decided is no longer voted on.
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OPERATOR, key), 0);
    }

    function test_nothing_is_enrolled_that_could_not_be() public {
        vm.startPrank(verifiers[0]);
        vm.expectRevert(INodeRegistry.ZeroNodeId.selector);
        registry.enrolKey(0, OPERATOR, key);
        vm.expectRevert(INodeRegistry.ZeroOperator.selector);
        registry.enrolKey(nodeId, address(0), key);
        otherKey.y = bytes32(uint256(otherKey.y) ^ 1);
        vm.expectRevert(INodeRegistry.InvalidAttestationKey.selector);
        registry.enrolKey(nodeId, OPERATOR, otherKey);
    }

    function test_only_verifiers_speak_and_each_once() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, STRANGER, Roles.VERIFIER
            )
        );
        vm.prank(STRANGER);
        registry.enrolKey(nodeId, OPERATOR, key);

        _vote(0, nodeId, OPERATOR, key);
        bytes32 statement = keccak256(abi.encode(nodeId, OPERATOR, key, uint64(1), uint256(0)));
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.AlreadyVoted.selector, verifiers[0], statement)
        );
        _vote(0, nodeId, OPERATOR, key);
    }

    /// @dev Neither a voice on another operator, nor on another key, nor on another node counts.
    function test_only_equal_voices_count_together() public {
        _vote(0, nodeId, OPERATOR, key);
        _vote(1, nodeId, OTHER_OPERATOR, key);
        _vote(1, nodeId, OPERATOR, otherKey);
        _vote(1, otherNodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, address(0));
        vm.assertEq(registry.getEnrolment(otherNodeId).operator, address(0));
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OPERATOR, key), 1);
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OTHER_OPERATOR, key), 1);
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OPERATOR, otherKey), 1);
        vm.assertEq(registry.getEnrolmentVotes(otherNodeId, OTHER_OPERATOR, key), 0);

        _vote(2, nodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, OPERATOR);
    }

    function test_voices_count_together_within_the_window_only() public {
        _vote(0, nodeId, OPERATOR, key);
        vm.warp(block.timestamp + ENROLMENT_WINDOW_S + 1);
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OPERATOR, key), 0);
        _vote(1, nodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, address(0));

        // Whoever spoke too early speaks again; the window's last second counts.
        vm.warp(block.timestamp + ENROLMENT_WINDOW_S);
        vm.assertEq(registry.getEnrolmentVotes(nodeId, OPERATOR, key), 1);
        _vote(0, nodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, OPERATOR);
    }

    function test_what_was_not_decided_starts_anew_after_a_decision() public {
        _vote(2, nodeId, OTHER_OPERATOR, otherKey);
        _enrol(nodeId, OPERATOR, key);
        _vote(1, nodeId, OTHER_OPERATOR, otherKey);
        vm.assertEq(registry.getEnrolment(nodeId).operator, OPERATOR);

        _vote(2, nodeId, OTHER_OPERATOR, otherKey);
        vm.assertEq(registry.getEnrolment(nodeId).operator, OTHER_OPERATOR);
    }

    function test_a_revocation_ends_open_votes() public {
        _enrol(nodeId, OPERATOR, key);
        _vote(0, nodeId, OPERATOR, key);
        registry.revokeKey(nodeId);
        _vote(1, nodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, address(0));
    }

    function test_a_quorum_of_one_and_a_lowered_quorum() public {
        _vote(0, nodeId, OPERATOR, key);
        INodeRegistry.Parameters memory parameters = _parameters();
        parameters.verifierQuorum = 1;
        registry.setParameters(parameters);
        _vote(1, nodeId, OPERATOR, key);
        vm.assertEq(registry.getEnrolment(nodeId).operator, OPERATOR);
        _vote(1, otherNodeId, OTHER_OPERATOR, otherKey);
        vm.assertEq(registry.getEnrolment(otherNodeId).operator, OTHER_OPERATOR);
    }

    function test_an_enrolled_id_is_the_enrolled_operators() public {
        _enrol(nodeId, OPERATOR, key);

        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.EnrolledForAnother.selector, nodeId, OPERATOR)
        );
        _register(nodeId, OTHER_OWNER, OTHER_OPERATOR, key);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.EnrolledWithAnotherKey.selector, nodeId)
        );
        _register(nodeId, OWNER, OPERATOR, otherKey);
        INodeRegistry.AttestationKey memory negative = key;
        negative.y = bytes32(
            0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF - uint256(key.y)
        );
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.EnrolledWithAnotherKey.selector, nodeId)
        );
        _register(nodeId, OWNER, OPERATOR, negative);

        _register(nodeId, OWNER, OPERATOR, key);
        vm.assertEq(registry.nodeOfOperator(OPERATOR), nodeId);
    }

    function test_the_registered_operator_gets_the_key_that_verifiers_saw() public {
        _register(nodeId, OWNER, OPERATOR, otherKey);
        vm.prank(STAKING);
        registry.activateNode(nodeId);

        _enrol(nodeId, OPERATOR, key);
        vm.assertEq(registry.getNode(nodeId).attestationKey.x, key.x);
        vm.assertEq(registry.getNode(nodeId).attestationKey.y, key.y);
        vm.assertTrue(registry.isNodeActive(nodeId));
        vm.assertEq(registry.nodeCount(), 1);
    }

    function test_eviction_frees_the_id_whatever_its_state() public {
        for (uint256 state = 0; state < 3; ++state) {
            bytes32 id = bytes32(state + 1);
            address squatter = address(uint160(0x5000 + state));
            address rightful = address(uint160(0x6000 + state));
            _register(id, OTHER_OWNER, squatter, otherKey);
            vm.startPrank(STAKING);
            if (state >= 1) registry.activateNode(id);
            if (state == 2) registry.deactivateNode(id);
            vm.stopPrank();

            _vote(0, id, rightful, key);
            vm.expectEmit(address(registry));
            emit INodeRegistry.NodeEvicted(id, squatter, OTHER_OWNER);
            _vote(1, id, rightful, key);
            vm.assertTrue(registry.getNode(id).status == INodeRegistry.NodeStatus.Deregistered);
            vm.assertEq(registry.getActiveNodes(0, 10).length, 0);
            vm.assertEq(registry.nodeCount(), state);
            // It may still close the jobs that it has.
            vm.assertEq(registry.nodeOfOperator(squatter), id);

            _register(id, OWNER, rightful, key);
            vm.assertEq(registry.nodeOfOperator(squatter), 0);
            vm.assertEq(registry.nodeCount(), state + 1);
        }
    }

    function test_a_deregistered_node_is_not_evicted_again() public {
        _register(nodeId, OWNER, OPERATOR, key);
        vm.prank(OWNER);
        registry.deregisterNode(nodeId);
        _enrol(nodeId, OTHER_OPERATOR, otherKey);
        vm.assertEq(registry.nodeCount(), 0);
    }

    function test_governance_or_the_nodes_owner_revokes() public {
        bytes memory notEnrolled =
            abi.encodeWithSelector(INodeRegistry.NotEnrolled.selector, nodeId);
        vm.expectRevert(notEnrolled);
        registry.revokeKey(nodeId);

        _enrol(nodeId, OPERATOR, key);
        vm.expectEmit(address(registry));
        emit INodeRegistry.KeyRevoked(nodeId);
        registry.revokeKey(nodeId);
        vm.assertEq(registry.getEnrolment(nodeId).operator, address(0));
        vm.assertEq(registry.getEnrolment(nodeId).key.x, 0);

        _enrol(nodeId, OPERATOR, key);
        _register(nodeId, OWNER, OPERATOR, key);
        address[3] memory others = [OPERATOR, STRANGER, verifiers[0]];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(INodeRegistry.NotNodeOwner.selector, nodeId, others[i])
            );
            vm.prank(others[i]);
            registry.revokeKey(nodeId);
        }
        vm.prank(OWNER);
        registry.revokeKey(nodeId);
        // The node itself stays.
        vm.assertTrue(registry.getNode(nodeId).status == INodeRegistry.NodeStatus.Inactive);
        vm.expectRevert(notEnrolled);
        _request(nodeId, OPERATOR);
    }

    function test_a_former_owner_revokes_nothing() public {
        _register(nodeId, OTHER_OWNER, OTHER_OPERATOR, otherKey);
        _enrol(nodeId, OPERATOR, key);
        vm.assertEq(registry.getNode(nodeId).owner, OTHER_OWNER);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NotNodeOwner.selector, nodeId, OTHER_OWNER)
        );
        vm.prank(OTHER_OWNER);
        registry.revokeKey(nodeId);
    }

    function test_a_pause_stops_enrolment_and_nothing_of_an_enrolled_node() public {
        _madeNode();
        registry.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _vote(0, otherNodeId, OTHER_OPERATOR, otherKey);
        _madeAttestation(RELEASE, 1);
        vm.prank(OWNER);
        registry.revokeKey(nodeId);
    }
}

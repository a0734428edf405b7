// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {vm} from "../../script/Vm.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {NodeRegistryHandler} from "./NodeRegistryHandler.sol";

/// @dev What holds of the registry after any sequence of what everyone around it can do.
/// test/mutations/NodeRegistry.toml has, for each invariant, a change of the code that breaks it.
/// With the precompile, for speed.
/// forge-config: default.evm_version = "osaka"
contract NodeRegistryInvariants {
    address private constant STAKING = address(0xC1);

    NodeRegistry private registry;
    NodeRegistryHandler private handler;

    function setUp() public {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        INodeRegistry.Parameters memory parameters =
            INodeRegistry.Parameters(2, 1 hours, 1 hours, 0);
        bytes memory initialization =
            abi.encodeCall(NodeRegistry.initialize, (address(this), parameters));
        address implementation = address(new NodeRegistry());
        registry = NodeRegistry(address(new ERC1967Proxy(implementation, initialization)));
        registry.grantRole(Roles.PARAMETER, address(this));
        registry.grantRole(Roles.STAKING_MANAGER, STAKING);
        handler = new NodeRegistryHandler(registry, address(this), STAKING);
        for (uint256 i = 0; i < handler.VERIFIERS(); ++i) {
            registry.grantRole(Roles.VERIFIER, handler.verifier(i));
        }

        // Releases, a squatter, and two nodes at work: a random sequence alone seldom gets that far.
        for (uint256 i = 0; i < handler.RELEASES(); ++i) {
            handler.toggleRelease(i);
        }
        handler.register(0, 4, 0);
        handler.activate(0);
        for (uint256 i = 1; i < 3; ++i) {
            // Node i, its own operator, the first key.
            handler.vote(15 + i, 0);
            handler.vote(15 + i, 1);
            handler.register(i, i, 0);
            handler.activate(i);
            handler.attest(i, 1, 0);
        }
        vm.assertEq(registry.getActiveNodes(0, 256).length, 3);
        vm.assertEq(handler.attestations(), 2);
    }

    /// @dev forge calls random functions of these contracts only.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev The set and the count are those of the nodes' states, no more and no less.
    function invariant_the_active_set_and_the_count_are_those_of_the_states() external view {
        uint256 registered;
        uint256 active;
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            INodeRegistry.NodeStatus status = registry.getNode(handler.nodeId(i)).status;
            if (status == INodeRegistry.NodeStatus.Active) ++active;
            if (_isRegistered(status)) ++registered;
        }
        bytes32[] memory listed = registry.getActiveNodes(0, 256);
        vm.assertEq(listed.length, active);
        for (uint256 i = 0; i < listed.length; ++i) {
            vm.assertTrue(registry.isNodeActive(listed[i]));
        }
        vm.assertEq(registry.nodeCount(), registered);
    }

    /// @dev A registered node's operator has that node, and nobody else has it.
    function invariant_each_registered_node_has_its_operator() external view {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 id = handler.nodeId(i);
            INodeRegistry.Node memory node = registry.getNode(id);
            if (!_isRegistered(node.status)) continue;
            for (uint256 who = 0; who < handler.OPERATORS(); ++who) {
                address account = handler.operator(who);
                vm.assertTrue(
                    (registry.nodeOfOperator(account) == id) == (node.operator == account)
                );
            }
        }
    }

    /// @dev Nobody but the enrolled operator has an enrolled id, and it has the enrolled key.
    function invariant_an_enrolled_id_is_its_operators() external view {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 id = handler.nodeId(i);
            INodeRegistry.Node memory node = registry.getNode(id);
            INodeRegistry.Enrolment memory enrolment = registry.getEnrolment(id);
            if (!_isRegistered(node.status) || enrolment.operator == address(0)) continue;
            vm.assertEq(node.operator, enrolment.operator);
            vm.assertEq(node.attestationKey.x, enrolment.key.x);
            vm.assertEq(node.attestationKey.y, enrolment.key.y);
        }
    }

    /// @dev What is attested was proven, under what is enrolled and registered now, by a release that
    /// counts now.
    function invariant_attested_is_what_was_proven() external view {
        uint64 versionMin = registry.getParameters().minReleaseVersion;
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 id = handler.nodeId(i);
            (uint64 at, bytes32 digest) = handler.proof(id);
            bool proven = at != 0 && registry.getReleaseVersion(digest) != 0
                && registry.getReleaseVersion(digest) >= versionMin;
            vm.assertTrue(registry.isAttested(id, type(uint64).max) == proven);
            if (!proven) continue;
            uint64 age = uint64(block.timestamp) - at;
            vm.assertTrue(registry.isAttested(id, age));
            if (age != 0) vm.assertFalse(registry.isAttested(id, age - 1));
            vm.assertTrue(_isRegistered(registry.getNode(id).status));
            vm.assertTrue(registry.getEnrolment(id).operator != address(0));
        }
    }

    /// @dev A challenge is open for registered and enrolled nodes only.
    function invariant_only_who_can_answer_is_challenged() external view {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 id = handler.nodeId(i);
            INodeRegistry.Challenge memory challenge = registry.getChallenge(id);
            vm.assertTrue((challenge.value == 0) == (challenge.expiresAt == 0));
            if (challenge.value == 0) continue;
            vm.assertFalse(handler.answered(challenge.value));
            vm.assertTrue(_isRegistered(registry.getNode(id).status));
            vm.assertTrue(registry.getEnrolment(id).operator != address(0));
        }
    }

    /// @dev The count of resets is the highest that was shown, and nothing lowers it but a quorum.
    function invariant_the_count_of_resets_is_the_last_one_shown() external view {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 id = handler.nodeId(i);
            vm.assertEq(uint256(registry.getEnrolment(id).resetCount), handler.resetCount(id));
        }
    }

    /// @dev By an observer's own count of who said what, and when.
    function invariant_every_enrolment_had_its_quorum() external view {
        vm.assertEq(handler.unfoundedEnrolments(), 0);
    }

    function _isRegistered(INodeRegistry.NodeStatus status) private pure returns (bool) {
        return
            status != INodeRegistry.NodeStatus.None
                && status != INodeRegistry.NodeStatus.Deregistered;
    }
}

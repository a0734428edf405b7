// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";

import {vm} from "../script/Vm.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {Fixture} from "./base/Fixture.sol";

contract NodeRegistryTest is Fixture {
    function test_registration_keeps_everything_and_says_so() public {
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeRegistered(
            NODE, OWNER, OPERATOR, INodeRegistry.NodeType.Storage, "bafkone"
        );
        vm.prank(OPERATOR);
        registry.registerNode(
            NODE, OWNER, INodeRegistry.NodeType.Storage, _key(), "bafkone", "ap-south"
        );

        INodeRegistry.Node memory node = registry.getNode(NODE);
        vm.assertEq(node.owner, OWNER);
        vm.assertEq(node.operator, OPERATOR);
        vm.assertTrue(node.nodeType == INodeRegistry.NodeType.Storage);
        vm.assertTrue(node.status == INodeRegistry.NodeStatus.Inactive);
        vm.assertEq(node.registeredAt, block.timestamp);
        vm.assertEq(node.lastHeartbeat, 0);
        vm.assertEq(node.attestationKey.x, _key().x);
        vm.assertEq(node.attestationKey.y, _key().y);
        vm.assertEq(node.metadata, "bafkone");
        vm.assertEq(node.region, "ap-south");
        vm.assertEq(registry.nodeCount(), 1);
        vm.assertEq(registry.nodeOfOperator(OPERATOR), NODE);
        vm.assertFalse(registry.isNodeActive(NODE));
    }

    function test_registration_refuses_what_is_not_a_node() public {
        vm.startPrank(OPERATOR);

        vm.expectRevert(INodeRegistry.ZeroNodeId.selector);
        _tryRegister(0, OWNER, _key(), "", "");

        vm.expectRevert(INodeRegistry.ZeroOwner.selector);
        _tryRegister(NODE, address(0), _key(), "", "");

        INodeRegistry.AttestationKey memory key = _key();
        key.y = bytes32(uint256(key.y) ^ 1);
        vm.expectRevert(INodeRegistry.InvalidAttestationKey.selector);
        _tryRegister(NODE, OWNER, key, "", "");

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TextTooLong.selector, 129, 128));
        _tryRegister(NODE, OWNER, _key(), string(new bytes(129)), "");

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TextTooLong.selector, 65, 64));
        _tryRegister(NODE, OWNER, _key(), "", string(new bytes(65)));

        _tryRegister(NODE, OWNER, _key(), string(new bytes(128)), string(new bytes(64)));
    }

    function test_an_id_and_an_operator_are_taken_once() public {
        _register(NODE, OWNER, OPERATOR);

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeAlreadyRegistered.selector, NODE));
        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);

        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.OperatorTaken.selector, OPERATOR, NODE)
        );
        _register(OTHER_NODE, OWNER, OPERATOR);
    }

    function test_heartbeat_stamps_and_is_the_operators() public {
        _register(NODE, OWNER, OPERATOR);
        vm.warp(block.timestamp + 60);

        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeHeartbeat(NODE, keccak256("status"), uint64(block.timestamp));
        vm.prank(OPERATOR);
        registry.heartbeat(NODE, keccak256("status"));
        vm.assertEq(registry.getNode(NODE).lastHeartbeat, block.timestamp);

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotNodeOperator.selector, NODE, OWNER));
        vm.prank(OWNER);
        registry.heartbeat(NODE, keccak256("status"));

        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeNotRegistered.selector, OTHER_NODE)
        );
        vm.prank(OPERATOR);
        registry.heartbeat(OTHER_NODE, keccak256("status"));
    }

    function test_operator_and_owner_describe_the_node() public {
        _register(NODE, OWNER, OPERATOR);
        address[2] memory allowed = [OPERATOR, OWNER];
        string[2] memory metadata = ["bafktwo", "bafkthree"];
        for (uint256 i = 0; i < allowed.length; ++i) {
            vm.expectEmit(address(registry));
            emit INodeRegistry.NodeMetadataUpdated(NODE, metadata[i], "us-east");
            vm.prank(allowed[i]);
            registry.updateMetadata(NODE, metadata[i], "us-east");
            vm.assertEq(registry.getNode(NODE).metadata, metadata[i]);
        }
        vm.assertEq(registry.getNode(NODE).region, "us-east");

        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NotNodeOperator.selector, NODE, STRANGER)
        );
        vm.prank(STRANGER);
        registry.updateMetadata(NODE, "bafkfour", "us-east");

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TextTooLong.selector, 129, 128));
        vm.prank(OWNER);
        registry.updateMetadata(NODE, string(new bytes(129)), "");
    }

    function test_gpu_types_are_the_operators_word() public {
        _register(NODE, OWNER, OPERATOR);
        bytes32[] memory types = new bytes32[](2);
        (types[0], types[1]) = ("NVIDIA A100", "NVIDIA H100");
        vm.expectEmit(address(registry));
        emit INodeRegistry.GpuTypesSet(NODE, types);
        vm.prank(OPERATOR);
        registry.setGpuTypes(NODE, types);
        vm.assertEq(abi.encode(registry.getGpuTypes(NODE)), abi.encode(types));

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotNodeOperator.selector, NODE, OWNER));
        vm.prank(OWNER);
        registry.setGpuTypes(NODE, types);

        vm.startPrank(OPERATOR);
        types[1] = types[0];
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.GpuTypesNotAscending.selector, 1));
        registry.setGpuTypes(NODE, types);
        types[0] = 0;
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.GpuTypesNotAscending.selector, 0));
        registry.setGpuTypes(NODE, types);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.TooManyGpuTypes.selector, 17, 16));
        registry.setGpuTypes(NODE, new bytes32[](17));

        types = new bytes32[](16);
        for (uint256 i = 0; i < types.length; ++i) {
            types[i] = bytes32(i + 1);
        }
        registry.setGpuTypes(NODE, types);
        vm.assertEq(registry.getGpuTypes(NODE).length, 16);
        registry.setGpuTypes(NODE, new bytes32[](0));
        vm.assertEq(registry.getGpuTypes(NODE).length, 0);
        registry.setGpuTypes(NODE, types);
        vm.stopPrank();

        // They were the former operator's machine's.
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);
        vm.assertEq(registry.getGpuTypes(NODE).length, 0);
    }

    function test_activation_moves_in_and_out_of_the_active_set() public {
        _register(NODE, OWNER, OPERATOR);
        vm.startPrank(address(staking));

        vm.expectRevert(_wrongStatus(INodeRegistry.NodeStatus.Inactive));
        registry.deactivateNode(NODE);

        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeActivated(NODE);
        registry.activateNode(NODE);
        vm.assertTrue(registry.isNodeActive(NODE));
        vm.assertEq(registry.getActiveNodes(0, 10).length, 1);
        vm.assertEq(registry.getActiveNodes(0, 10)[0], NODE);

        vm.expectRevert(_wrongStatus(INodeRegistry.NodeStatus.Active));
        registry.activateNode(NODE);

        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeDeactivated(NODE);
        registry.deactivateNode(NODE);
        vm.assertTrue(_nodeStatus(NODE) == INodeRegistry.NodeStatus.Unbonding);
        vm.assertEq(registry.getActiveNodes(0, 10).length, 0);

        registry.activateNode(NODE);
        vm.assertTrue(registry.isNodeActive(NODE));
    }

    function test_a_node_leaves_once_it_is_not_active() public {
        _activeNode(NODE, OWNER, OPERATOR);
        vm.startPrank(OWNER);
        vm.expectRevert(_wrongStatus(INodeRegistry.NodeStatus.Active));
        registry.deregisterNode(NODE);

        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NotNodeOwner.selector, NODE, OPERATOR));
        vm.prank(OPERATOR);
        registry.deregisterNode(NODE);

        vm.startPrank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeDeregistered(NODE);
        registry.deregisterNode(NODE);
        vm.assertTrue(_nodeStatus(NODE) == INodeRegistry.NodeStatus.Deregistered);
        vm.assertEq(registry.nodeCount(), 0);

        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeNotRegistered.selector, NODE));
        registry.deregisterNode(NODE);
    }

    function test_hardware_changes_hands() public {
        _register(NODE, OWNER, OPERATOR);
        vm.prank(OPERATOR);
        registry.heartbeat(NODE, 0);
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        vm.assertEq(registry.nodeOfOperator(OPERATOR), NODE);

        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);
        vm.assertEq(registry.getNode(NODE).owner, OTHER_OWNER);
        vm.assertEq(registry.getNode(NODE).lastHeartbeat, 0);
        vm.assertEq(registry.nodeOfOperator(OTHER_OPERATOR), NODE);
        vm.assertEq(registry.nodeOfOperator(OPERATOR), 0);
        vm.assertEq(registry.nodeCount(), 1);

        _register(OTHER_NODE, OWNER, OPERATOR);
        vm.assertEq(registry.nodeOfOperator(OPERATOR), OTHER_NODE);
    }

    function test_a_former_operator_keeps_the_node_it_went_on_to() public {
        _register(NODE, OWNER, OPERATOR);
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _register(OTHER_NODE, OWNER, OPERATOR);

        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);
        vm.assertEq(registry.nodeOfOperator(OPERATOR), OTHER_NODE);
    }

    function test_a_pause_stops_registration_only() public {
        _activeNode(NODE, OWNER, OPERATOR);
        registry.pause();

        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _register(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);

        vm.startPrank(OPERATOR);
        registry.heartbeat(NODE, 0);
        registry.updateMetadata(NODE, "bafktwo", "");
        vm.stopPrank();
        vm.startPrank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        registry.deregisterNode(NODE);
        vm.stopPrank();

        registry.unpause();
        _register(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
    }

    /// @dev Every page is the same slice of the whole, whatever is asked for.
    function testFuzz_pages_are_slices(uint256 count, uint256 offset, uint256 limit) public {
        count = count % 12;
        for (uint256 i = 1; i <= count; ++i) {
            _register(bytes32(i), OWNER, address(uint160(0xF000 + i)));
            vm.prank(address(staking));
            registry.activateNode(bytes32(i));
        }
        if (offset % 2 == 0) (offset, limit) = (offset % 16, limit % 16);

        bytes32[] memory page = registry.getActiveNodes(offset, limit);
        uint256 left = offset < count ? count - offset : 0;
        vm.assertEq(page.length, limit < left ? limit : left);
        for (uint256 i = 0; i < page.length; ++i) {
            vm.assertEq(page[i], bytes32(offset + i + 1));
        }
    }

    function test_a_page_has_at_most_256_items() public {
        for (uint256 i = 1; i <= 257; ++i) {
            _register(bytes32(i), OWNER, address(uint160(0xF000 + i)));
            vm.prank(address(staking));
            registry.activateNode(bytes32(i));
        }
        vm.assertEq(registry.getActiveNodes(0, type(uint256).max).length, 256);
        vm.assertEq(registry.getActiveNodes(256, type(uint256).max).length, 1);
    }

    function _tryRegister(
        bytes32 nodeId,
        address owner,
        INodeRegistry.AttestationKey memory key,
        string memory metadata,
        string memory region
    ) private {
        registry.registerNode(nodeId, owner, INodeRegistry.NodeType.Compute, key, metadata, region);
    }

    function _wrongStatus(INodeRegistry.NodeStatus status) private pure returns (bytes memory) {
        return abi.encodeWithSelector(INodeRegistry.WrongNodeStatus.selector, NODE, status);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Fixture} from "../base/Fixture.sol";

/// @dev Someone registers an id that is the hash of another's endorsement key, stakes for it and takes
/// jobs. OTHER_OPERATOR is the squatter, OPERATOR has the machine.
contract SquattedNodeIdAttack is Fixture {
    function setUp() public override {
        super.setUp();
        registry.grantRole(Roles.VERIFIER, address(this));
        _activeNode(NODE, OTHER_OWNER, OTHER_OPERATOR);
    }

    function test_the_machine_gets_its_id() public {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeAlreadyRegistered.selector, NODE));
        _register(NODE, OWNER, OPERATOR);

        registry.enrolKey(NODE, OPERATOR, _key());
        vm.assertFalse(registry.isNodeActive(NODE));
        vm.assertEq(registry.getActiveNodes(0, 10).length, 0);
        _activeNode(NODE, OWNER, OPERATOR);
        vm.assertTrue(registry.isNodeActive(NODE));
        vm.assertEq(registry.nodeOfOperator(OTHER_OPERATOR), 0);
    }

    /// @dev Not before the rightful operator comes, not with its stake, not after a deregistration.
    function test_the_squatter_does_not_come_back() public {
        registry.enrolKey(NODE, OPERATOR, _key());
        bytes memory taken =
            abi.encodeWithSelector(INodeRegistry.EnrolledForAnother.selector, NODE, OPERATOR);
        vm.expectRevert(taken);
        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeNotRegistered.selector, NODE));
        staking.activate(NODE);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.NotNodeOwner.selector, NODE, OTHER_OWNER)
        );
        _stake(NODE, OTHER_OWNER, 1 ether);

        _register(NODE, OWNER, OPERATOR);
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        vm.expectRevert(taken);
        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);
    }

    /// @dev It says no more for the node than what closes its jobs.
    function test_the_squatter_says_nothing_more() public {
        registry.enrolKey(NODE, OPERATOR, _key());
        bytes memory gone = abi.encodeWithSelector(INodeRegistry.NodeNotRegistered.selector, NODE);
        vm.startPrank(OTHER_OPERATOR);
        vm.expectRevert(gone);
        registry.heartbeat(NODE, 0);
        vm.expectRevert(gone);
        registry.updateMetadata(NODE, "", "");
        vm.expectRevert(gone);
        registry.setGpuTypes(NODE, new bytes32[](0));
        vm.expectRevert(gone);
        registry.requestChallenge(NODE);
        vm.stopPrank();
        vm.startPrank(OTHER_OWNER);
        vm.expectRevert(gone);
        registry.deregisterNode(NODE);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NotNodeOwner.selector, NODE, OTHER_OWNER)
        );
        registry.revokeKey(NODE);
    }
}

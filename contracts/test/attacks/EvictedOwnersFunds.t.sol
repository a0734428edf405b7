// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Fixture} from "../base/Fixture.sol";

/// @dev Verifiers evict an owner, rightly or not: its stake must not be caught, nor serve another.
/// OTHER_OWNER is evicted, OWNER comes after it.
contract EvictedOwnersFundsAttack is Fixture {
    uint256 private before;

    function setUp() public override {
        super.setUp();
        registry.grantRole(Roles.VERIFIER, address(this));
        before = aleph.balanceOf(OTHER_OWNER);
        _activeNode(NODE, OTHER_OWNER, OTHER_OPERATOR);
        registry.enrolKey(NODE, OPERATOR, _key());
        vm.assertTrue(_nodeStatus(NODE) == INodeRegistry.NodeStatus.Deregistered);
    }

    function test_the_stake_comes_back_before_anyone_else_registers() public {
        _takeStakeBack();
        vm.assertEq(aleph.balanceOf(OTHER_OWNER), before);
    }

    function test_the_stake_comes_back_after_the_next_owner_is_active() public {
        _activeNode(NODE, OWNER, OPERATOR);
        vm.assertEq(staking.getStake(NODE).total, MIN_TOTAL_STAKE);

        _takeStakeBack();
        vm.assertEq(aleph.balanceOf(OTHER_OWNER), before);
        // The next owner's node does not feel it.
        vm.assertTrue(registry.isNodeActive(NODE));
        vm.assertEq(staking.getStake(NODE).total, MIN_TOTAL_STAKE);
    }

    function test_the_stake_comes_back_while_everything_is_paused() public {
        registry.pause();
        staking.pause();
        _takeStakeBack();
        vm.assertEq(aleph.balanceOf(OTHER_OWNER), before);
    }

    /// @dev What one owner staked does not activate another's node.
    function test_the_next_owner_needs_stake_of_its_own() public {
        _register(NODE, OWNER, OPERATOR);
        vm.assertEq(staking.getStake(NODE).total, 0);
        (bool activated,) = address(staking).call(abi.encodeCall(staking.activate, (NODE)));
        vm.assertFalse(activated);
    }

    function _takeStakeBack() private {
        vm.startPrank(OTHER_OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        staking.withdraw(NODE);
        vm.stopPrank();
    }
}

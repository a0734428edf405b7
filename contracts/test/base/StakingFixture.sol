// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

/// @title An active node, its delegators, a slasher and a reporter of rewards
abstract contract StakingFixture is Fixture {
    address internal constant ALICE = address(0xF1);
    address internal constant BOB = address(0xF2);
    address internal constant SLASHER = address(0xF3);
    address internal constant REPORTER = address(0xF4);
    address internal constant WITNESS = address(0xF5);

    bytes32 internal constant REASON = keccak256("reason");
    uint256 internal constant BEGINNING = 1_000_000 ether;

    function setUp() public virtual override {
        super.setUp();
        staking.grantRole(Roles.SLASHER, SLASHER);
        staking.grantRole(Roles.REPORTER, REPORTER);
        _fund(ALICE);
        _fund(BOB);
        _activeNode(NODE, OWNER, OPERATOR);
    }

    function _delegate(address delegator, uint256 amount) internal returns (uint256 shares) {
        vm.prank(delegator);
        return staking.delegate(NODE, amount, 0);
    }

    function _undelegate(address delegator, uint256 shares) internal returns (uint256 amount) {
        vm.prank(delegator);
        return staking.undelegate(NODE, shares);
    }

    function _undelegateAll(address delegator) internal returns (uint256 amount) {
        return _undelegate(delegator, staking.getDelegation(NODE, delegator).shares);
    }

    function _withdrawDelegation(address delegator) internal returns (uint256 paid) {
        uint256 before = aleph.balanceOf(delegator);
        vm.prank(delegator);
        staking.withdrawDelegation(NODE);
        return aleph.balanceOf(delegator) - before;
    }

    function _unstake(address owner, uint256 amount) internal {
        vm.prank(owner);
        staking.unstake(NODE, amount);
    }

    function _withdraw(address owner) internal returns (uint256 paid) {
        uint256 before = aleph.balanceOf(owner);
        vm.prank(owner);
        staking.withdraw(NODE);
        return aleph.balanceOf(owner) - before;
    }

    function _slash(uint256 amount) internal returns (uint256 slashed, uint256 reward) {
        vm.prank(SLASHER);
        return staking.slash(NODE, amount, WITNESS, 1000, REASON);
    }

    function _reward(uint256 amount) internal returns (uint256 taken) {
        vm.prank(OTHER_OWNER);
        return staking.addDelegationReward(NODE, amount);
    }

    function _thaw() internal {
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
    }

    function _value(address delegator) internal view returns (uint256) {
        return staking.getDelegation(NODE, delegator).value;
    }

    function _pool() internal view returns (IStakingManager.PoolInfo memory) {
        return staking.getPool(NODE);
    }

    /// @dev Nobody's tokens are missing: what is held is there, and nothing else is.
    function _assertWhole() internal view {
        vm.assertEq(aleph.balanceOf(address(staking)), staking.heldTokens());
    }
}

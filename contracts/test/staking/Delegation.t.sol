// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {vm} from "../../script/Vm.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

contract DelegationTest is StakingFixture {
    uint256 private constant SHARES_MIN = 1e12;

    function test_first_shares_cost_one_unit_each() public {
        vm.expectEmit(address(staking));
        emit IStakingManager.Delegated(NODE, ALICE, 10 ether, 10 ether);
        vm.assertEq(_delegate(ALICE, 10 ether), 10 ether);

        vm.assertEq(aleph.balanceOf(ALICE), BEGINNING - 10 ether);
        vm.assertEq(_pool().tokens, 10 ether);
        vm.assertEq(_pool().shares, 10 ether);
        vm.assertEq(_value(ALICE), 10 ether);
        vm.assertEq(staking.slashableStake(NODE), MIN_TOTAL_STAKE + 10 ether);
        _assertWhole();
    }

    function test_delegation_is_for_registered_nodes() public {
        bytes memory refusal =
            abi.encodeWithSelector(IStakingManager.NodeNotRegistered.selector, OTHER_NODE);
        vm.prank(ALICE);
        vm.expectRevert(refusal);
        staking.delegate(OTHER_NODE, 1 ether, 0);

        _register(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        vm.prank(ALICE);
        staking.delegate(OTHER_NODE, 1 ether, 0);

        vm.prank(OTHER_OWNER);
        registry.deregisterNode(OTHER_NODE);
        vm.prank(ALICE);
        vm.expectRevert(refusal);
        staking.delegate(OTHER_NODE, 1 ether, 0);
        vm.prank(ALICE);
        staking.undelegate(OTHER_NODE, 1 ether);
    }

    function test_rewards_raise_the_value_of_shares_in_proportion() public {
        _delegate(ALICE, 30 ether);
        _delegate(BOB, 10 ether);

        vm.expectEmit(address(staking));
        emit IStakingManager.DelegationRewarded(NODE, OTHER_OWNER, 4 ether);
        vm.assertEq(_reward(4 ether), 4 ether);
        vm.assertEq(_value(ALICE), 33 ether);
        vm.assertEq(_value(BOB), 11 ether);

        // Who comes later pays the price of the day, and nobody pays for it.
        vm.assertEq(_delegate(BOB, 11 ether), 10 ether);
        vm.assertEq(_value(ALICE), 33 ether);
        vm.assertEq(_value(BOB), 22 ether);
        _assertWhole();
    }

    function test_rewards_are_not_taken_where_nobody_would_get_them() public {
        uint256 before = aleph.balanceOf(OTHER_OWNER);
        vm.assertEq(_reward(1 ether), 0);
        _delegate(ALICE, 1 ether);
        vm.assertEq(_reward(0), 0);
        _slash(type(uint256).max);
        vm.assertEq(_reward(1 ether), 0);
        vm.assertEq(aleph.balanceOf(OTHER_OWNER), before);
        _assertWhole();
    }

    function test_a_delegator_names_the_fewest_shares_it_accepts() public {
        _delegate(ALICE, 10 ether);
        _reward(10 ether);
        vm.startPrank(BOB);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.TooFewShares.selector, 2 ether, 2 ether + 1)
        );
        staking.delegate(NODE, 4 ether, 2 ether + 1);
        vm.assertEq(staking.delegate(NODE, 4 ether, 2 ether), 2 ether);
    }

    function test_a_delegation_is_nothing_or_at_least_the_minimum() public {
        _expectTooSmall(SHARES_MIN - 1);
        _delegate(ALICE, SHARES_MIN - 1);
        _expectTooSmall(0);
        _delegate(ALICE, 0);
        _delegate(ALICE, SHARES_MIN);

        // More comes in any size that is worth a share.
        _delegate(ALICE, 1);
        _reward(3 * SHARES_MIN);
        _expectTooSmall(SHARES_MIN + 1);
        _delegate(ALICE, 1);

        _expectTooSmall(SHARES_MIN - 1);
        _undelegate(ALICE, 2);
        _undelegate(ALICE, 1);
        _undelegate(ALICE, SHARES_MIN);
        vm.assertEq(_pool().shares, 0);
        vm.assertEq(_pool().tokens, 0);
    }

    function test_undelegated_tokens_thaw_at_the_price_of_the_day() public {
        _delegate(ALICE, 10 ether);
        _delegate(BOB, 10 ether);
        _reward(2 ether);
        uint64 withdrawableAt = uint64(block.timestamp) + UNBONDING_PERIOD_S;

        vm.expectEmit(address(staking));
        emit IStakingManager.Undelegated(NODE, ALICE, 4.4 ether, 4 ether, withdrawableAt);
        vm.assertEq(_undelegate(ALICE, 4 ether), 4.4 ether);

        // What thaws earns no more, and counts as stake behind the node.
        _reward(1.6 ether);
        IStakingManager.DelegationInfo memory info = staking.getDelegation(NODE, ALICE);
        vm.assertEq(info.shares, 6 ether);
        vm.assertEq(info.value, 7.2 ether);
        vm.assertEq(info.thawing, 4.4 ether);
        vm.assertEq(_pool().thawing, 4.4 ether);
        vm.assertEq(staking.slashableStake(NODE), MIN_TOTAL_STAKE + 23.6 ether);
        IStakingManager.ThawInfo[] memory thaws = staking.getUndelegations(NODE, ALICE);
        vm.assertEq(thaws.length, 1);
        vm.assertEq(thaws[0].amount, 4.4 ether);
        vm.assertEq(thaws[0].withdrawableAt, withdrawableAt);

        vm.warp(withdrawableAt - 1);
        vm.prank(ALICE);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.withdrawDelegation(NODE);

        vm.warp(withdrawableAt);
        vm.expectEmit(address(staking));
        emit IStakingManager.DelegationWithdrawn(NODE, ALICE, 4.4 ether);
        vm.assertEq(_withdrawDelegation(ALICE), 4.4 ether);
        vm.prank(ALICE);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.withdrawDelegation(NODE);
        _assertWhole();
    }

    function test_undelegation_refuses_nothing_and_too_much() public {
        _delegate(ALICE, 5 ether);
        vm.startPrank(ALICE);
        vm.expectRevert(IStakingManager.ZeroAmount.selector);
        staking.undelegate(NODE, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.NotEnoughShares.selector, 5 ether, 5 ether + 1)
        );
        staking.undelegate(NODE, 5 ether + 1);
    }

    function test_undelegations_are_bounded_and_withdrawing_makes_room() public {
        _delegate(ALICE, 100 ether);
        for (uint256 i = 0; i < 32; ++i) {
            _undelegate(ALICE, 1 ether);
        }
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.TooManyUnstakings.selector, 32));
        _undelegate(ALICE, 1 ether);

        _thaw();
        vm.assertEq(_withdrawDelegation(ALICE), 32 ether);
        _undelegate(ALICE, 68 ether);
    }

    function test_a_pause_stops_delegating_only() public {
        _delegate(ALICE, 5 ether);
        staking.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _delegate(ALICE, 5 ether);
        _reward(1 ether);
        vm.assertEq(_undelegateAll(ALICE), 6 ether);
    }

    function test_an_owner_may_delegate_to_its_own_node() public {
        _delegate(OWNER, 5 ether);
        vm.assertEq(staking.getStake(NODE).total, MIN_TOTAL_STAKE);
        vm.assertEq(_undelegateAll(OWNER), 5 ether);
    }

    /// @dev More of a token than fits into the books is refused when it comes in, so that nothing
    /// overflows when it goes out.
    function test_more_tokens_than_the_books_hold_are_refused() public {
        uint256 most = type(uint96).max;
        AlephToken large = new AlephToken(ALICE, most + 1);
        _swapToken(large);
        vm.startPrank(ALICE);
        large.approve(address(staking), type(uint256).max);
        vm.expectRevert(
            abi.encodeWithSelector(
                SafeCast.SafeCastOverflowedUintDowncast.selector,
                96,
                staking.heldTokens() + most + 1
            )
        );
        staking.delegate(NODE, most + 1, 0);
    }

    /// @dev No order of delegating, earning and leaving makes anybody richer by it.
    function testFuzz_nobody_gains_by_coming_and_going(
        uint256 first,
        uint256 second,
        uint256 reward,
        uint256 part
    ) public {
        first = 1 ether + first % 1000 ether;
        second = 1 ether + second % 1000 ether;
        reward %= 1000 ether;
        _delegate(ALICE, first);
        _reward(reward);
        uint256 before = _value(ALICE);

        uint256 shares = _delegate(BOB, second);
        vm.assertLe(_value(BOB), second);
        vm.assertGe(_value(BOB) + 1001, second);
        vm.assertGe(_value(ALICE), before);
        part = SHARES_MIN + part % (shares - SHARES_MIN + 1);
        if (shares - part < SHARES_MIN) part = shares;
        uint256 amount = _undelegate(BOB, part);
        vm.assertLe(amount + _value(BOB), second);
        vm.assertGe(_value(ALICE), before);

        if (part != shares) _undelegateAll(BOB);
        _undelegateAll(ALICE);
        _thaw();
        uint256 paid = _withdrawDelegation(BOB) + _withdrawDelegation(ALICE);
        vm.assertEq(paid, first + second + reward);
        vm.assertEq(staking.heldTokens(), MIN_TOTAL_STAKE);
        _assertWhole();
    }

    /// @dev Puts another token below the staking contract, keeping what it holds.
    function _swapToken(AlephToken other) private {
        bytes32 slot = 0x33fd57076c424af9bfa21284d6da1ce460bf46ab3bf1d43478160a5bb30fd500;
        uint256 held = staking.heldTokens();
        vm.prank(ALICE);
        other.transfer(address(staking), held);
        vm.store(address(staking), slot, bytes32(held << 160 | uint160(address(other))));
    }

    function _expectTooSmall(uint256 shares) private {
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.DelegationTooSmall.selector, shares, SHARES_MIN)
        );
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev Nothing, or next to nothing, is left of a pool: it stays usable for those who were in it and
/// for those who come.
contract PoolSlashedToZeroAttack is StakingFixture {
    function test_shares_of_nothing_are_given_back_for_nothing() public {
        _delegate(ALICE, 10 ether);
        _undelegate(ALICE, 4 ether);
        _slash(type(uint256).max);

        vm.expectEmit(address(staking));
        emit IStakingManager.Undelegated(NODE, ALICE, 0, 6 ether, 0);
        vm.assertEq(_undelegateAll(ALICE), 0);
        // What it had in thaw is cleared at once: there is nothing to wait for.
        vm.assertEq(_withdrawDelegation(ALICE), 0);
        vm.assertEq(staking.getUndelegations(NODE, ALICE).length, 0);
        vm.prank(ALICE);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.withdrawDelegation(NODE);
        _assertWhole();
    }

    function test_the_next_delegation_begins_anew() public {
        _delegate(ALICE, 10 ether);
        _delegate(BOB, 10 ether);
        _slash(type(uint256).max);

        // A new one, and one who was there and still has its worthless shares.
        vm.assertEq(_delegate(OTHER_OWNER, 3 ether), 3 ether);
        vm.assertEq(_delegate(ALICE, 5 ether), 5 ether);
        vm.assertEq(_pool().generation, 1);
        vm.assertEq(_value(OTHER_OWNER), 3 ether);
        vm.assertEq(_value(ALICE), 5 ether);
        vm.assertEq(_value(BOB), 0);

        // Nobody's worthless shares have a part in what comes now.
        _reward(8 ether);
        vm.assertEq(_value(BOB), 0);
        vm.assertEq(_undelegateAll(BOB), 0);
        vm.assertEq(_undelegateAll(ALICE), 10 ether);
        vm.assertEq(_undelegateAll(OTHER_OWNER), 6 ether);
        _thaw();
        vm.assertEq(_withdrawDelegation(ALICE), 10 ether);
        vm.assertEq(_withdrawDelegation(OTHER_OWNER), 6 ether);
        _assertWhole();
    }

    function test_what_thaws_afterwards_is_not_touched_by_it() public {
        _delegate(ALICE, 10 ether);
        _undelegateAll(ALICE);
        _slash(type(uint256).max);
        _delegate(BOB, 7 ether);
        _undelegateAll(BOB);

        vm.assertEq(staking.getDelegation(NODE, ALICE).thawing, 0);
        vm.assertEq(staking.getDelegation(NODE, BOB).thawing, 7 ether);
        _thaw();
        vm.assertEq(_withdrawDelegation(ALICE), 0);
        vm.assertEq(_withdrawDelegation(BOB), 7 ether);
        _assertWhole();
    }

    function test_thaws_of_nothing_do_not_block_an_owner() public {
        for (uint256 i = 0; i < 32; ++i) {
            _unstake(OWNER, 1 ether);
        }
        _slash(type(uint256).max);
        _stake(NODE, OWNER, 5 ether);
        // The list is full of thaws of nothing, which need not wait for their time.
        vm.assertEq(_withdraw(OWNER), 0);
        _unstake(OWNER, 5 ether);
        vm.assertEq(staking.getStake(NODE).unbonding, 5 ether);
        _thaw();
        vm.assertEq(_withdraw(OWNER), 5 ether);
        _assertWhole();
    }

    /// @dev A remainder that is not nothing belongs to those who were there.
    function test_almost_nothing_left() public {
        _delegate(ALICE, 30 ether);
        _delegate(BOB, 10 ether);
        _undelegate(BOB, 5 ether);
        _slash(MIN_TOTAL_STAKE + 40 ether - 8);
        vm.assertEq(_pool().tokens, 7);
        vm.assertEq(_pool().thawing, 1);

        // The price is too low to let anybody in: a new generation begins beside the remainder.
        vm.assertEq(_delegate(OTHER_OWNER, 1 ether), 1 ether);
        vm.assertEq(_pool().generation, 1);
        vm.assertEq(_value(ALICE), 6);
        vm.prank(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.FormerGeneration.selector, 0));
        staking.delegate(NODE, 1 ether, 0);
        vm.assertEq(_undelegateAll(ALICE), 6);
        vm.assertEq(_undelegateAll(BOB), 1);
        _delegate(ALICE, 1 ether);

        _slash(1 ether);
        vm.assertApproxEqAbs(_value(OTHER_OWNER), 0.5 ether, 2);
        _undelegateAll(ALICE);
        _undelegateAll(OTHER_OWNER);
        _thaw();
        vm.assertEq(
            _withdrawDelegation(ALICE) + _withdrawDelegation(BOB)
                + _withdrawDelegation(OTHER_OWNER),
            1 ether + 8
        );
        _assertWhole();
    }

    /// @dev Again and again, in all sizes: the pool takes delegations and gives them back.
    function testFuzz_however_often_it_happens(uint96[6] calldata amounts, uint8[6] calldata left)
        public
    {
        _slash(MIN_TOTAL_STAKE);
        for (uint256 i = 0; i < amounts.length; ++i) {
            uint256 amount = 1e12 + amounts[i] % 10_000 ether;
            if (staking.getDelegation(NODE, ALICE).shares != 0) _undelegateAll(ALICE);
            uint256 shares = _delegate(ALICE, amount);
            vm.assertGe(_value(ALICE), amount - 1);
            _undelegate(ALICE, shares > 3e12 ? shares / 3 : shares);
            uint256 all = staking.slashableStake(NODE);
            _slash(all > left[i] ? all - left[i] : 0);
        }
        if (staking.getDelegation(NODE, ALICE).shares != 0) _undelegateAll(ALICE);
        _thaw();
        _withdrawDelegation(ALICE);
        vm.assertEq(
            staking.heldTokens(), staking.slashedTokens() + staking.reporterRewardOf(WITNESS)
        );
        _assertWhole();
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev The first delegator makes a share so dear that the next one's tokens are rounded down to few,
/// and takes the rest.
contract FirstDepositorAttack is StakingFixture {
    uint256 private constant SHARES_MIN = 1e12;

    /// @dev ALICE attacks: she gives `gift` to the pool in which she has the only and fewest shares.
    function testFuzz_a_gift_to_the_pool_does_not_rob_the_next(uint256 gift, uint256 amount)
        public
    {
        gift = 1 + gift % 900_000 ether;
        _delegate(ALICE, SHARES_MIN);
        vm.prank(ALICE);
        staking.addDelegationReward(NODE, gift);

        amount = SHARES_MIN + amount % 900_000 ether;
        vm.prank(BOB);
        try staking.delegate(NODE, amount, 0) {
            // The victim loses less than a share, the attacker's gain is no more, and her gift
            // was a million million times as much.
            uint256 lossMax = (gift + SHARES_MIN) / SHARES_MIN + 1;
            vm.assertGe(_value(BOB) + lossMax, amount);
            vm.assertLe(_value(ALICE), SHARES_MIN + gift + lossMax);
            vm.assertLe(lossMax, 2 + gift / SHARES_MIN + 1);
        } catch (bytes memory error) {
            // Refused with all its tokens, because they were worth too few shares.
            vm.assertEq(
                bytes32(bytes4(error)), bytes32(IStakingManager.DelegationTooSmall.selector)
            );
            vm.assertEq(_value(BOB), 0);
        }
    }

    function test_the_attacker_cannot_keep_a_single_share() public {
        _delegate(ALICE, 1 ether);
        vm.prank(ALICE);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.DelegationTooSmall.selector, 1, SHARES_MIN)
        );
        staking.undelegate(NODE, 1 ether - 1);
    }

    /// @dev Nor by a second account that buys few shares at a price that the first one has raised.
    function test_nor_by_a_second_account() public {
        _delegate(ALICE, SHARES_MIN);
        vm.prank(ALICE);
        staking.addDelegationReward(NODE, 100_000 ether);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.DelegationTooSmall.selector, 9, SHARES_MIN)
        );
        _delegate(BOB, 1e12);
    }

    /// @dev Tokens that are sent without a word belong to nobody and move no price.
    function test_a_plain_transfer_moves_no_price() public {
        _delegate(ALICE, SHARES_MIN);
        vm.prank(ALICE);
        aleph.transfer(address(staking), 1000 ether);
        vm.assertEq(_delegate(BOB, 1 ether), 1 ether);
        vm.assertEq(_value(ALICE), SHARES_MIN);
        vm.assertEq(aleph.balanceOf(address(staking)), staking.heldTokens() + 1000 ether);
    }
}

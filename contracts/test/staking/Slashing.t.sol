// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

contract SlashingTest is StakingFixture {
    address private constant TREASURY = address(0x7EA);
    address private constant BURNED = 0x000000000000000000000000000000000000dEaD;

    function test_a_slash_takes_from_the_owner_and_credits_the_reporter() public {
        _delegate(ALICE, 50 ether);

        vm.expectEmit(address(staking));
        emit IStakingManager.Slashed(NODE, OWNER, REASON, 100 ether, 0, WITNESS, 10 ether);
        (uint256 slashed, uint256 reward) = _slash(100 ether);

        vm.assertEq(slashed, 100 ether);
        vm.assertEq(reward, 10 ether);
        vm.assertEq(staking.getStake(NODE).total, MIN_TOTAL_STAKE - 100 ether);
        vm.assertEq(_value(ALICE), 50 ether);
        vm.assertEq(staking.reporterRewardOf(WITNESS), 10 ether);
        vm.assertEq(staking.slashedTokens(), 90 ether);
        _assertWhole();
    }

    function test_delegators_lose_what_the_owner_cannot_cover() public {
        _delegate(ALICE, 60 ether);
        _delegate(BOB, 20 ether);

        (uint256 slashed, uint256 reward) = _slash(MIN_TOTAL_STAKE + 40 ether);
        vm.assertEq(slashed, MIN_TOTAL_STAKE + 40 ether);
        // A part of what the owner lost, not of what the delegators did.
        vm.assertEq(reward, MIN_TOTAL_STAKE / 10);
        vm.assertEq(_value(ALICE), 30 ether);
        vm.assertEq(_value(BOB), 10 ether);
        vm.assertEq(staking.slashableStake(NODE), 40 ether);
    }

    function test_a_slash_takes_what_there_is_and_never_fails() public {
        _delegate(ALICE, 60 ether);
        uint256 all = MIN_TOTAL_STAKE + 60 ether;
        vm.assertEq(staking.slashableStake(NODE), all);
        (uint256 slashed,) = _slash(type(uint256).max);
        vm.assertEq(slashed, all);
        vm.assertEq(staking.slashableStake(NODE), 0);
        (slashed,) = _slash(type(uint256).max);
        vm.assertEq(slashed, 0);
        (slashed,) = _slash(0);
        vm.assertEq(slashed, 0);

        // A node that never was.
        vm.prank(SLASHER);
        (slashed,) = staking.slash(keccak256("nowhere"), 1, WITNESS, 1, REASON);
        vm.assertEq(slashed, 0);
        _assertWhole();
    }

    function test_each_part_of_the_owners_stake_loses_in_proportion() public {
        _stake(NODE, OWNER, 3 * MIN_TOTAL_STAKE);
        _mature();
        _unstake(OWNER, 2 * MIN_TOTAL_STAKE);
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);

        // 2 matured, 1 maturing, 2 thawing; a fifth of it is one.
        _slash(MIN_TOTAL_STAKE);
        IStakingManager.StakeInfo memory info = staking.getStake(NODE);
        vm.assertEq(info.matured, MIN_TOTAL_STAKE * 16 / 10);
        vm.assertEq(info.total, MIN_TOTAL_STAKE * 24 / 10);
        vm.assertEq(info.unbonding, MIN_TOTAL_STAKE * 16 / 10);
        vm.assertTrue(registry.isNodeActive(NODE));

        _thaw();
        vm.assertEq(_withdraw(OWNER), MIN_TOTAL_STAKE * 16 / 10);
        _assertWhole();
    }

    function test_stake_that_has_thawed_is_slashed_until_it_is_withdrawn() public {
        _delegate(ALICE, 10 ether);
        _undelegateAll(ALICE);
        _unstake(OWNER, MIN_TOTAL_STAKE);
        _thaw();

        _slash(MIN_TOTAL_STAKE + 5 ether);
        vm.assertEq(_withdraw(OWNER), 0);
        vm.assertEq(_withdrawDelegation(ALICE), 5 ether);
        _assertWhole();
    }

    function test_a_delegator_in_thaw_loses_as_much_as_one_who_stays() public {
        _delegate(ALICE, 40 ether);
        _delegate(BOB, 40 ether);
        _undelegateAll(BOB);
        _slash(MIN_TOTAL_STAKE + 20 ether);

        vm.assertEq(_value(ALICE), 30 ether);
        vm.assertEq(staking.getDelegation(NODE, BOB).thawing, 30 ether);
        _undelegateAll(ALICE);
        _thaw();
        vm.assertEq(_withdrawDelegation(ALICE), 30 ether);
        vm.assertEq(_withdrawDelegation(BOB), 30 ether);
        _assertWhole();
    }

    /// @dev What began to thaw after a slash does not pay for it.
    function test_a_later_thaw_loses_nothing_by_an_earlier_slash() public {
        _delegate(ALICE, 40 ether);
        _delegate(BOB, 40 ether);
        _undelegate(ALICE, 20 ether);
        _slash(MIN_TOTAL_STAKE + 40 ether);
        vm.assertEq(staking.getDelegation(NODE, ALICE).thawing, 10 ether);

        vm.assertEq(_undelegateAll(BOB), 20 ether);
        vm.assertEq(staking.getDelegation(NODE, BOB).thawing, 20 ether);
        vm.assertEq(staking.getDelegation(NODE, ALICE).thawing, 10 ether);
        _slash(20 ether);
        vm.assertEq(staking.getDelegation(NODE, BOB).thawing, 10 ether);
        vm.assertEq(staking.getDelegation(NODE, ALICE).thawing, 5 ether);
        vm.assertEq(_value(ALICE), 5 ether);
    }

    function test_a_slash_below_the_minimum_deactivates() public {
        _stake(NODE, OWNER, 10 ether);
        _mature();
        _slash(10 ether);
        vm.assertTrue(registry.isNodeActive(NODE));

        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeDeactivated(NODE);
        _slash(1);
        vm.assertTrue(_nodeStatus(NODE) == INodeRegistry.NodeStatus.Unbonding);
        // Once more, for a node that is not active.
        _slash(1 ether);

        _stake(NODE, OWNER, 1 ether + 1);
        _mature();
        staking.activate(NODE);
    }

    function test_maturing_stake_does_not_keep_a_slashed_node_active() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        _slash(2);
        vm.assertFalse(registry.isNodeActive(NODE));
        vm.assertEq(staking.getStake(NODE).matured, MIN_TOTAL_STAKE - 1);
    }

    /// @dev What has matured without anybody having looked counts.
    function test_a_slash_sees_stake_that_matured_meanwhile() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        _mature();
        _slash(MIN_TOTAL_STAKE);
        vm.assertTrue(registry.isNodeActive(NODE));
    }

    function test_the_reporters_part_is_capped() public {
        vm.startPrank(SLASHER);
        (, uint256 reward) = staking.slash(NODE, 100 ether, WITNESS, 1001, REASON);
        vm.assertEq(reward, 10 ether);
        (, reward) = staking.slash(NODE, 100 ether, WITNESS, type(uint16).max, REASON);
        vm.assertEq(reward, 10 ether);
        (, reward) = staking.slash(NODE, 100 ether, WITNESS, 250, REASON);
        vm.assertEq(reward, 2.5 ether);
        (, reward) = staking.slash(NODE, 100 ether, address(0), 1000, REASON);
        vm.assertEq(reward, 0);
        vm.assertEq(staking.reporterRewardOf(WITNESS), 22.5 ether);
        vm.assertEq(staking.reporterRewardOf(address(0)), 0);
        vm.assertEq(staking.slashedTokens(), 377.5 ether);
    }

    function test_a_reporter_withdraws_its_reward_once() public {
        _slash(100 ether);
        vm.startPrank(WITNESS);
        vm.expectEmit(address(staking));
        emit IStakingManager.ReporterRewardWithdrawn(WITNESS, 10 ether);
        staking.withdrawReporterReward();
        vm.assertEq(aleph.balanceOf(WITNESS), 10 ether);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.withdrawReporterReward();
        _assertWhole();
    }

    function test_slashed_tokens_are_burned_or_go_to_the_treasury() public {
        _slash(100 ether);
        vm.expectEmit(address(staking));
        emit IStakingManager.SlashedTokensSent(BURNED, 90 ether);
        staking.sendSlashedTokens();
        vm.assertEq(aleph.balanceOf(BURNED), 90 ether);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.sendSlashedTokens();

        IStakingManager.Parameters memory parameters = _parameters();
        parameters.treasury = TREASURY;
        staking.setParameters(parameters);
        _slash(100 ether);
        vm.prank(STRANGER);
        staking.sendSlashedTokens();
        vm.assertEq(aleph.balanceOf(TREASURY), 90 ether);
        _assertWhole();
    }

    /// @dev Owner and reporter may be one: reporting itself must cost an owner more than it earns,
    /// however much its delegators lose.
    function testFuzz_an_owner_never_earns_by_reporting_itself(
        uint256 delegated,
        uint256 amount,
        uint16 bps
    ) public {
        delegated = 1 ether + delegated % 900_000 ether;
        amount %= MIN_TOTAL_STAKE + delegated;
        _delegate(ALICE, delegated);
        vm.prank(SLASHER);
        (, uint256 reward) = staking.slash(NODE, amount, OWNER, bps, REASON);
        uint256 lost = MIN_TOTAL_STAKE - staking.getStake(NODE).total;
        vm.assertLe(10 * reward, lost);
    }

    // Whose stake.

    function test_handing_the_node_on_does_not_shed_what_thaws() public {
        _unstake(OWNER, MIN_TOTAL_STAKE);
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);
        _stake(NODE, OTHER_OWNER, 2 * MIN_TOTAL_STAKE);
        _mature();

        // The new owner's stake does not answer for a node that it has not put into service.
        vm.assertEq(staking.accountableOwner(NODE), OWNER);
        vm.assertEq(staking.slashableStake(NODE), MIN_TOTAL_STAKE);
        _slash(100 ether);
        vm.assertEq(staking.getStakeOf(NODE, OWNER).unbonding, MIN_TOTAL_STAKE - 100 ether);
        vm.assertEq(staking.getStake(NODE).total, 2 * MIN_TOTAL_STAKE);

        staking.activate(NODE);
        vm.assertEq(staking.accountableOwner(NODE), OTHER_OWNER);
        _slash(100 ether);
        vm.assertEq(staking.getStakeOf(NODE, OWNER).unbonding, MIN_TOTAL_STAKE - 100 ether);
        vm.assertEq(staking.getStake(NODE).total, 2 * MIN_TOTAL_STAKE - 100 ether);
        vm.assertTrue(registry.isNodeActive(NODE));

        _thaw();
        vm.assertEq(_withdraw(OWNER), MIN_TOTAL_STAKE - 100 ether);
    }

    function test_a_former_owner_answers_for_its_own_time() public {
        _delegate(ALICE, 10 ether);
        _unstake(OWNER, MIN_TOTAL_STAKE);
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);
        _stake(NODE, OTHER_OWNER, MIN_TOTAL_STAKE);
        _mature();
        staking.activate(NODE);

        vm.expectEmit(address(staking));
        emit IStakingManager.Slashed(
            NODE, OWNER, REASON, MIN_TOTAL_STAKE, 0, WITNESS, MIN_TOTAL_STAKE / 10
        );
        vm.prank(SLASHER);
        (uint256 slashed,) =
            staking.slashOwner(NODE, OWNER, type(uint256).max, WITNESS, 1000, REASON);
        vm.assertEq(slashed, MIN_TOTAL_STAKE);
        // Neither the new owner nor who trusts it pays for that.
        vm.assertEq(staking.getStake(NODE).total, MIN_TOTAL_STAKE);
        vm.assertEq(_value(ALICE), 10 ether);
        vm.assertTrue(registry.isNodeActive(NODE));

        vm.prank(SLASHER);
        (slashed,) = staking.slashOwner(NODE, OTHER_OWNER, type(uint256).max, WITNESS, 1000, REASON);
        vm.assertEq(slashed, MIN_TOTAL_STAKE + 10 ether);
        vm.assertFalse(registry.isNodeActive(NODE));
    }

    function test_before_activation_the_present_owner_answers() public {
        vm.assertEq(staking.accountableOwner(OTHER_NODE), address(0));
        _register(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        _stake(OTHER_NODE, OTHER_OWNER, 1 ether);
        vm.assertEq(staking.accountableOwner(OTHER_NODE), OTHER_OWNER);
        vm.prank(SLASHER);
        staking.slash(OTHER_NODE, 1 ether, address(0), 0, REASON);
        vm.assertEq(staking.getStake(OTHER_NODE).total, 0);
    }

    // Views.

    function test_views_of_an_owners_stake() public {
        _unstake(OWNER, 100 ether);
        vm.warp(block.timestamp + 1 days);
        _unstake(OWNER, 300 ether);
        _slash(MIN_TOTAL_STAKE / 2);

        IStakingManager.ThawInfo[] memory thaws = staking.getUnstakings(NODE, OWNER);
        vm.assertEq(thaws.length, 2);
        vm.assertEq(thaws[0].amount, 50 ether);
        vm.assertEq(thaws[1].amount, 150 ether);
        vm.assertEq(thaws[1].withdrawableAt, block.timestamp + UNBONDING_PERIOD_S);
        vm.assertEq(thaws[1].withdrawableAt, thaws[0].withdrawableAt + 1 days);
        vm.assertEq(abi.encode(staking.getStakeOf(NODE, OWNER)), abi.encode(staking.getStake(NODE)));
    }

    // In general.

    /// @dev Nobody loses more than its part, rounded up, and nobody more by thawing than by staying.
    function testFuzz_a_slash_is_fair(
        uint256 alices,
        uint256 bobs,
        uint256 bobsPart,
        uint256 amount
    ) public {
        alices = 1 ether + alices % 10_000 ether;
        bobs = 2 ether + bobs % 10_000 ether;
        bobsPart = 1 ether + bobsPart % (bobs - 1 ether);
        if (bobs - bobsPart < 1e12) bobsPart = bobs;
        amount %= alices + bobs + 1;
        _delegate(ALICE, alices);
        _delegate(BOB, bobs);
        _undelegate(BOB, bobsPart);

        (uint256 slashed,) = _slash(MIN_TOTAL_STAKE + amount);
        vm.assertEq(slashed, MIN_TOTAL_STAKE + amount);
        uint256 left = alices + bobs - amount;
        IStakingManager.DelegationInfo memory info = staking.getDelegation(NODE, BOB);
        _assertPart(_value(ALICE), alices, left, alices + bobs);
        _assertPart(info.value, bobs - bobsPart, left, alices + bobs);
        _assertPart(info.thawing, bobsPart, left, alices + bobs);
        _assertWhole();
    }

    function _assertPart(uint256 value, uint256 before, uint256 left, uint256 all) private pure {
        vm.assertApproxEqAbs(value, before * left / all, 2);
    }

    /// @dev Owner first, and in all no more than there is or was asked for.
    function testFuzz_a_slash_is_bounded(
        uint128[4] calldata stakes,
        uint256 delegated,
        uint256 amount
    ) public {
        for (uint256 i = 0; i < stakes.length; ++i) {
            uint256 more = 1 + stakes[i] % 1000 ether;
            _stake(NODE, OWNER, more);
            if (stakes[i] % 2 == 0) _mature();
            if (stakes[i] % 3 == 0) _unstake(OWNER, more);
        }
        delegated = 1 ether + delegated % 10_000 ether;
        _delegate(ALICE, delegated);
        uint256 all = staking.slashableStake(NODE);
        uint256 ofOwner = all - delegated;
        if (amount % 3 != 0) amount %= 2 * all;

        (uint256 slashed, uint256 reward) = _slash(amount);
        vm.assertEq(slashed, amount < all ? amount : all);
        uint256 fromDelegators = slashed > ofOwner ? slashed - ofOwner : 0;
        vm.assertEq(_value(ALICE), delegated - fromDelegators);
        vm.assertEq(reward, (slashed - fromDelegators) / 10);
        vm.assertEq(staking.slashableStake(NODE), all - slashed);
        vm.assertEq(staking.slashedTokens() + reward, slashed);
        _assertWhole();
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {vm} from "../script/Vm.sol";
import {StakingManager} from "../src/StakingManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {Bounds} from "../src/libraries/Bounds.sol";
import {ExactTransfer} from "../src/libraries/ExactTransfer.sol";
import {Fixture} from "./base/Fixture.sol";
import {FeeToken, ReentrantToken, RefusingToken} from "./base/Tokens.sol";

contract StakingManagerTest is Fixture {
    function setUp() public override {
        super.setUp();
        _register(NODE, OWNER, OPERATOR);
    }

    function test_stake_moves_tokens_and_starts_to_mature() public {
        uint256 before = aleph.balanceOf(OWNER);
        uint64 maturesAt = uint64(block.timestamp) + MIN_STAKE_DURATION_S;

        vm.expectEmit(address(staking));
        emit IStakingManager.Staked(NODE, OWNER, 5 ether, maturesAt);
        _stake(NODE, OWNER, 5 ether);

        vm.assertEq(aleph.balanceOf(OWNER), before - 5 ether);
        vm.assertEq(aleph.balanceOf(address(staking)), 5 ether);
        _assertStake({total: 5 ether, matured: 0, unbonding: 0, maturesAt: maturesAt});

        _mature();
        _assertStake({total: 5 ether, matured: 5 ether, unbonding: 0, maturesAt: 0});
    }

    function test_stake_is_for_the_owner_of_a_registered_node() public {
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.NotNodeOwner.selector, NODE, OTHER_OWNER)
        );
        _stake(NODE, OTHER_OWNER, 1 ether);

        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.NotNodeOwner.selector, OTHER_NODE, OWNER)
        );
        _stake(OTHER_NODE, OWNER, 1 ether);

        vm.startPrank(OWNER);
        vm.expectRevert(IStakingManager.ZeroAmount.selector);
        staking.stake(NODE, 0);

        registry.deregisterNode(NODE);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.NotNodeOwner.selector, NODE, OWNER));
        staking.stake(NODE, 1 ether);
    }

    function test_activation_needs_time_and_blocks() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        uint256 stakedAt = block.timestamp;
        uint256 stakedAtBlock = block.number;

        // A flash loan ends in the transaction that it began in.
        _expectActivationRefused(0);

        vm.warp(stakedAt + MIN_STAKE_DURATION_S);
        vm.roll(stakedAtBlock + 1);
        _expectActivationRefused(0);

        vm.warp(stakedAt + MIN_STAKE_DURATION_S - 1);
        vm.roll(stakedAtBlock + 2);
        _expectActivationRefused(0);

        vm.warp(stakedAt + MIN_STAKE_DURATION_S);
        vm.prank(STRANGER);
        staking.activate(NODE);
        vm.assertTrue(registry.isNodeActive(NODE));

        vm.expectRevert(
            abi.encodeWithSelector(
                INodeRegistry.WrongNodeStatus.selector, NODE, INodeRegistry.NodeStatus.Active
            )
        );
        staking.activate(NODE);
    }

    function test_activation_needs_the_minimum() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE - 1);
        _mature();
        _expectActivationRefused(MIN_TOTAL_STAKE - 1);

        // The last unit must mature as well.
        _stake(NODE, OWNER, 1);
        _expectActivationRefused(MIN_TOTAL_STAKE - 1);
        _mature();
        staking.activate(NODE);
    }

    function test_more_stake_restarts_only_what_still_matures() public {
        _stake(NODE, OWNER, 10 ether);
        _mature();
        _stake(NODE, OWNER, 3 ether);
        vm.warp(block.timestamp + MIN_STAKE_DURATION_S / 2);
        _stake(NODE, OWNER, 4 ether);

        _assertStake({
            total: 17 ether,
            matured: 10 ether,
            unbonding: 0,
            maturesAt: uint64(block.timestamp) + MIN_STAKE_DURATION_S
        });
    }

    function test_unstake_takes_maturing_stake_first_and_keeps_the_node_active() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        _mature();
        staking.activate(NODE);
        _stake(NODE, OWNER, 10 ether);

        vm.expectEmit(address(staking));
        emit IStakingManager.Unstaked(
            NODE, OWNER, 10 ether, uint64(block.timestamp) + UNBONDING_PERIOD_S
        );
        vm.prank(OWNER);
        staking.unstake(NODE, 10 ether);

        vm.assertTrue(registry.isNodeActive(NODE));
        _assertStake({
            total: MIN_TOTAL_STAKE, matured: MIN_TOTAL_STAKE, unbonding: 10 ether, maturesAt: 0
        });
    }

    function test_unstake_below_the_minimum_deactivates_and_stake_brings_back() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        _mature();
        staking.activate(NODE);

        vm.expectEmit(address(registry));
        emit INodeRegistry.NodeDeactivated(NODE);
        vm.prank(OWNER);
        staking.unstake(NODE, 1);
        vm.assertTrue(_nodeStatus(NODE) == INodeRegistry.NodeStatus.Unbonding);

        _stake(NODE, OWNER, 1);
        _mature();
        staking.activate(NODE);
        vm.assertTrue(registry.isNodeActive(NODE));
    }

    function test_unstake_refuses_nothing_and_too_much() public {
        _stake(NODE, OWNER, 5 ether);
        vm.startPrank(OWNER);
        vm.expectRevert(IStakingManager.ZeroAmount.selector);
        staking.unstake(NODE, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.NotEnoughStake.selector, 5 ether, 5 ether + 1)
        );
        staking.unstake(NODE, 5 ether + 1);
    }

    function test_withdraw_pays_what_is_ready_once() public {
        _stake(NODE, OWNER, 10 ether);
        uint256 before = aleph.balanceOf(OWNER);
        vm.startPrank(OWNER);
        staking.unstake(NODE, 4 ether);
        vm.warp(block.timestamp + 1 days);
        staking.unstake(NODE, 6 ether);

        vm.warp(block.timestamp + UNBONDING_PERIOD_S - 1 days - 1);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.withdraw(NODE);

        vm.warp(block.timestamp + 1);
        vm.expectEmit(address(staking));
        emit IStakingManager.Withdrawn(NODE, OWNER, 4 ether);
        staking.withdraw(NODE);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.withdraw(NODE);

        vm.warp(block.timestamp + 1 days);
        staking.withdraw(NODE);
        vm.assertEq(aleph.balanceOf(OWNER), before + 10 ether);
        vm.assertEq(aleph.balanceOf(address(staking)), 0);
    }

    function test_withdraw_finds_what_a_shorter_period_made_ready_first() public {
        _stake(NODE, OWNER, 10 ether);
        vm.prank(OWNER);
        staking.unstake(NODE, 4 ether);
        IStakingManager.Parameters memory parameters = _parameters();
        parameters.unbondingPeriod = 1 days;
        staking.setParameters(parameters);
        vm.startPrank(OWNER);
        staking.unstake(NODE, 6 ether);

        vm.warp(block.timestamp + 1 days);
        vm.expectEmit(address(staking));
        emit IStakingManager.Withdrawn(NODE, OWNER, 6 ether);
        staking.withdraw(NODE);
        vm.assertEq(staking.getStake(NODE).unbonding, 4 ether);
    }

    function test_unstakings_are_bounded_and_withdrawing_makes_room() public {
        _stake(NODE, OWNER, 100 ether);
        vm.startPrank(OWNER);
        for (uint256 i = 0; i < 32; ++i) {
            staking.unstake(NODE, 1 ether);
        }
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.TooManyUnstakings.selector, 32));
        staking.unstake(NODE, 1 ether);

        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        staking.withdraw(NODE);
        staking.unstake(NODE, 68 ether);
    }

    function test_a_former_owner_keeps_its_stake_and_has_no_say() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        _mature();
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _register(NODE, OTHER_OWNER, OTHER_OPERATOR);

        // The stake of the former owner counts no more.
        _expectActivationRefused(0);
        _stake(NODE, OTHER_OWNER, MIN_TOTAL_STAKE);
        _mature();
        staking.activate(NODE);

        vm.startPrank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        vm.assertTrue(registry.isNodeActive(NODE));
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        staking.withdraw(NODE);
        vm.assertEq(aleph.balanceOf(OWNER), 1_000_000 ether);
        vm.assertEq(staking.getStake(NODE).total, MIN_TOTAL_STAKE);
    }

    function test_a_pause_stops_staking_only() public {
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        _mature();
        staking.pause();

        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _stake(NODE, OWNER, 1);

        staking.activate(NODE);
        vm.startPrank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        staking.withdraw(NODE);
    }

    function test_parameters_have_bounds() public {
        IStakingManager.Parameters memory parameters = _parameters();
        parameters.minTotalStake = 0;
        _expectOutOfBounds(parameters, "minTotalStake", 0, 1, 1e27);
        parameters.minTotalStake = 1e27 + 1;
        _expectOutOfBounds(parameters, "minTotalStake", 1e27 + 1, 1, 1e27);

        parameters = _parameters();
        parameters.minStakeDuration = 0;
        _expectOutOfBounds(parameters, "minStakeDuration", 0, 1, 30 days);
        parameters.minStakeDuration = 30 days + 1;
        _expectOutOfBounds(parameters, "minStakeDuration", 30 days + 1, 1, 30 days);

        parameters = _parameters();
        parameters.unbondingPeriod = 0;
        _expectOutOfBounds(parameters, "unbondingPeriod", 0, 1, 90 days);
        parameters.unbondingPeriod = 90 days + 1;
        _expectOutOfBounds(parameters, "unbondingPeriod", 90 days + 1, 1, 90 days);
    }

    function test_parameters_change_what_comes_later() public {
        IStakingManager.Parameters memory parameters = _parameters();
        parameters.minTotalStake = 7 ether;
        parameters.minStakeDuration = 60;
        vm.expectEmit(address(staking));
        emit IStakingManager.ParametersSet(parameters);
        staking.setParameters(parameters);
        vm.assertEq(abi.encode(staking.getParameters()), abi.encode(parameters));

        _stake(NODE, OWNER, 7 ether);
        vm.assertEq(staking.getStake(NODE).maturesAt, block.timestamp + 60);
    }

    function test_a_fee_token_is_refused() public {
        FeeToken token = new FeeToken();
        StakingManager other = _stakingOf(token);
        token.transfer(OWNER, 1000 ether);
        vm.startPrank(OWNER);
        token.approve(address(other), type(uint256).max);

        vm.expectRevert(
            abi.encodeWithSelector(
                ExactTransfer.UnexpectedAmountReceived.selector, 100 ether, 99 ether
            )
        );
        other.stake(NODE, 100 ether);
    }

    function test_a_token_that_says_no_is_believed() public {
        address token = address(new RefusingToken());
        StakingManager other = _stakingOf(IERC20(token));
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, token));
        vm.prank(OWNER);
        other.stake(NODE, 1 ether);
    }

    function test_a_reentrant_token_gets_nowhere() public {
        ReentrantToken token = new ReentrantToken();
        StakingManager other = _stakingOf(token);
        token.transfer(OWNER, 1000 ether);
        vm.startPrank(OWNER);
        token.approve(address(other), type(uint256).max);
        other.stake(NODE, 100 ether);
        other.unstake(NODE, 100 ether);
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);

        token.attack(other, NODE);
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        other.withdraw(NODE);
    }

    /// @dev Whatever is staked and unstaked, the owner ends with what it began with.
    function testFuzz_everything_staked_comes_back(uint256[4] memory amounts, uint256 part) public {
        uint256 before = aleph.balanceOf(OWNER);
        uint256 total;
        for (uint256 i = 0; i < amounts.length; ++i) {
            uint256 amount = 1 + amounts[i] % 10_000 ether;
            _stake(NODE, OWNER, amount);
            total += amount;
            if (amounts[i] % 3 == 0) _mature();
        }
        part = 1 + part % total;

        vm.startPrank(OWNER);
        staking.unstake(NODE, part);
        vm.assertEq(staking.getStake(NODE).total, total - part);
        vm.assertEq(staking.getStake(NODE).unbonding, part);
        vm.assertLe(staking.getStake(NODE).matured, total - part);
        if (part != total) staking.unstake(NODE, total - part);
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        staking.withdraw(NODE);
        vm.assertEq(aleph.balanceOf(OWNER), before);
        vm.assertEq(aleph.balanceOf(address(staking)), 0);
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        staking.withdraw(NODE);
    }

    /// @dev No moment before both clocks have run out lets a node become active.
    function testFuzz_maturity(uint64 seconds_, uint64 blocks) public {
        seconds_ %= 2 * MIN_STAKE_DURATION_S;
        blocks %= 4;
        _stake(NODE, OWNER, MIN_TOTAL_STAKE);
        vm.warp(block.timestamp + seconds_);
        vm.roll(block.number + blocks);

        bool mature = seconds_ >= MIN_STAKE_DURATION_S && blocks >= 2;
        vm.assertEq(staking.getStake(NODE).matured, mature ? MIN_TOTAL_STAKE : 0);
        if (!mature) _expectRefusal(0);
        staking.activate(NODE);
        vm.assertTrue(registry.isNodeActive(NODE) == mature);
    }

    function _stakingOf(IERC20 token) private returns (StakingManager) {
        return StakingManager(
            address(
                new ERC1967Proxy(
                    address(new StakingManager()),
                    abi.encodeCall(
                        StakingManager.initialize, (address(this), token, registry, _parameters())
                    )
                )
            )
        );
    }

    function _assertStake(uint256 total, uint256 matured, uint256 unbonding, uint64 maturesAt)
        private
        view
    {
        IStakingManager.StakeInfo memory info = staking.getStake(NODE);
        vm.assertEq(info.total, total, "total");
        vm.assertEq(info.matured, matured, "matured");
        vm.assertEq(info.unbonding, unbonding, "unbonding");
        vm.assertEq(info.maturesAt, maturesAt, "maturesAt");
    }

    function _expectActivationRefused(uint256 matured) private {
        _expectRefusal(matured);
        staking.activate(NODE);
    }

    function _expectRefusal(uint256 matured) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IStakingManager.NotEnoughMaturedStake.selector, matured, MIN_TOTAL_STAKE
            )
        );
    }

    function _expectOutOfBounds(
        IStakingManager.Parameters memory parameters,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        staking.setParameters(parameters);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {ITestPool, TestToken, UniswapFixture} from "../base/Uniswap.sol";

/// @dev Somebody moves the pool's price with a large trade, settles a job at the bad price, and
/// trades back, all in one block. The mean price does not move with it, so the swap is refused: the
/// node is not paid at the bad price, and the customer has not paid at all.
contract PriceManipulationAttack is UniswapFixture {
    TestToken private token;
    uint256 private jobId;

    function setUp() public override {
        super.setUp();
        token = _token(6, true);
        _swappable(token, 1_000_000);
        _approve(token, CUSTOMER, 1e12);
        jobId = _paidJob(CUSTOMER, address(token), 1000e6);
        _prove(jobId, 1 hours);
    }

    function test_a_sandwich_is_refused() public {
        uint256 minimum = payments.minimumOutput(address(token), 1000e6);
        uint256 bought = _trade(token, aleph, 200_000e6);
        vm.assertEq(payments.minimumOutput(address(token), 1000e6), minimum);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        vm.assertEq(token.balanceOf(CUSTOMER), 1e12);
        vm.assertEq(payments.totalWithdrawable(address(aleph)), 0);

        _trade(aleph, token, bought);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertGe(payments.totalWithdrawable(address(aleph)), minimum);
        vm.assertEq(payments.getAccount(jobId).graceUntil, 0);
    }

    /// @dev What a sandwich can cost a node at most.
    function test_within_the_slippage_a_sandwich_costs_no_more_than_it() public {
        uint256 minimum = payments.minimumOutput(address(token), 1000e6);
        // About 0.8 %.
        _trade(token, aleph, 4000e6);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertGe(payments.totalWithdrawable(address(aleph)), minimum);
    }

    /// @dev Holding a bad price for a part of the period moves the mean by that part only: one
    /// minute of ten at 20 % less is 2 %, more than the slippage that would be needed to use it.
    function test_holding_the_price_moves_the_mean_slowly() public {
        uint256 before = payments.minimumOutput(address(token), 1000e6);
        _trade(token, aleph, 120_000e6);
        vm.warp(block.timestamp + 1 minutes);
        uint256 later = payments.minimumOutput(address(token), 1000e6);
        vm.assertGe(later, before * 97 / 100);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
    }

    /// @dev To have a good customer's job stopped, the price must be bad at both ends of the grace
    /// and nobody may have settled in between: one honest attempt undoes it all.
    function test_one_honest_attempt_within_the_grace_undoes_a_forced_refusal() public {
        uint256 bought = _trade(token, aleph, 200_000e6);
        payments.settleJob(jobId);
        _trade(aleph, token, bought);
        vm.assertTrue(payments.getAccount(jobId).graceUntil != 0);

        vm.warp(block.timestamp + GRACE_S / 2);
        vm.prank(OWNER);
        payments.settleJob(jobId);
        vm.warp(block.timestamp + GRACE_S / 2);
        _prove(jobId, 1 hours + 1);
        _prove(jobId, 1 hours);
        _trade(token, aleph, 200_000e6);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        _assertStatus(jobId, IJobManager.JobStatus.Running);
    }

    /// @dev Cutting a payment into slivers, to lose it in the pool's fee, which is rounded up, or to
    /// have a solvent customer's swap refused for rounding: of 93 units nothing would be left.
    function test_slivers_are_not_swapped() public {
        TestToken coarse = _token(0, false);
        _swappable(coarse, 1_000_000);
        _approve(coarse, CUSTOMER, 1e6);
        uint256 coarseJob = _paidJob(CUSTOMER, address(coarse), 400);
        _prove(coarseJob, 1 hours);
        for (uint64 i = 1; i < 14 minutes; i += 7) {
            _assertResult(
                payments.settleJobUpTo(coarseJob, i), IPaymentManager.SettleResult.NothingDue
            );
        }
        vm.assertEq(payments.getAccount(coarseJob).graceUntil, 0);
        _assertResult(payments.settleJob(coarseJob), IPaymentManager.SettleResult.Settled);
        vm.assertGe(payments.totalWithdrawable(address(aleph)), 400 * ALEPH_PER_TOKEN * 985 / 1000);
    }
}

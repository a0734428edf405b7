// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev Nobody has settled for years, over as many nodes as a job can have. It costs no more to
/// settle a long time than a short one, and it can be done in steps.
contract LongBacklogAttack is PaymentFixture {
    function setUp() public override {
        super.setUp();
        _allow(aleph, CUSTOMER, type(uint256).max);
    }

    function test_ten_years_are_settled_at_once_or_in_steps() public {
        uint64 total = 10 * 365 days;
        uint256 atOnce = _paidJob();
        uint256 inSteps = _paidJob();
        _mockAccrued(atOnce, total);
        uint256 gasBefore = gasleft();
        payments.settleJob(atOnce);
        vm.assertLe(gasBefore - gasleft(), 500_000);

        _mockAccrued(inSteps, total);
        for (uint64 year = 1; year <= 10; ++year) {
            payments.settleJobUpTo(inSteps, year * 365 days);
        }
        vm.assertEq(payments.getAccount(atOnce).paid, payments.getAccount(inSteps).paid);
        vm.assertEq(payments.getAccount(atOnce).paid, uint256(PRICE) * total / 3600);
    }

    function test_steps_take_what_a_balance_allows() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 200 hours);
        vm.startPrank(CUSTOMER);
        aleph.transfer(OWNER, aleph.balanceOf(CUSTOMER) - 100 * PRICE);
        vm.stopPrank();
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        _assertResult(
            payments.settleJobUpTo(jobId, 100 hours), IPaymentManager.SettleResult.Settled
        );
        vm.assertEq(aleph.balanceOf(CUSTOMER), 0);
    }

    function test_sixteen_nodes_are_settled_in_one_call() public {
        delegations.setDelegated(NODE, true);
        delegations.setDelegated(OTHER_NODE, true);
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        for (uint256 i = 1; i < 16; ++i) {
            vm.warp(block.timestamp + 2 hours);
            bool even = i % 2 == 0;
            _reassign(jobId, even ? NODE : OTHER_NODE, even ? OPERATOR : OTHER_OPERATOR);
            _prove(jobId, even ? OPERATOR : OTHER_OPERATOR, 1 hours);
        }
        uint256 gasBefore = gasleft();
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertLe(gasBefore - gasleft(), 4_000_000);
        vm.assertEq(payments.getAccount(jobId).paid, 16 * uint256(PRICE));
        vm.assertEq(_withdrawable(OWNER), _withdrawable(OTHER_OWNER));
    }

    /// @dev Ten years of hourly heartbeats are too many for a test.
    function _mockAccrued(uint256 jobId, uint64 seconds_) private {
        vm.mockCall(
            address(jobs),
            abi.encodeCall(jobs.getSegment, (jobId, 0)),
            abi.encode(NODE, seconds_, false, OWNER)
        );
    }
}

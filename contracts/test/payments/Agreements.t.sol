// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev Settling by agreement, and credits. A second of a job costs 0.001 ALEPH.
contract AgreementTest is PaymentFixture {
    uint256 private constant PER_SECOND = 0.001 ether;

    // Agreement.

    function test_both_name_the_amount_and_the_account_is_closed() public {
        uint256 jobId = _endedJob(100);
        vm.expectEmit(address(payments));
        emit IPaymentManager.FinalAmountOffered(jobId, OWNER, 60 * PER_SECOND);
        _agree(OWNER, jobId, 60 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 0);

        vm.expectEmit(address(payments));
        emit IPaymentManager.JobFinallySettled(jobId, 0, 60 * PER_SECOND, 40 * PER_SECOND);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobSettled(
            jobId, NODE, OWNER, 100, 60 * PER_SECOND, 0, _shares(60 * PER_SECOND, false)
        );
        _agree(CUSTOMER, jobId, 60 * PER_SECOND);

        vm.assertEq(payments.getAccount(jobId).paid, 60 * PER_SECOND);
        vm.assertEq(payments.dueOf(jobId), 0);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.NothingDue);
        _expectNothingToAgree(jobId);
        _agree(OWNER, jobId, 0);
        _assertSolvent(aleph);
    }

    function test_either_may_come_first_and_change_its_mind() public {
        uint256 jobId = _endedJob(100);
        _agree(CUSTOMER, jobId, 10 * PER_SECOND);
        _agree(OWNER, jobId, 90 * PER_SECOND);
        _agree(CUSTOMER, jobId, 20 * PER_SECOND);
        _agree(OWNER, jobId, 10 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).version, 0);
        _agree(OWNER, jobId, 20 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 20 * PER_SECOND);
    }

    function test_nothing_can_be_agreed_on_and_moves_no_token() public {
        uint256 jobId = _endedJob(100);
        _allow(aleph, CUSTOMER, 0);
        _agree(OWNER, jobId, 0);
        _agree(CUSTOMER, jobId, 0);
        vm.assertEq(payments.dueOf(jobId), 0);
        vm.assertEq(payments.getAccount(jobId).paid, 0);
        vm.assertEq(payments.getAccount(jobId).settledSeconds, 100);
    }

    function test_an_agreement_is_paid_or_does_not_happen() public {
        uint256 jobId = _endedJob(100);
        _agree(OWNER, jobId, 60 * PER_SECOND);
        _allow(aleph, CUSTOMER, 59 * PER_SECOND);
        vm.expectRevert();
        _agree(CUSTOMER, jobId, 60 * PER_SECOND);
        vm.assertEq(payments.dueOf(jobId), 100 * PER_SECOND);
        _allow(aleph, CUSTOMER, 60 * PER_SECOND);
        _agree(CUSTOMER, jobId, 60 * PER_SECOND);
        vm.assertEq(payments.dueOf(jobId), 0);
    }

    function test_an_agreement_is_about_a_closed_segment_only() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        _expectNothingToAgree(jobId);
        _agree(CUSTOMER, jobId, 0);
        _expectNothingToAgree(99);
        _agree(CUSTOMER, 99, 0);

        uint256 settled = _endedJob(100);
        payments.settleJob(settled);
        _expectNothingToAgree(settled);
        _agree(CUSTOMER, settled, 0);
    }

    function test_only_the_parties_agree_and_on_no_more_than_is_due() public {
        uint256 jobId = _endedJob(100);
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.NotParty.selector, jobId, STRANGER));
        _agree(STRANGER, jobId, 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IPaymentManager.AmountAboveDue.selector, 100 * PER_SECOND + 1, 100 * PER_SECOND
            )
        );
        _agree(OWNER, jobId, 100 * PER_SECOND + 1);
        _agree(OWNER, jobId, 100 * PER_SECOND);
        _agree(CUSTOMER, jobId, 100 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 100 * PER_SECOND);
    }

    /// @dev Else an owner could take a part the usual way and the offer on top of it.
    function test_an_offer_does_not_outlive_a_payment() public {
        uint256 jobId = _endedJob(100);
        _agree(CUSTOMER, jobId, 50 * PER_SECOND);
        payments.settleJobUpTo(jobId, 50);
        _agree(OWNER, jobId, 50 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 50 * PER_SECOND);
        _agree(CUSTOMER, jobId, 50 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 100 * PER_SECOND);
    }

    function test_an_offer_does_not_outlive_a_credit() public {
        uint256 jobId = _endedJob(100);
        _agree(CUSTOMER, jobId, 50 * PER_SECOND);
        _credit(jobId, 10 * PER_SECOND);
        _agree(OWNER, jobId, 50 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 0);
        _agree(CUSTOMER, jobId, 50 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 50 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).credit, 0);
    }

    function test_each_segments_owner_agrees_on_its_own() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.warp(block.timestamp + 2 hours);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _prove(jobId, OTHER_OPERATOR, 200);

        vm.expectRevert(
            abi.encodeWithSelector(IPaymentManager.NotParty.selector, jobId, OTHER_OWNER)
        );
        _agree(OTHER_OWNER, jobId, 0);
        _agree(OWNER, jobId, 70 * PER_SECOND);
        _agree(CUSTOMER, jobId, 70 * PER_SECOND);
        vm.assertEq(payments.dueOf(jobId), 200 * PER_SECOND);
        _expectNothingToAgree(jobId);
        _agree(OTHER_OWNER, jobId, 0);

        _complete(jobId, OTHER_OPERATOR);
        _agree(CUSTOMER, jobId, 0);
        _agree(OTHER_OWNER, jobId, 0);
        vm.assertEq(payments.dueOf(jobId), 0);
        vm.assertEq(payments.getAccount(jobId).paid, 70 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).settledSeconds, 300);
    }

    function test_a_customer_who_owns_the_node_agrees_alone() public {
        _approve(aleph, OWNER, 100 ether);
        uint256 jobId = _paidJob(OWNER, address(aleph), PRICE);
        _prove(jobId, 100);
        _complete(jobId, OPERATOR);
        _agree(OWNER, jobId, 1);
        vm.assertEq(payments.dueOf(jobId), 0);
    }

    // Credits.

    function test_a_credit_pays_what_comes_due_next() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobCredited(jobId, 130 * PER_SECOND);
        vm.assertEq(_credit(jobId, 130 * PER_SECOND), 130 * PER_SECOND);
        vm.assertEq(payments.dueOf(jobId), 0);

        uint256 before = aleph.balanceOf(CUSTOMER);
        payments.settleJob(jobId);
        vm.assertEq(aleph.balanceOf(CUSTOMER), before);
        vm.assertEq(payments.getAccount(jobId).credit, 30 * PER_SECOND);
        _prove(jobId, 100);
        vm.assertEq(payments.dueOf(jobId), 70 * PER_SECOND);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobSettled(
            jobId,
            NODE,
            OWNER,
            200,
            70 * PER_SECOND,
            30 * PER_SECOND,
            _shares(70 * PER_SECOND, false)
        );
        payments.settleJob(jobId);
        vm.assertEq(before - aleph.balanceOf(CUSTOMER), 70 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).paid, 70 * PER_SECOND);
        vm.assertEq(payments.getAccount(jobId).credit, 0);
    }

    function test_credits_of_a_job_that_goes_on_reach_30_days_ahead() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        uint256 most = (30 days + 100) * PER_SECOND;
        vm.assertEq(_credit(jobId, 1), 1);
        vm.assertEq(_credit(jobId, type(uint256).max), most - 1);
        vm.assertEq(_credit(jobId, 1), 0);
        payments.settleJob(jobId);
        vm.assertEq(_credit(jobId, 1), 0);
        _prove(jobId, 100);
        vm.assertEq(_credit(jobId, type(uint256).max), 100 * PER_SECOND);
    }

    function test_credits_of_an_ended_job_reach_as_far_as_its_debt() public {
        uint256 jobId = _endedJob(100);
        vm.assertEq(_credit(jobId, type(uint256).max), 100 * PER_SECOND);
        payments.settleJob(jobId);
        vm.assertEq(payments.getAccount(jobId).paid, 0);
        vm.assertEq(_credit(jobId, 1), 0);
        // A job that never was, and one that costs nothing.
        vm.assertEq(_credit(99, 1), 0);
        vm.assertEq(_credit(_runningJob(NODE, OPERATOR), 1), 0);

        // A credit that is left when the job ends lapses.
        uint256 other = _paidJob();
        _credit(other, 1 ether);
        _complete(other, OPERATOR);
        vm.assertEq(_credit(other, 1), 0);
    }

    function test_a_credit_counts_over_all_segments_that_are_not_settled() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.warp(block.timestamp + 2 hours);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _prove(jobId, OTHER_OPERATOR, 100);
        _complete(jobId, OTHER_OPERATOR);
        vm.assertEq(_credit(jobId, type(uint256).max), 200 * PER_SECOND);
    }

    function test_a_credit_in_grace_saves_the_job() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        _allow(aleph, CUSTOMER, 0);
        payments.settleJob(jobId);
        _credit(jobId, 100 * PER_SECOND);
        vm.warp(block.timestamp + GRACE_S);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertEq(payments.getAccount(jobId).graceUntil, 0);
    }

    function _endedJob(uint256 seconds_) private returns (uint256 jobId) {
        jobId = _paidJob();
        _prove(jobId, seconds_);
        _complete(jobId, OPERATOR);
    }

    function _agree(address party, uint256 jobId, uint256 amount) private {
        vm.prank(party);
        payments.agreeFinal(jobId, amount);
    }

    function _credit(uint256 jobId, uint256 amount) private returns (uint256) {
        vm.prank(SLA_MANAGER);
        return payments.credit(jobId, amount);
    }

    function _expectNothingToAgree(uint256 jobId) private {
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.NothingToAgree.selector, jobId));
    }
}

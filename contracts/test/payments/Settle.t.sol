// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {Vm, vm} from "../../script/Vm.sol";
import {IDelegationRewards} from "../../src/interfaces/IDelegationRewards.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {BoundedCall} from "../../src/libraries/BoundedCall.sol";
import {Settlement} from "../../src/libraries/Settlement.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev Settling jobs that are priced in ALEPH: what is paid, to whom, and what happens when it is
/// not. An hour costs 3.6 ALEPH, a second 0.001.
contract SettleTest is PaymentFixture {
    uint256 private constant PER_SECOND = 0.001 ether;

    function test_settling_pays_for_proven_time() public {
        delegations.setDelegated(NODE, true);
        uint256 jobId = _paidJob();
        _prove(jobId, 10 hours);
        uint256 amount = 10 * uint256(PRICE);
        vm.assertEq(payments.dueOf(jobId), amount);

        uint256 before = aleph.balanceOf(CUSTOMER);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobSettled(
            jobId, NODE, OWNER, 10 hours, amount, 0, _shares(amount, true)
        );
        vm.prank(STRANGER);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);

        vm.assertEq(before - aleph.balanceOf(CUSTOMER), amount);
        vm.assertEq(_withdrawable(TREASURY), amount / 20);
        vm.assertEq(delegations.rewards(NODE), amount / 5);
        vm.assertEq(_withdrawable(OWNER), amount - amount / 20 - amount / 5);
        vm.assertEq(aleph.allowance(address(payments), address(delegations)), 0);
        vm.assertEq(payments.dueOf(jobId), 0);
        IPaymentManager.Account memory account = payments.getAccount(jobId);
        vm.assertEq(account.settledSeconds, 10 hours);
        vm.assertEq(account.paid, amount);
        _assertSolvent(aleph);

        // Again: nothing moves, nothing is said.
        vm.recordLogs();
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.NothingDue);
        vm.assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_what_delegators_do_not_take_is_the_owners() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobSettled(
            jobId, NODE, OWNER, 1 hours, PRICE, 0, _shares(PRICE, false)
        );
        payments.settleJob(jobId);
        vm.assertEq(_withdrawable(OWNER), uint256(PRICE) * 95 / 100);

        // Not even a broken staking contract keeps a node from its pay.
        delegations.setBroken(true);
        _prove(jobId, 1 hours);
        payments.settleJob(jobId);
        vm.assertEq(_withdrawable(OWNER), 2 * uint256(PRICE) * 95 / 100);
        vm.assertEq(aleph.allowance(address(payments), address(delegations)), 0);
        _assertSolvent(aleph);
    }

    function test_without_a_delegators_share_nobody_is_asked() public {
        IPaymentManager.Parameters memory parameters = _paymentParameters();
        parameters.rewardShareBps = 0;
        payments.setParameters(parameters);
        delegations.setDelegated(NODE, true);
        vm.mockCallRevert(
            address(delegations),
            abi.encodeWithSelector(IDelegationRewards.addDelegationReward.selector),
            ""
        );
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        payments.settleJob(jobId);
        vm.assertEq(_withdrawable(OWNER), uint256(PRICE) * 95 / 100);
    }

    function test_what_owes_nothing_settles_to_nothing() public {
        uint256 free = _runningJob(NODE, OPERATOR);
        uint256 unassigned = _order(CUSTOMER, address(aleph), PRICE);
        uint256 running = _paidJob();
        _prove(free, 1 hours);
        uint256[] memory jobIds = new uint256[](4);
        (jobIds[0], jobIds[1], jobIds[2], jobIds[3]) = (unassigned, running, 99, 0);
        IPaymentManager.SettleResult[] memory results = payments.settleJobs(jobIds);
        for (uint256 i = 0; i < results.length; ++i) {
            _assertResult(results[i], IPaymentManager.SettleResult.NothingDue);
        }
        // A free job's time passes without a payment.
        vm.assertEq(payments.dueOf(free), 0);
        payments.settleJob(free);
        vm.assertEq(payments.getAccount(free).paid, 0);
        vm.assertEq(aleph.balanceOf(address(payments)), 0);
    }

    function test_time_before_a_stop_is_still_paid_after_it() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        _complete(jobId, OPERATOR);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertEq(payments.getAccount(jobId).paid, 100 * PER_SECOND);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.NothingDue);
        vm.assertEq(payments.getAccount(jobId).segment, 1);
    }

    // Targets.

    function test_a_job_is_settled_up_to_a_target() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 10 hours);
        _assertUpTo(jobId, 1, 1, IPaymentManager.SettleResult.Settled);
        _assertUpTo(jobId, 1, 1, IPaymentManager.SettleResult.NothingDue);
        _assertUpTo(jobId, 0, 1, IPaymentManager.SettleResult.NothingDue);
        _assertUpTo(jobId, 4 hours, 4 hours, IPaymentManager.SettleResult.Settled);
        _assertUpTo(jobId, 11 hours, 10 hours, IPaymentManager.SettleResult.Settled);
        _assertUpTo(jobId, 11 hours, 10 hours, IPaymentManager.SettleResult.NothingDue);
    }

    function test_targets_count_over_segments() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.warp(block.timestamp + 2 hours);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _prove(jobId, OTHER_OPERATOR, 100);

        _assertUpTo(jobId, 60, 60, IPaymentManager.SettleResult.Settled);
        vm.assertEq(payments.getAccount(jobId).segment, 0);
        _assertUpTo(jobId, 150, 150, IPaymentManager.SettleResult.Settled);
        IPaymentManager.Account memory account = payments.getAccount(jobId);
        vm.assertEq(account.segment, 1);
        vm.assertEq(account.segmentStart, 100);
        vm.assertEq(account.paid, 150 * PER_SECOND);
        vm.assertEq(payments.dueOf(jobId), 50 * PER_SECOND);
        vm.assertEq(_withdrawable(OWNER), 100 * PER_SECOND * 95 / 100);
        vm.assertEq(_withdrawable(OTHER_OWNER), 50 * PER_SECOND * 95 / 100);
    }

    // Grace.

    function test_a_refused_payment_starts_a_grace_and_then_stops_the_job() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        _allow(aleph, CUSTOMER, 0);
        uint64 until = uint64(block.timestamp) + GRACE_S;

        vm.expectEmit(address(payments));
        emit IPaymentManager.JobPaymentRefused(jobId, _noAllowance(PRICE));
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobGraceStarted(jobId, until);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        vm.assertEq(payments.getAccount(jobId).graceUntil, until);
        vm.assertEq(payments.getAccount(jobId).settledSeconds, 0);

        // A second refusal changes nothing.
        vm.warp(until - 1);
        vm.recordLogs();
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        vm.assertEq(vm.getRecordedLogs().length, 1);
        _assertStatus(jobId, IJobManager.JobStatus.Running);

        vm.warp(until);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobStoppedUnpaid(jobId);
        vm.expectEmit(address(jobs));
        emit IJobManager.JobStopRequested(jobId);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Stopped);
        _assertStatus(jobId, IJobManager.JobStatus.Stopping);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        _complete(jobId, OPERATOR);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);

        // The debt stays, and can be paid.
        _allow(aleph, CUSTOMER, PRICE);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertEq(payments.getAccount(jobId).graceUntil, 0);
    }

    function test_paying_in_full_ends_the_grace() public {
        uint256 jobId = _jobInGrace();
        _allow(aleph, CUSTOMER, type(uint256).max);

        // A part does not.
        payments.settleJobUpTo(jobId, 1);
        vm.assertTrue(payments.getAccount(jobId).graceUntil != 0);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobGraceEnded(jobId);
        payments.settleJob(jobId);
        vm.assertEq(payments.getAccount(jobId).graceUntil, 0);

        // The next refusal starts a grace of its own.
        vm.warp(block.timestamp + 2 * GRACE_S);
        _prove(jobId, 1 hours + 1);
        _allow(aleph, CUSTOMER, 0);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        vm.assertEq(payments.getAccount(jobId).graceUntil, block.timestamp + GRACE_S);
    }

    function test_after_the_grace_a_payment_still_saves_the_job() public {
        uint256 jobId = _jobInGrace();
        vm.warp(block.timestamp + GRACE_S);
        _allow(aleph, CUSTOMER, type(uint256).max);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        _assertStatus(jobId, IJobManager.JobStatus.Running);
    }

    function test_an_empty_balance_is_a_refusal_too() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        vm.startPrank(CUSTOMER);
        aleph.transfer(OWNER, aleph.balanceOf(CUSTOMER));
        vm.stopPrank();
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobPaymentRefused(
            jobId,
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientBalance.selector, CUSTOMER, 0, PRICE
            )
        );
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
    }

    function test_a_job_that_waits_for_its_second_node_is_stopped_for_old_debts() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.warp(block.timestamp + 2 hours);
        vm.prank(SCHEDULER);
        jobs.reassignJob(jobId, OTHER_NODE);
        _allow(aleph, CUSTOMER, 0);
        payments.settleJob(jobId);
        vm.warp(block.timestamp + GRACE_S);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Stopped);
        _assertStatus(jobId, IJobManager.JobStatus.Stopping);
    }

    function test_earlier_segments_stay_paid_when_a_later_one_is_refused() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 100);
        vm.warp(block.timestamp + 2 hours);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _prove(jobId, OTHER_OPERATOR, 100);
        _allow(aleph, CUSTOMER, 150 * PER_SECOND);

        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        vm.assertEq(payments.getAccount(jobId).settledSeconds, 100);
        vm.assertEq(_withdrawable(OWNER), 100 * PER_SECOND * 95 / 100);
        vm.assertEq(_withdrawable(OTHER_OWNER), 0);
        vm.assertEq(aleph.balanceOf(CUSTOMER), 10_000_000 ether - 100 * PER_SECOND);
    }

    // Batches.

    function test_a_batch_says_what_each_item_came_to() public {
        _approve(aleph, STRANGER, 1000 ether);
        uint256 good = _paidJob();
        uint256 broke = _paidJob(STRANGER, address(aleph), PRICE);
        uint256 another = _paidJob();
        _prove(good, 1 hours);
        uint256[] memory both = new uint256[](2);
        (both[0], both[1]) = (broke, another);
        vm.prank(OPERATOR);
        jobs.heartbeat(both);
        _allow(aleph, STRANGER, 0);

        uint256[] memory jobIds = new uint256[](4);
        (jobIds[0], jobIds[1], jobIds[2], jobIds[3]) = (good, broke, 99, another);
        IPaymentManager.SettleResult[] memory results = payments.settleJobs(jobIds);
        _assertResult(results[0], IPaymentManager.SettleResult.Settled);
        _assertResult(results[1], IPaymentManager.SettleResult.Refused);
        _assertResult(results[2], IPaymentManager.SettleResult.NothingDue);
        _assertResult(results[3], IPaymentManager.SettleResult.Settled);

        vm.warp(block.timestamp + GRACE_S);
        _assertResult(payments.settleJobs(jobIds)[1], IPaymentManager.SettleResult.Stopped);
    }

    function test_a_batch_is_bounded() public {
        vm.assertEq(payments.settleJobs(new uint256[](64)).length, 64);
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.TooManyJobs.selector, 65, 64));
        payments.settleJobs(new uint256[](65));
    }

    /// @dev Who settles cannot make a good payment fail by giving it too little gas.
    function test_too_little_gas_is_no_refusal() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        bytes memory data = abi.encodeCall(IPaymentManager.settleJob, (jobId));
        bool settled;
        for (uint256 gas = 50_000; !settled; gas += 50_000) {
            (bool succeeded, bytes memory answer) = address(payments).call{gas: gas}(data);
            if (succeeded) {
                _assertResult(
                    abi.decode(answer, (IPaymentManager.SettleResult)),
                    IPaymentManager.SettleResult.Settled
                );
                settled = true;
                continue;
            }
            // Out of gas before there was anything to decide, or this.
            vm.assertTrue(answer.length == 0 || bytes4(answer) == BoundedCall.NotEnoughGas.selector);
            vm.assertEq(payments.getAccount(jobId).graceUntil, 0);
            vm.assertLe(gas, 3_000_000);
        }
    }

    function test_a_slice_is_paid_by_the_contract_itself_only() public {
        IPaymentManager.Slice memory slice;
        (slice.jobId, slice.customer, slice.token) = (1, CUSTOMER, address(aleph));
        (slice.owner, slice.untilSeconds, slice.amount) = (STRANGER, 1, 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.NotSelf.selector, STRANGER));
        vm.prank(STRANGER);
        payments.paySlice(slice);
    }

    /// @dev However a job is settled, what is paid is what is owed, to the unit.
    function testFuzz_settling_in_steps(uint128 price, uint32[6] calldata targets) public {
        price = uint128(1 + price % 1e24);
        uint256 jobId = _paidJob(CUSTOMER, address(aleph), price);
        _prove(jobId, 5 hours);
        uint64 settled;
        for (uint256 i = 0; i < targets.length; ++i) {
            uint64 target = targets[i] % 6 hours;
            payments.settleJobUpTo(jobId, target);
            if (target > settled) settled = target < 5 hours ? target : 5 hours;
            vm.assertEq(payments.getAccount(jobId).paid, Settlement.owed(price, settled));
        }
        payments.settleJob(jobId);
        vm.assertEq(payments.getAccount(jobId).paid, Settlement.owed(price, 5 hours));
        vm.assertEq(_withdrawable(OWNER) + _withdrawable(TREASURY), Settlement.owed(price, 5 hours));
        _assertSolvent(aleph);
    }

    function _jobInGrace() private returns (uint256 jobId) {
        jobId = _paidJob();
        _prove(jobId, 1 hours);
        _allow(aleph, CUSTOMER, 0);
        payments.settleJob(jobId);
        vm.assertTrue(payments.getAccount(jobId).graceUntil != 0);
    }

    function _assertUpTo(
        uint256 jobId,
        uint64 target,
        uint64 settled,
        IPaymentManager.SettleResult result
    ) private {
        _assertResult(payments.settleJobUpTo(jobId, target), result);
        vm.assertEq(payments.getAccount(jobId).settledSeconds, settled);
        vm.assertEq(payments.getAccount(jobId).paid, settled * PER_SECOND);
    }

    function _noAllowance(uint256 amount) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IERC20Errors.ERC20InsufficientAllowance.selector, address(payments), 0, amount
        );
    }
}

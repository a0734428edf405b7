// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev Somebody orders many jobs and revokes the allowance, so that whoever settles them with the
/// jobs of others fails. A failed item is a few events and the others are paid.
contract FailingBatchItemsAttack is PaymentFixture {
    address private constant ATTACKER = address(0xBAD);

    function test_62_bad_items_do_not_keep_two_good_ones_from_being_paid() public {
        _approve(aleph, ATTACKER, 1000 ether);
        uint256[] memory jobIds = new uint256[](64);
        for (uint256 i = 0; i < 64; ++i) {
            jobIds[i] = _paidJob(i == 0 || i == 63 ? CUSTOMER : ATTACKER, address(aleph), PRICE);
        }
        vm.warp(block.timestamp + 1 hours);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        _allow(aleph, ATTACKER, 0);

        _assertBatch(
            jobIds, IPaymentManager.SettleResult.Settled, IPaymentManager.SettleResult.Refused
        );
        vm.assertEq(payments.getAccount(jobIds[0]).paid, PRICE);
        vm.assertEq(payments.getAccount(jobIds[63]).paid, PRICE);

        // After the grace all of them are stopped in one batch, still within a block.
        vm.warp(block.timestamp + GRACE_S);
        uint256 gasBefore = gasleft();
        _assertBatch(
            jobIds, IPaymentManager.SettleResult.NothingDue, IPaymentManager.SettleResult.Stopped
        );
        vm.assertLe(gasBefore - gasleft(), 16_000_000);
        _assertStatus(jobIds[0], IJobManager.JobStatus.Running);
        _assertStatus(jobIds[1], IJobManager.JobStatus.Stopping);
    }

    function test_an_item_twice_in_a_batch_is_paid_once() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        uint256[] memory jobIds = new uint256[](2);
        (jobIds[0], jobIds[1]) = (jobId, jobId);
        IPaymentManager.SettleResult[] memory results = payments.settleJobs(jobIds);
        _assertResult(results[0], IPaymentManager.SettleResult.Settled);
        _assertResult(results[1], IPaymentManager.SettleResult.NothingDue);
        vm.assertEq(payments.getAccount(jobId).paid, PRICE);
    }

    function _assertBatch(
        uint256[] memory jobIds,
        IPaymentManager.SettleResult good,
        IPaymentManager.SettleResult bad
    ) private {
        IPaymentManager.SettleResult[] memory results = payments.settleJobs(jobIds);
        for (uint256 i = 0; i < jobIds.length; ++i) {
            _assertResult(results[i], i == 0 || i == 63 ? good : bad);
        }
    }
}

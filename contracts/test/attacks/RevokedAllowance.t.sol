// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev A customer orders, revokes, and lets the node work for nothing. It costs the node the grace
/// at most, and no other job anything.
contract RevokedAllowanceAttack is PaymentFixture {
    function test_other_jobs_of_the_node_are_paid() public {
        _approve(aleph, STRANGER, 100 ether);
        uint256 bad = _paidJob(STRANGER, address(aleph), PRICE);
        uint256 good = _paidJob();
        uint256[] memory jobIds = new uint256[](2);
        (jobIds[0], jobIds[1]) = (bad, good);
        vm.warp(block.timestamp + 1 hours);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        _allow(aleph, STRANGER, 0);

        payments.settleJobs(jobIds);
        vm.assertEq(_withdrawable(OWNER), uint256(PRICE) * 95 / 100);
        vm.prank(OWNER);
        payments.withdraw(address(aleph));

        vm.warp(block.timestamp + GRACE_S);
        payments.settleJobs(jobIds);
        _assertStatus(bad, IJobManager.JobStatus.Stopping);
        _assertStatus(good, IJobManager.JobStatus.Running);
    }

    /// @dev Paying a little now and then does not keep a job alive.
    function test_a_trickle_does_not_extend_the_grace() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 10 hours);
        _allow(aleph, CUSTOMER, 0);
        payments.settleJob(jobId);
        uint64 until = payments.getAccount(jobId).graceUntil;

        for (uint64 i = 1; i <= 4; ++i) {
            vm.warp(block.timestamp + GRACE_S / 5);
            _allow(aleph, CUSTOMER, PRICE);
            _assertResult(
                payments.settleJobUpTo(jobId, i * 1 hours), IPaymentManager.SettleResult.Settled
            );
            vm.assertEq(payments.getAccount(jobId).graceUntil, until);
        }
        vm.warp(until);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Stopped);
    }
}

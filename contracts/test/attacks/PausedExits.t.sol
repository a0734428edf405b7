// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev Whoever holds the pause cannot hold anybody's money or machine: all contracts are paused,
/// and everything that was taken in still gets out.
contract PausedExitsAttack is PaymentFixture {
    function test_everything_that_is_in_gets_out() public {
        _approve(aleph, BUYER, 100 ether);
        vm.prank(MARKETPLACE);
        payments.collectSale(address(aleph), BUYER, SELLER, 100 ether);
        uint256 open = _order(CUSTOMER, address(aleph), PRICE);
        uint256 running = _paidJob();
        uint256 moved = _paidJob();
        uint256 dead = _paidJob();
        _prove(running, 1 hours);
        registry.pause();
        jobs.pause();
        payments.pause();

        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _order(CUSTOMER, address(aleph), PRICE);

        // Jobs.
        _prove(running, 1 hours);
        vm.prank(CUSTOMER);
        jobs.stopJob(open);
        vm.prank(CUSTOMER);
        jobs.stopJob(running);
        _complete(running, OPERATOR);
        _reassign(moved, OTHER_NODE, OTHER_OPERATOR);
        _complete(moved, OTHER_OPERATOR);
        vm.warp(block.timestamp + 1 days);
        jobs.expireJob(dead);
        _assertStatus(dead, IJobManager.JobStatus.Failed);

        // Money.
        _assertResult(
            payments.settleJobUpTo(running, 1 hours), IPaymentManager.SettleResult.Settled
        );
        vm.prank(SLA_MANAGER);
        payments.credit(running, 1);
        vm.prank(CUSTOMER);
        payments.agreeFinal(running, PRICE / 2);
        vm.prank(OWNER);
        payments.agreeFinal(running, PRICE / 2);
        vm.prank(MARKETPLACE);
        payments.refundSale(address(aleph), BUYER, SELLER, 10 ether);
        address[4] memory people = [OWNER, TREASURY, SELLER, BUYER];
        for (uint256 i = 0; i < people.length; ++i) {
            vm.prank(people[i]);
            payments.withdraw(address(aleph));
        }
        vm.assertEq(aleph.balanceOf(address(payments)), 0);
        vm.assertEq(payments.totalWithdrawable(address(aleph)), 0);
    }

    function test_an_unpaid_job_is_stopped_while_paused() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        _allow(aleph, CUSTOMER, 0);
        jobs.pause();
        payments.pause();
        payments.settleJob(jobId);
        vm.warp(block.timestamp + GRACE_S);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Stopped);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev A node dies and its job goes to another one. The customer does not pay for the gap, the old
/// node is paid for what it proved, whoever wakes up or owns it later.
contract ReassignedJobAttack is PaymentFixture {
    uint256 private constant PER_SECOND = 0.001 ether;

    function test_the_gap_is_nobodys_and_each_node_gets_its_own() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1000);
        vm.warp(block.timestamp + 5 hours);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _prove(jobId, OTHER_OPERATOR, 500);
        _complete(jobId, OTHER_OPERATOR);

        uint256 before = aleph.balanceOf(CUSTOMER);
        payments.settleJob(jobId);
        vm.assertEq(before - aleph.balanceOf(CUSTOMER), 1500 * PER_SECOND);
        vm.assertEq(_withdrawable(OWNER), 1000 * PER_SECOND * 95 / 100);
        vm.assertEq(_withdrawable(OTHER_OWNER), 500 * PER_SECOND * 95 / 100);
    }

    function test_the_old_node_cannot_go_on_proving() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1000);
        vm.warp(block.timestamp + 5 hours);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _prove(jobId, OPERATOR, 1000);
        vm.expectRevert();
        _complete(jobId, OPERATOR);
        payments.settleJob(jobId);
        vm.assertEq(payments.getAccount(jobId).paid, 1000 * PER_SECOND);
    }

    /// @dev Hardware changes hands before anyone settles: who owned it then is paid.
    function test_a_later_owner_of_the_node_gets_nothing_of_it() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1000);
        vm.startPrank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        registry.deregisterNode(NODE);
        vm.stopPrank();
        _register(NODE, STRANGER, address(0xE2));

        payments.settleJob(jobId);
        vm.assertEq(_withdrawable(OWNER), 1000 * PER_SECOND * 95 / 100);
        vm.assertEq(_withdrawable(STRANGER), 0);
    }

    /// @dev Nobody saves on the old node's time by revoking once it is dead: the job stops.
    function test_the_old_nodes_time_is_owed_like_any_other() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1000);
        vm.warp(block.timestamp + 5 hours);
        _reassign(jobId, OTHER_NODE, OTHER_OPERATOR);
        _allow(aleph, CUSTOMER, 0);
        payments.settleJob(jobId);
        vm.warp(block.timestamp + GRACE_S);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Stopped);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {SLAFixture} from "../base/SLAFixture.sol";

/// @dev An owner disputes what is true, to pay later or never; others keep one from disputing.
contract DisputeGriefingAttack is SLAFixture {
    /// @dev Each dispute costs a bond, which is the customer's, and the penalty comes anyway.
    function test_disputing_everything_costs_more() public {
        uint256 id = _attached();
        uint256 before = aleph.balanceOf(OWNER);
        for (uint32 period = 0; period < 3; ++period) {
            _skip(PERIOD_S);
            _report(id, period, 0, QUORUM);
            vm.prank(OWNER);
            slas.disputeViolation(id, period, EVIDENCE);
            _resolve(id, period, true);
            slas.applyPenalty(id, period);
        }
        vm.assertEq(before - aleph.balanceOf(OWNER), 3 * BOND);
        vm.assertEq(slas.withdrawable(CUSTOMER), 3 * BOND);
        vm.assertEq(staking.slashedOf(OWNER), 3 * SLASH);
    }

    /// @dev From a report to its end it is never longer than the windows say.
    function test_a_dispute_delays_no_longer_than_its_windows() public {
        uint256 id = _reported();
        uint256 reportedAt = block.timestamp;
        _skip(DISPUTE_WINDOW_S);
        vm.prank(OWNER);
        slas.disputeViolation(id, 0, EVIDENCE);
        _skip(RESOLUTION_WINDOW_S);
        _resolve(id, 0, true);
        slas.applyPenalty(id, 0);
        vm.assertLe(block.timestamp - reportedAt, DISPUTE_WINDOW_S + RESOLUTION_WINDOW_S);
    }

    function test_without_the_bond_there_is_no_dispute() public {
        uint256 id = _reported();
        vm.startPrank(OWNER);
        aleph.transfer(STRANGER, aleph.balanceOf(OWNER));
        (bool succeeded,) =
            address(slas).call(abi.encodeCall(slas.disputeViolation, (id, 0, EVIDENCE)));
        vm.assertFalse(succeeded);
        vm.stopPrank();
        _assertStatus(id, 0, ISLAManager.ViolationStatus.Reported);
    }

    /// @dev The customer has reason to: a dispute of its own would use the only one up.
    function test_nobody_else_uses_the_owners_dispute_up() public {
        uint256 id = _reported();
        address[3] memory others = [CUSTOMER, STRANGER, COMMITTEE];
        for (uint256 i = 0; i < others.length; ++i) {
            _fund(others[i]);
            vm.expectRevert(abi.encodeWithSelector(ISLAManager.NotAccused.selector, others[i]));
            vm.prank(others[i]);
            slas.disputeViolation(id, 0, EVIDENCE);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {SLAFixture} from "../base/SLAFixture.sol";

/// @dev One outage is made to cost twice.
contract DoublePenaltyAttack is SLAFixture {
    function test_a_period_is_reported_once() public {
        uint256 id = _reported();
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Reported));
        _report(id, 0, QUORUM, QUORUM + 1);
        // Not with another measurement either, in any later state.
        for (uint256 i = 0; i < QUORUM + 1; ++i) {
            vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Reported));
            vm.prank(_witness(i));
            slas.reportViolation(id, 0, DOWNTIME_S + 1, EVIDENCE);
        }
        _skip(DISPUTE_WINDOW_S + 1);
        slas.applyPenalty(id, 0);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Applied));
        vm.prank(_witness(0));
        slas.reportViolation(id, 0, DOWNTIME_S + 1, EVIDENCE);
    }

    function test_a_penalty_is_applied_once() public {
        uint256 id = _reported();
        _skip(DISPUTE_WINDOW_S + 1);
        slas.applyPenalty(id, 0);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Applied));
        slas.applyPenalty(id, 0);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Applied));
        slas.closeViolation(id, 0);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Applied));
        vm.prank(OWNER);
        slas.disputeViolation(id, 0, EVIDENCE);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Applied));
        _resolve(id, 0, true);
        vm.assertEq(payments.credited(JOB), CREDIT);
        vm.assertEq(staking.slashedOf(OWNER), SLASH);
    }

    function test_a_bond_is_given_once() public {
        uint256 id = _disputed();
        _resolve(id, 0, true);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Upheld));
        _resolve(id, 0, true);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Upheld));
        _resolve(id, 0, false);
        _skip(APPLY_WINDOW_S + 1);
        slas.closeViolation(id, 0);
        vm.assertEq(slas.withdrawable(CUSTOMER) + slas.withdrawable(OWNER), BOND);
    }

    /// @dev A job has one agreement on a node, so no second one counts the same downtime.
    function test_a_job_has_no_second_agreement() public {
        uint256 id = _reported();
        uint256 slaId = slas.defineSla(_terms());
        vm.expectRevert(abi.encodeWithSelector(ISLAManager.AlreadyAttached.selector, id));
        vm.prank(OWNER);
        slas.attachSla(JOB, slaId);
    }
}

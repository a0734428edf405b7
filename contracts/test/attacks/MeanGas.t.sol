// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {SLAFixture} from "../base/SLAFixture.sol";
import {CreditsDouble} from "../base/ServiceDoubles.sol";

/// @dev The owner applies its own penalty with just so much gas that the slash fails and the rest
/// does not, to be rid of it; or one of the contracts that a penalty needs is out of service.
contract MeanGasAttack is SLAFixture {
    function testFuzz_a_penalty_comes_whole_or_not_at_all(uint256 gas) public {
        uint256 id = _reported();
        _skip(DISPUTE_WINDOW_S + 1);
        gas = 30_000 + gas % 400_000;
        vm.prank(OWNER);
        (bool succeeded,) = address(slas).call{gas: gas}(abi.encodeCall(slas.applyPenalty, (id, 0)));
        if (succeeded) {
            _assertStatus(id, 0, ISLAManager.ViolationStatus.Applied);
            vm.assertEq(payments.credited(JOB), CREDIT);
            vm.assertEq(staking.slashedOf(OWNER), SLASH);
        } else {
            _assertStatus(id, 0, ISLAManager.ViolationStatus.Reported);
            vm.assertEq(payments.credited(JOB), 0);
            vm.assertEq(staking.slashedOf(OWNER), 0);
        }
    }

    function test_what_cannot_be_applied_waits_and_then_lapses() public {
        uint256 id = _reported();
        _skip(DISPUTE_WINDOW_S + 1);
        payments.setFails(true);
        uint256 state = vm.snapshotState();
        vm.expectRevert(CreditsDouble.OutOfService.selector);
        slas.applyPenalty(id, 0);
        payments.setFails(false);
        slas.applyPenalty(id, 0);
        vm.revertToState(state);

        _skip(APPLY_WINDOW_S);
        slas.closeViolation(id, 0);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.Lapsed);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {SLAFixture} from "../base/SLAFixture.sol";

/// @dev An owner with little stake and many delegators rents from itself on the harshest terms,
/// stops the machine, and as the customer gets a part of what the delegators lose.
contract DelegatorsPayAttack is SLAFixture {
    function test_delegators_do_not_pay_for_an_agreement() public {
        staking.setStake(NODE, OWNER, 10 ether, 0);
        staking.setDelegated(NODE, 1_000_000 ether);
        ISLAManager.Terms memory terms = _terms();
        (terms.slashAmount, terms.customerBps) = (1000 ether, 5000);
        for (uint256 jobId = 100; jobId < 110; ++jobId) {
            _place(jobId, NODE, OWNER);
            _attach(jobId, terms);
        }
        _skip(PERIOD_S);
        for (uint256 id = 1; id <= 10; ++id) {
            _report(id, 0, 0, QUORUM);
        }
        _skip(DISPUTE_WINDOW_S + 1);
        for (uint256 id = 1; id <= 10; ++id) {
            slas.applyPenalty(id, 0);
        }
        vm.assertEq(staking.delegated(NODE), 1_000_000 ether);
        vm.assertEq(staking.slashedOf(OWNER), 10 ether);
    }
}

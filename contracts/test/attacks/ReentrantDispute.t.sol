// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {vm} from "../../script/Vm.sol";
import {SLAManager} from "../../src/SLAManager.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {ExactTransfer} from "../../src/libraries/ExactTransfer.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {SLAFixture} from "../base/SLAFixture.sol";
import {CallbackToken, PlayToken} from "../base/ServiceDoubles.sol";

/// @dev ALEPH itself calls back, or keeps a part, while a bond moves.
contract ReentrantDisputeAttack is SLAFixture {
    CallbackToken private malicious;

    function setUp() public override {
        super.setUp();
        malicious = new CallbackToken();
        ISLAManager.Contracts memory contracts = _contracts();
        contracts.token = malicious;
        slas = SLAManager(
            _proxy(
                address(new SLAManager()),
                abi.encodeCall(SLAManager.initialize, (address(this), contracts, _parameters()))
            )
        );
        slas.grantRole(Roles.SLASHER, COMMITTEE);
        for (uint256 i = 0; i < QUORUM; ++i) {
            slas.grantRole(Roles.WITNESS, _witness(i));
        }
        aleph = PlayToken(malicious);
        _fund(OWNER);
    }

    function test_a_withdrawal_is_not_entered_again() public {
        uint256 id = _disputed();
        _resolve(id, 0, false);
        // Somebody else's bond is in there as well.
        malicious.mint(address(slas), BOND);
        malicious.callBack(address(slas), abi.encodeCall(slas.withdraw, ()));
        vm.prank(OWNER);
        slas.withdraw();
        vm.assertFalse(malicious.succeeded());
        vm.assertEq(
            malicious.answer(),
            abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
        vm.assertEq(malicious.balanceOf(address(slas)), BOND);
    }

    function test_a_bond_arrives_whole() public {
        uint256 id = _reported();
        // What arrives is sent on before it is measured.
        malicious.callBack(address(this), abi.encodeCall(this.burnOne, ()));
        vm.expectRevert(
            abi.encodeWithSelector(ExactTransfer.UnexpectedAmountReceived.selector, BOND, BOND - 1)
        );
        vm.prank(OWNER);
        slas.disputeViolation(id, 0, EVIDENCE);
    }

    function burnOne() external {
        malicious.callBack(address(0), "");
        vm.prank(address(slas));
        malicious.transfer(STRANGER, 1);
    }
}

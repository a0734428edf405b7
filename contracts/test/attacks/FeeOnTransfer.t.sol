// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {ExactTransfer} from "../../src/libraries/ExactTransfer.sol";
import {ExtraFeeToken, FeeOnTransferToken, HostileToken} from "../base/HostileTokens.sol";
import {UniswapFixture} from "../base/Uniswap.sol";

/// @dev A token that was allowed begins to take a fee: from what arrives, or from the contract's
/// balance, which is others'. Both are seen, refused, and cost nobody anything.
contract FeeOnTransferAttack is UniswapFixture {
    function test_a_fee_on_what_arrives_is_refused() public {
        FeeOnTransferToken token;
        do {
            token = new FeeOnTransferToken();
        } while (address(token) > address(aleph));
        uint256 jobId = _job(token);
        token.setHostile(true);

        vm.expectEmit(address(payments));
        emit IPaymentManager.JobPaymentRefused(
            jobId,
            abi.encodeWithSelector(
                ExactTransfer.UnexpectedAmountReceived.selector, 100 ether, 99 ether
            )
        );
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        vm.assertEq(token.balanceOf(CUSTOMER), 1e6 ether);

        vm.expectRevert(
            abi.encodeWithSelector(
                ExactTransfer.UnexpectedAmountReceived.selector, 100 ether, 99 ether
            )
        );
        vm.prank(MARKETPLACE);
        payments.collectSale(address(token), CUSTOMER, SELLER, 100 ether);
    }

    function test_a_fee_on_top_of_what_leaves_is_refused() public {
        ExtraFeeToken token;
        do {
            token = new ExtraFeeToken(address(payments));
        } while (address(token) > address(aleph));
        uint256 jobId = _job(token);
        // Somebody's balance that the fee would come from.
        vm.prank(MARKETPLACE);
        payments.collectSale(address(token), CUSTOMER, SELLER, 1000 ether);
        token.setHostile(true);

        vm.expectEmit(address(payments));
        emit IPaymentManager.JobPaymentRefused(
            jobId,
            abi.encodeWithSelector(
                IPaymentManager.UnexpectedAmountSwapped.selector, 100 ether, 101 ether
            )
        );
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        _assertSolvent(token);
    }

    function _job(HostileToken token) private returns (uint256 jobId) {
        _remember(_pool(token, 1e6 ether, 5e6 ether));
        payments.setPool(address(token), factory.getPool(address(token), address(aleph), FEE_PIPS));
        payments.addAllowedToken(address(token));
        _approve(token, CUSTOMER, 1e6 ether);
        jobId = _paidJob(CUSTOMER, address(token), 100 ether);
        _prove(jobId, 1 hours);
    }
}

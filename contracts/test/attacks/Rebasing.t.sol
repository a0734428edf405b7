// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {RebasingToken} from "../base/HostileTokens.sol";
import {UniswapFixture} from "../base/Uniswap.sol";

/// @dev A token takes away from all balances. What was sold in it is short, so nobody new is made
/// to share the loss; jobs are not touched, since their payments become ALEPH at once.
contract RebasingAttack is UniswapFixture {
    function test_a_shrunken_token_is_taken_in_no_more() public {
        RebasingToken token;
        do {
            token = new RebasingToken();
        } while (address(token) > address(aleph));
        _remember(_pool(token, 1e6 ether, 5e6 ether));
        payments.setPool(address(token), factory.getPool(address(token), address(aleph), FEE_PIPS));
        payments.addAllowedToken(address(token));
        _approve(token, CUSTOMER, 1e6 ether);
        uint256 jobId = _paidJob(CUSTOMER, address(token), 100 ether);
        _prove(jobId, 1 hours);
        payments.settleJob(jobId);
        vm.prank(MARKETPLACE);
        payments.collectSale(address(token), CUSTOMER, SELLER, 1000 ether);

        token.rebase(90);
        // What is moved is measured in what the token says now.
        vm.expectRevert();
        vm.prank(MARKETPLACE);
        payments.collectSale(address(token), CUSTOMER, SELLER, 100 ether);
        // ALEPH is all there, for everybody.
        _assertSolvent(aleph);
        uint256 owed = _withdrawable(OWNER);
        vm.prank(OWNER);
        vm.assertEq(payments.withdraw(address(aleph)), owed);
    }

    /// @dev A token that moves exact amounts, but whose balances have shrunk in between.
    function test_a_shortage_is_named() public {
        RebasingToken token;
        do {
            token = new RebasingToken();
        } while (address(token) > address(aleph));
        _remember(_pool(token, 1e6 ether, 5e6 ether));
        payments.setPool(address(token), factory.getPool(address(token), address(aleph), FEE_PIPS));
        payments.addAllowedToken(address(token));
        _approve(token, CUSTOMER, 1e6 ether);
        vm.startPrank(MARKETPLACE);
        payments.collectSale(address(token), CUSTOMER, SELLER, 1000 ether);
        token.seize(address(payments), 1 ether);

        vm.expectRevert(
            abi.encodeWithSelector(
                IPaymentManager.TokenBalanceShort.selector, address(token), 1099 ether, 1100 ether
            )
        );
        payments.collectSale(address(token), CUSTOMER, SELLER, 100 ether);
    }
}

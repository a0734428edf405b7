// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {vm} from "../../script/Vm.sol";
import {PaymentManager} from "../../src/PaymentManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {Bounds} from "../../src/libraries/Bounds.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev Payments for images, balances, and the rules.
contract SaleTest is PaymentFixture {
    function setUp() public override {
        super.setUp();
        _approve(aleph, BUYER, 1000 ether);
    }

    function test_a_sale_pays_the_seller_and_the_treasury() public {
        vm.expectEmit(address(payments));
        emit IPaymentManager.SaleCollected(address(aleph), BUYER, SELLER, 100 ether, 2.5 ether);
        _sell(100 ether);
        vm.assertEq(_withdrawable(SELLER), 97.5 ether);
        vm.assertEq(_withdrawable(TREASURY), 2.5 ether);
        vm.assertEq(aleph.balanceOf(BUYER), 900 ether);
        _assertSolvent(aleph);
    }

    function test_a_sale_needs_all_it_says() public {
        vm.startPrank(MARKETPLACE);
        vm.expectRevert(IPaymentManager.ZeroAddress.selector);
        payments.collectSale(address(aleph), BUYER, address(0), 1);
        vm.expectRevert(IPaymentManager.ZeroAmount.selector);
        payments.collectSale(address(aleph), BUYER, SELLER, 0);
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.TokenNotAllowed.selector, STRANGER));
        payments.collectSale(STRANGER, BUYER, SELLER, 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector,
                address(payments),
                1000 ether,
                1000 ether + 1
            )
        );
        payments.collectSale(address(aleph), BUYER, SELLER, 1000 ether + 1);
    }

    function test_aleph_can_be_taken_off_the_list_and_put_back() public {
        payments.removeAllowedToken(address(aleph));
        vm.expectRevert(
            abi.encodeWithSelector(IPaymentManager.TokenNotAllowed.selector, address(aleph))
        );
        _sell(1);
        vm.expectEmit(address(payments));
        emit IPaymentManager.TokenAllowed(address(aleph));
        payments.addAllowedToken(address(aleph));
        _sell(1);
    }

    function test_a_refund_reaches_as_far_as_the_sellers_balance() public {
        _sell(100 ether);
        vm.expectEmit(address(payments));
        emit IPaymentManager.SaleRefunded(address(aleph), BUYER, SELLER, 40 ether);
        vm.assertEq(_refund(40 ether), 40 ether);
        vm.assertEq(_withdrawable(SELLER), 57.5 ether);
        vm.assertEq(_withdrawable(BUYER), 40 ether);

        vm.assertEq(_refund(60 ether), 57.5 ether);
        vm.assertEq(_withdrawable(SELLER), 0);
        vm.recordLogs();
        vm.assertEq(_refund(1), 0);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        _assertSolvent(aleph);
    }

    function test_everyone_withdraws_their_own_and_all_of_it() public {
        _sell(100 ether);
        vm.expectEmit(address(payments));
        emit IPaymentManager.Withdrawn(address(aleph), SELLER, 97.5 ether);
        vm.prank(SELLER);
        vm.assertEq(payments.withdraw(address(aleph)), 97.5 ether);
        vm.assertEq(aleph.balanceOf(SELLER), 97.5 ether);
        vm.assertEq(payments.totalWithdrawable(address(aleph)), 2.5 ether);
        _assertSolvent(aleph);

        vm.expectRevert(
            abi.encodeWithSelector(
                IPaymentManager.NothingToWithdraw.selector, address(aleph), SELLER
            )
        );
        vm.prank(SELLER);
        payments.withdraw(address(aleph));
    }

    function test_a_pause_stops_sales() public {
        payments.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _sell(1);
        payments.unpause();
        _sell(1);
    }

    // The rules.

    function test_a_new_treasury_gets_what_comes_and_the_old_keeps_what_was() public {
        _sell(100 ether);
        IPaymentManager.Parameters memory parameters = _paymentParameters();
        parameters.treasury = STRANGER;
        payments.setParameters(parameters);
        _sell(100 ether);
        vm.assertEq(_withdrawable(TREASURY), 2.5 ether);
        vm.assertEq(_withdrawable(STRANGER), 2.5 ether);
    }

    function test_parameters_are_bounded() public {
        IPaymentManager.Parameters memory good = _paymentParameters();
        good.treasuryBps = 2000;
        good.rewardShareBps = 5000;
        good.saleFeeBps = 2000;
        good.maxSlippageBps = 1000;
        good.twapPeriod = 4 hours;
        good.gracePeriod = 30 days;
        vm.expectEmit(address(payments));
        emit IPaymentManager.ParametersSet(good);
        payments.setParameters(good);
        vm.assertEq(abi.encode(payments.getParameters()), abi.encode(good));

        good = IPaymentManager.Parameters(TREASURY, 0, 0, 0, 1, 60, 1);
        payments.setParameters(good);
        vm.assertEq(abi.encode(payments.getParameters()), abi.encode(good));

        good.treasury = address(0);
        vm.expectRevert(IPaymentManager.ZeroAddress.selector);
        payments.setParameters(good);
    }

    function test_no_parameter_leaves_its_bounds() public {
        IPaymentManager.Parameters memory bad = _paymentParameters();
        bad.treasuryBps = 2001;
        _expectBounds(bad, "treasuryBps", 2001, 0, 2000);
        bad = _paymentParameters();
        bad.rewardShareBps = 5001;
        _expectBounds(bad, "rewardShareBps", 5001, 0, 5000);
        bad = _paymentParameters();
        bad.saleFeeBps = 2001;
        _expectBounds(bad, "saleFeeBps", 2001, 0, 2000);
        bad = _paymentParameters();
        bad.maxSlippageBps = 0;
        _expectBounds(bad, "maxSlippageBps", 0, 1, 1000);
        bad.maxSlippageBps = 1001;
        _expectBounds(bad, "maxSlippageBps", 1001, 1, 1000);
        bad = _paymentParameters();
        bad.twapPeriod = 59;
        _expectBounds(bad, "twapPeriod", 59, 60, 4 hours);
        bad.twapPeriod = 4 hours + 1;
        _expectBounds(bad, "twapPeriod", 4 hours + 1, 60, 4 hours);
        bad = _paymentParameters();
        bad.gracePeriod = 0;
        _expectBounds(bad, "gracePeriod", 0, 1, 30 days);
        bad.gracePeriod = 30 days + 1;
        _expectBounds(bad, "gracePeriod", 30 days + 1, 1, 30 days);
    }

    function test_the_wiring_is_whole() public {
        IPaymentManager.Wiring memory wiring = payments.getWiring();
        vm.assertEq(wiring.aleph, address(aleph));
        vm.assertEq(wiring.jobs, address(jobs));
        vm.assertEq(wiring.delegations, address(delegations));
        vm.assertEq(wiring.router, address(0));
        vm.assertTrue(payments.isAllowedToken(address(aleph)));

        address implementation = address(new PaymentManager());
        for (uint256 i = 0; i < 3; ++i) {
            wiring = payments.getWiring();
            if (i == 0) wiring.aleph = address(0);
            if (i == 1) wiring.jobs = address(0);
            if (i == 2) wiring.delegations = address(0);
            bytes memory initialization = abi.encodeCall(
                PaymentManager.initialize, (address(this), wiring, _paymentParameters())
            );
            vm.expectRevert(IPaymentManager.ZeroAddress.selector);
            this.deploy(implementation, initialization);
        }
    }

    function test_without_a_router_there_are_no_pools() public {
        address pool = address(new FeeOnly());
        vm.expectRevert(IPaymentManager.ZeroAddress.selector);
        payments.setPool(STRANGER, pool);
    }

    function deploy(address implementation, bytes calldata initialization) external {
        _proxy(implementation, initialization);
    }

    function _sell(uint256 amount) private {
        vm.prank(MARKETPLACE);
        payments.collectSale(address(aleph), BUYER, SELLER, amount);
    }

    function _refund(uint256 amount) private returns (uint256) {
        vm.prank(MARKETPLACE);
        return payments.refundSale(address(aleph), BUYER, SELLER, amount);
    }

    function _expectBounds(
        IPaymentManager.Parameters memory bad,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        payments.setParameters(bad);
    }
}

/// @dev All that is asked of a pool before it is clear that there is no router.
contract FeeOnly {
    uint24 public constant fee = 3000;
}

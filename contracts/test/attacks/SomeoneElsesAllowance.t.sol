// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {PaymentFixture} from "../base/Payments.sol";

/// @dev The customer has approved the contract without limit. Nothing that anyone else does, not
/// even a node's operator and owner together, spends a unit of it beyond the customer's own jobs.
contract SomeoneElsesAllowanceAttack is PaymentFixture {
    uint256 private before;

    function setUp() public override {
        super.setUp();
        _allow(aleph, CUSTOMER, type(uint256).max);
        before = aleph.balanceOf(CUSTOMER);
    }

    function test_who_orders_pays() public {
        _approve(aleph, STRANGER, 100 ether);
        uint256 jobId = _paidJob(STRANGER, address(aleph), PRICE);
        _prove(jobId, 1 hours);
        payments.settleJob(jobId);
        vm.assertEq(aleph.balanceOf(CUSTOMER), before);
        vm.assertEq(aleph.balanceOf(STRANGER), 100 ether - PRICE);
    }

    function test_an_order_needs_ones_own_allowance() public {
        vm.expectRevert(abi.encodeWithSelector(IJobManager.NotFunded.selector, 0, 0, PRICE));
        _order(STRANGER, address(aleph), PRICE);
    }

    function test_a_made_up_slice_is_refused() public {
        IPaymentManager.Slice memory slice = IPaymentManager.Slice({
            jobId: 1,
            customer: CUSTOMER,
            token: address(aleph),
            nodeId: NODE,
            owner: STRANGER,
            untilSeconds: 1,
            amount: before,
            credited: 0
        });
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.NotSelf.selector, STRANGER));
        vm.prank(STRANGER);
        payments.paySlice(slice);
    }

    function test_a_sale_is_the_marketplaces_word_alone() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector,
                STRANGER,
                Roles.MARKETPLACE
            )
        );
        vm.prank(STRANGER);
        payments.collectSale(address(aleph), CUSTOMER, STRANGER, before);
    }

    function test_an_agreement_needs_the_customer() public {
        uint256 jobId = _paidJob();
        _prove(jobId, 1 hours);
        _complete(jobId, OPERATOR);
        vm.prank(OWNER);
        payments.agreeFinal(jobId, PRICE);
        vm.assertEq(aleph.balanceOf(CUSTOMER), before);
    }

    /// @dev A node cannot prove more time than passes, nor any after the stop.
    function test_a_node_takes_no_more_than_the_time_that_passed() public {
        uint256 jobId = _paidJob();
        uint256 start = block.timestamp;
        uint256[] memory jobIds = new uint256[](64);
        for (uint256 i = 0; i < 64; ++i) {
            jobIds[i] = jobId;
        }
        for (uint256 i = 0; i < 10; ++i) {
            vm.warp(block.timestamp + 60);
            vm.prank(OPERATOR);
            jobs.heartbeat(jobIds);
        }
        vm.prank(CUSTOMER);
        jobs.stopJob(jobId);
        uint256 stop = block.timestamp;
        for (uint256 i = 0; i < 10; ++i) {
            vm.warp(block.timestamp + 60);
            vm.prank(OPERATOR);
            jobs.heartbeat(jobIds);
        }
        _complete(jobId, OPERATOR);
        payments.settleJob(jobId);
        vm.assertEq(before - aleph.balanceOf(CUSTOMER), (stop - start) * PRICE / 3600);
    }
}

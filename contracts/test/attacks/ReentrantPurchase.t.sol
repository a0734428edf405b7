// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {vm} from "../../script/Vm.sol";
import {MarketFixture} from "../base/MarketFixture.sol";
import {CallbackToken} from "../base/ServiceDoubles.sol";

/// @dev A token that governance should never have allowed calls back while it moves.
contract ReentrantPurchaseAttack is MarketFixture {
    CallbackToken private malicious;
    uint256 private imageId;

    function setUp() public override {
        super.setUp();
        malicious = new CallbackToken();
        sales.setAllowed(address(malicious), true);
        malicious.mint(BUYER, 10 * PRICE);
        vm.prank(BUYER);
        malicious.approve(address(sales), type(uint256).max);
        vm.prank(PUBLISHER);
        imageId = market.publishImage(CID, LICENCE, address(malicious), PRICE, _royalties());
    }

    function test_a_purchase_is_not_entered_again() public {
        malicious.callBack(
            address(market), abi.encodeCall(market.purchase, (imageId, address(malicious), PRICE))
        );
        vm.prank(BUYER);
        market.purchase(imageId, address(malicious), PRICE);
        _assertRefused();
        vm.assertEq(malicious.balanceOf(BUYER), 9 * PRICE);
        vm.assertFalse(market.hasLicence(imageId, address(malicious)));
    }

    function test_a_refund_is_not_entered_from_a_purchase() public {
        malicious.callBack(address(market), abi.encodeCall(market.claimRefund, (imageId)));
        vm.prank(BUYER);
        market.purchase(imageId, address(malicious), PRICE);
        _assertRefused();
    }

    /// @dev What is open during a purchase does no harm: the price is read by then.
    function test_a_price_set_during_a_purchase_comes_too_late() public {
        vm.prank(address(malicious));
        uint256 own = market.publishImage(CID, LICENCE, address(malicious), PRICE, _royalties());
        malicious.callBack(
            address(market), abi.encodeCall(market.setPrice, (own, address(malicious), 5 * PRICE))
        );
        vm.prank(BUYER);
        market.purchase(own, address(malicious), PRICE);
        vm.assertTrue(malicious.succeeded());
        vm.assertEq(malicious.balanceOf(BUYER), 9 * PRICE);
    }

    function _assertRefused() private view {
        vm.assertFalse(malicious.succeeded());
        vm.assertEq(
            malicious.answer(),
            abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
    }
}

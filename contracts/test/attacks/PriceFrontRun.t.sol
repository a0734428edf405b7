// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IImageMarketplace} from "../../src/interfaces/IImageMarketplace.sol";
import {MarketFixture} from "../base/MarketFixture.sol";
import {PlayToken} from "../base/ServiceDoubles.sol";

/// @dev A publisher sees a purchase in the mempool and changes what it costs.
contract PriceFrontRunAttack is MarketFixture {
    function test_a_higher_price_is_refused() public {
        uint256 imageId = _published();
        vm.prank(PUBLISHER);
        market.setPrice(imageId, address(token), type(uint128).max);
        vm.expectRevert(
            abi.encodeWithSelector(
                IImageMarketplace.PriceChanged.selector, address(token), type(uint128).max
            )
        );
        _purchase(imageId, BUYER);
        vm.assertEq(token.balanceOf(BUYER), 1_000_000);
    }

    /// @dev The same number, in a token that is worth more.
    function test_another_token_is_refused() public {
        uint256 imageId = _published();
        PlayToken dear = new PlayToken();
        sales.setAllowed(address(dear), true);
        dear.mint(BUYER, PRICE);
        vm.prank(BUYER);
        dear.approve(address(sales), PRICE);
        vm.prank(PUBLISHER);
        market.setPrice(imageId, address(dear), PRICE);
        vm.expectRevert(
            abi.encodeWithSelector(IImageMarketplace.PriceChanged.selector, address(dear), PRICE)
        );
        _purchase(imageId, BUYER);
    }

    function test_a_lower_price_is_the_buyers() public {
        uint256 imageId = _published();
        vm.prank(PUBLISHER);
        market.setPrice(imageId, address(token), 1);
        _purchase(imageId, BUYER);
        vm.assertEq(token.balanceOf(BUYER), 1_000_000 - 1);
    }

    /// @dev What is sold cannot be changed either: there is no function that does.
    function test_a_revocation_in_front_takes_no_money() public {
        uint256 imageId = _published();
        _revoke(imageId);
        vm.expectRevert(abi.encodeWithSelector(IImageMarketplace.ImageIsRevoked.selector, imageId));
        _purchase(imageId, BUYER);
        vm.assertEq(token.balanceOf(BUYER), 1_000_000);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {ImageMarketplace} from "../../src/ImageMarketplace.sol";
import {IImageMarketplace} from "../../src/interfaces/IImageMarketplace.sol";
import {RoyaltySplit} from "../../src/libraries/RoyaltySplit.sol";
import {MarketFixture} from "../base/MarketFixture.sol";
import {PlayToken, SalesDouble} from "../base/ServiceDoubles.sol";

/// @title Publishers who price, revoke and spend, and buyers who purchase and claim
contract MarketHandler {
    uint256 public constant ACCOUNTS = 4;
    uint256 private constant IMAGES_MAX = 5;

    ImageMarketplace private immutable MARKET;
    SalesDouble private immutable SALES;
    PlayToken private immutable TOKEN;

    mapping(uint256 imageId => mapping(address buyer => uint256)) public paid;
    mapping(uint256 imageId => mapping(address buyer => uint256)) public gotBack;
    mapping(uint256 imageId => mapping(address buyer => bool)) public purchased;
    uint256 public spent;
    uint256 public withdrawn;

    constructor(ImageMarketplace market, SalesDouble sales, PlayToken token) {
        (MARKET, SALES, TOKEN) = (market, sales, token);
    }

    /// @dev Everybody publishes, purchases and shares.
    function account(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i % ACCOUNTS));
    }

    function publish(uint256 seed, uint128 price) external {
        if (MARKET.imageCount() == IMAGES_MAX) return;
        RoyaltySplit.Share[] memory royalties = new RoyaltySplit.Share[](seed % 9);
        uint256 left = 10_000;
        for (uint256 i = 0; i < royalties.length; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            uint256 most = left - (royalties.length - i - 1);
            royalties[i] = RoyaltySplit.Share(account(random), uint16(1 + (random >> 128) % most));
            left -= royalties[i].bps;
        }
        price %= 10_000;
        vm.prank(account(seed >> 128));
        MARKET.publishImage(
            "bafkimage", "bafklicence", price == 0 ? address(0) : address(TOKEN), price, royalties
        );
    }

    function setPrice(uint256 seed, uint128 price) external {
        uint256 imageId = _pick(seed);
        if (imageId == 0 || _isRevoked(imageId)) return;
        price %= 10_000;
        vm.prank(MARKET.getImage(imageId).publisher);
        MARKET.setPrice(imageId, price == 0 ? address(0) : address(TOKEN), price);
    }

    function purchase(uint256 seed, uint256 by, uint128 more) external {
        uint256 imageId = _pick(seed);
        if (imageId == 0) return;
        address buyer = account(by);
        IImageMarketplace.Image memory image = MARKET.getImage(imageId);
        bool isNew = MARKET.getLicence(imageId, buyer).purchasedAt == 0;
        uint256 before = TOKEN.balanceOf(buyer);
        vm.prank(buyer);
        (bool succeeded,) = address(MARKET)
            .call(abi.encodeCall(MARKET.purchase, (imageId, image.token, image.price + more % 100)));
        vm.assertTrue(succeeded == (isNew && image.revokedAt == 0));
        if (!succeeded) return;
        purchased[imageId][buyer] = true;
        paid[imageId][buyer] += before - TOKEN.balanceOf(buyer);
        spent += before - TOKEN.balanceOf(buyer);
        vm.assertEq(paid[imageId][buyer], image.price);
    }

    function revoke(uint256 seed) external {
        // Seldom, or nothing is ever for sale.
        if (seed % 4 != 0) return;
        uint256 imageId = _pick(seed / 4);
        if (imageId == 0 || _isRevoked(imageId)) return;
        vm.prank(MARKET.getImage(imageId).publisher);
        MARKET.revokeImage(imageId);
    }

    /// @dev Tried by anyone on any image.
    function claim(uint256 seed, uint256 by) external {
        uint256 imageId = _pick(seed);
        if (imageId == 0) return;
        address buyer = account(by);
        uint256 due = MARKET.refundable(imageId, buyer);
        uint256 reach = SALES.balanceOf(address(TOKEN), MARKET.getImage(imageId).publisher);
        uint256 before = SALES.balanceOf(address(TOKEN), buyer);
        vm.prank(buyer);
        (bool succeeded,) = address(MARKET).call(abi.encodeCall(MARKET.claimRefund, (imageId)));
        vm.assertTrue(succeeded == (due != 0 && reach != 0));
        gotBack[imageId][buyer] += SALES.balanceOf(address(TOKEN), buyer) - before;
    }

    function withdraw(uint256 by) external {
        uint256 before = TOKEN.balanceOf(account(by));
        vm.prank(account(by));
        SALES.withdraw(address(TOKEN));
        withdrawn += TOKEN.balanceOf(account(by)) - before;
    }

    function pass(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 5 days);
    }

    function _pick(uint256 seed) private view returns (uint256) {
        uint256 count = MARKET.imageCount();
        return count == 0 ? 0 : 1 + seed % count;
    }

    function _isRevoked(uint256 imageId) private view returns (bool) {
        return MARKET.getImage(imageId).revokedAt != 0;
    }
}

contract ImageMarketplaceInvariants is MarketFixture {
    MarketHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new MarketHandler(market, sales, token);
        for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
            _fund(handler.account(i));
        }
        handler.publish(3, 9999);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev What buyers paid is with those who share in it, with the treasury, or withdrawn.
    function invariant_the_parts_are_the_prices() external view {
        uint256 owed = sales.fees(address(token));
        for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
            owed += _balance(handler.account(i));
        }
        vm.assertEq(handler.spent(), owed + handler.withdrawn());
        vm.assertEq(token.balanceOf(address(sales)), owed);
        vm.assertEq(token.balanceOf(address(market)), 0);
    }

    function invariant_refunds_are_no_more_than_was_paid() external view {
        for (uint256 imageId = 1; imageId <= market.imageCount(); ++imageId) {
            for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
                address buyer = handler.account(i);
                IImageMarketplace.Licence memory licence = market.getLicence(imageId, buyer);
                vm.assertEq(licence.paid, handler.paid(imageId, buyer));
                vm.assertEq(licence.refunded, handler.gotBack(imageId, buyer));
                vm.assertLe(licence.refunded, licence.paid);
                vm.assertLe(market.refundable(imageId, buyer), licence.paid - licence.refunded);
            }
        }
    }

    /// @dev A licence is what a purchase gives and only a refund for a revoked image ends.
    function invariant_licences_are_purchases() external view {
        for (uint256 imageId = 1; imageId <= market.imageCount(); ++imageId) {
            IImageMarketplace.Image memory image = market.getImage(imageId);
            for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
                address buyer = handler.account(i);
                bool isRefunded = handler.gotBack(imageId, buyer) != 0;
                bool has = handler.purchased(imageId, buyer) || buyer == image.publisher;
                vm.assertTrue(market.hasLicence(imageId, buyer) == (has && !isRefunded));
                if (isRefunded) vm.assertTrue(image.revokedAt != 0);
            }
        }
    }

    /// @dev From wherever the sequence got to, every image can be revoked, and at last nothing is
    /// due any more.
    function afterInvariant() external {
        for (uint256 imageId = 1; imageId <= market.imageCount(); ++imageId) {
            IImageMarketplace.Image memory image = market.getImage(imageId);
            if (image.revokedAt == 0) {
                vm.prank(image.publisher);
                market.revokeImage(imageId);
            }
        }
        _skip(CLAIM_PERIOD_S + 1);
        for (uint256 imageId = 1; imageId <= market.imageCount(); ++imageId) {
            for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
                vm.assertEq(market.refundable(imageId, handler.account(i)), 0);
            }
        }
    }
}

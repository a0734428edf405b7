// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";

import {vm} from "../script/Vm.sol";
import {ImageMarketplace} from "../src/ImageMarketplace.sol";
import {IImageMarketplace} from "../src/interfaces/IImageMarketplace.sol";
import {ISales} from "../src/interfaces/ISales.sol";
import {Bounds} from "../src/libraries/Bounds.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {RoyaltySplit} from "../src/libraries/RoyaltySplit.sol";
import {MarketFixture} from "./base/MarketFixture.sol";

contract ImageMarketplaceTest is MarketFixture {
    // Publishing.

    function test_an_image_is_kept_and_said() public {
        vm.expectEmit(address(market));
        emit IImageMarketplace.ImagePublished(1, PUBLISHER, CID, LICENCE, _royalties());
        vm.expectEmit(address(market));
        emit IImageMarketplace.PriceSet(1, address(token), PRICE);
        vm.assertEq(_published(), 1);
        vm.assertEq(market.imageCount(), 1);
        IImageMarketplace.Image memory expected = IImageMarketplace.Image({
            publisher: PUBLISHER,
            publishedAt: uint64(block.timestamp),
            token: address(token),
            revokedAt: 0,
            price: PRICE,
            refundsFrom: 0,
            refundsUntil: 0,
            cid: CID,
            licence: LICENCE,
            royalties: _royalties()
        });
        vm.assertEq(abi.encode(market.getImage(1)), abi.encode(expected));
        vm.assertTrue(market.hasLicence(1, PUBLISHER));
        vm.assertFalse(market.hasLicence(1, BUYER));
        vm.assertFalse(market.hasLicence(2, address(0)));
    }

    function test_cids_are_bounded() public {
        string[2] memory wrong = ["", string(new bytes(129))];
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory refusal = abi.encodeWithSelector(
                IImageMarketplace.InvalidCid.selector, bytes(wrong[i]).length, 128
            );
            vm.expectRevert(refusal);
            market.publishImage(wrong[i], LICENCE, address(token), PRICE, _royalties());
            vm.expectRevert(refusal);
            market.publishImage(CID, wrong[i], address(token), PRICE, _royalties());
        }
        market.publishImage(
            string(new bytes(128)), string(new bytes(128)), address(token), PRICE, _royalties()
        );
    }

    function test_royalties_are_bounded() public {
        RoyaltySplit.Share[] memory royalties = new RoyaltySplit.Share[](9);
        vm.expectRevert(abi.encodeWithSelector(IImageMarketplace.TooManyRoyalties.selector, 9, 8));
        _publish(royalties);

        royalties = new RoyaltySplit.Share[](8);
        for (uint256 i = 0; i < 8; ++i) {
            royalties[i] = RoyaltySplit.Share(AUTHOR, 1250);
        }
        _publish(royalties);
        royalties[7].bps = 1251;
        vm.expectRevert(IImageMarketplace.InvalidRoyalties.selector);
        _publish(royalties);
        royalties[7].bps = 0;
        vm.expectRevert(IImageMarketplace.InvalidRoyalties.selector);
        _publish(royalties);
        royalties[7] = RoyaltySplit.Share(address(0), 1);
        vm.expectRevert(IImageMarketplace.InvalidRoyalties.selector);
        _publish(royalties);
    }

    function test_a_price_has_a_token_that_the_network_takes() public {
        uint256 imageId = _published();
        vm.startPrank(PUBLISHER);
        vm.expectRevert(IImageMarketplace.InvalidPrice.selector);
        market.setPrice(imageId, address(token), 0);
        vm.expectRevert(IImageMarketplace.InvalidPrice.selector);
        market.setPrice(imageId, address(0), 1);
        vm.expectRevert(
            abi.encodeWithSelector(IImageMarketplace.TokenNotAllowed.selector, STRANGER)
        );
        market.setPrice(imageId, STRANGER, 1);
        vm.expectEmit(address(market));
        emit IImageMarketplace.PriceSet(imageId, address(0), 0);
        market.setPrice(imageId, address(0), 0);
        vm.assertEq(market.getImage(imageId).token, address(0));
        vm.assertEq(market.getImage(imageId).price, 0);
    }

    function test_only_the_publisher_of_an_image_for_sale_prices_it() public {
        uint256 imageId = _published();
        vm.expectRevert(
            abi.encodeWithSelector(IImageMarketplace.NotPublisher.selector, imageId, BUYER)
        );
        vm.prank(BUYER);
        market.setPrice(imageId, address(token), 1);
        vm.expectRevert(abi.encodeWithSelector(IImageMarketplace.UnknownImage.selector, 2));
        market.setPrice(2, address(token), 1);
        _revoke(imageId);
        vm.expectRevert(abi.encodeWithSelector(IImageMarketplace.ImageIsRevoked.selector, imageId));
        vm.prank(PUBLISHER);
        market.setPrice(imageId, address(token), 1);
    }

    // Purchases.

    function test_a_purchase_is_shared_out_and_is_a_licence() public {
        uint256 imageId = _published();
        vm.expectEmit(address(market));
        emit IImageMarketplace.ImagePurchased(imageId, BUYER, address(token), PRICE);
        _purchase(imageId, BUYER);

        vm.assertTrue(market.hasLicence(imageId, BUYER));
        vm.assertFalse(market.hasLicence(imageId, OTHER_BUYER));
        IImageMarketplace.Licence memory expected =
            IImageMarketplace.Licence(uint64(block.timestamp), false, address(token), PRICE, 0);
        vm.assertEq(abi.encode(market.getLicence(imageId, BUYER)), abi.encode(expected));
        // 100, 30 and 870, less 2.5 per cent rounded down.
        vm.assertEq(_balance(AUTHOR), 98);
        vm.assertEq(_balance(DISTRIBUTION), 30);
        vm.assertEq(_balance(PUBLISHER), 849);
        vm.assertEq(sales.fees(address(token)), 23);
        vm.assertEq(token.balanceOf(BUYER), 1_000_000 - PRICE);
    }

    function test_a_part_of_nothing_is_not_collected() public {
        RoyaltySplit.Share[] memory royalties = new RoyaltySplit.Share[](2);
        royalties[0] = RoyaltySplit.Share(AUTHOR, 9999);
        royalties[1] = RoyaltySplit.Share(DISTRIBUTION, 1);
        uint256 imageId = _publish(royalties);
        _purchase(imageId, BUYER);
        // A ten-thousandth of 1000 is nothing; what is left is the publisher's.
        vm.assertEq(sales.collections(), 2);
        vm.assertEq(_balance(DISTRIBUTION), 0);
        vm.assertEq(_balance(PUBLISHER), 1);
    }

    function test_a_free_image_is_licensed_without_money() public {
        vm.prank(PUBLISHER);
        uint256 imageId = market.publishImage(CID, LICENCE, address(0), 0, _royalties());
        vm.prank(STRANGER);
        market.purchase(imageId, address(0), 0);
        vm.assertTrue(market.hasLicence(imageId, STRANGER));
        vm.assertEq(sales.collections(), 0);
    }

    function test_a_buyer_says_the_price() public {
        uint256 imageId = _published();
        bytes memory refusal =
            abi.encodeWithSelector(IImageMarketplace.PriceChanged.selector, address(token), PRICE);
        vm.startPrank(BUYER);
        vm.expectRevert(refusal);
        market.purchase(imageId, address(token), PRICE - 1);
        vm.expectRevert(refusal);
        market.purchase(imageId, STRANGER, PRICE);
        market.purchase(imageId, address(token), PRICE + 1);
        vm.assertEq(market.getLicence(imageId, BUYER).paid, PRICE);
    }

    function test_an_image_is_purchased_once() public {
        uint256 imageId = _published();
        address[2] memory accounts = [BUYER, PUBLISHER];
        _purchase(imageId, BUYER);
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IImageMarketplace.AlreadyPurchased.selector, imageId, accounts[i]
                )
            );
            _purchase(imageId, accounts[i]);
        }
    }

    function test_only_what_is_for_sale_is_purchased() public {
        vm.expectRevert(abi.encodeWithSelector(IImageMarketplace.UnknownImage.selector, 1));
        _purchase(1, BUYER);
        uint256 imageId = _published();
        _revoke(imageId);
        vm.expectRevert(abi.encodeWithSelector(IImageMarketplace.ImageIsRevoked.selector, imageId));
        _purchase(imageId, BUYER);
    }

    function test_a_token_that_is_allowed_no_more_buys_nothing() public {
        uint256 imageId = _published();
        sales.setAllowed(address(token), false);
        vm.expectRevert(
            abi.encodeWithSelector(IImageMarketplace.TokenNotAllowed.selector, address(token))
        );
        _purchase(imageId, BUYER);
    }

    // Revocations and refunds.

    function test_a_revocation_is_the_publishers_or_governances() public {
        uint256 imageId = _published();
        vm.expectRevert(
            abi.encodeWithSelector(IImageMarketplace.NotPublisher.selector, imageId, BUYER)
        );
        vm.prank(BUYER);
        market.revokeImage(imageId);
        uint256 state = vm.snapshotState();
        market.revokeImage(imageId);
        vm.revertToState(state);

        uint64 now_ = uint64(block.timestamp);
        vm.expectEmit(address(market));
        emit IImageMarketplace.ImageRevoked(imageId, now_ - REFUND_PERIOD_S, now_ + CLAIM_PERIOD_S);
        _revoke(imageId);
        vm.assertEq(market.getImage(imageId).revokedAt, now_);
        vm.expectRevert(abi.encodeWithSelector(IImageMarketplace.ImageIsRevoked.selector, imageId));
        _revoke(imageId);
    }

    function test_a_refund_ends_the_licence() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        _purchase(imageId, OTHER_BUYER);
        vm.assertEq(market.refundable(imageId, BUYER), 0);
        vm.expectRevert(_nothingToRefund(imageId, BUYER));
        _claim(imageId, BUYER);
        _revoke(imageId);
        vm.assertEq(market.refundable(imageId, BUYER), PRICE);

        vm.expectEmit(address(market));
        emit IImageMarketplace.PurchaseRefunded(imageId, BUYER, PRICE);
        _claim(imageId, BUYER);
        vm.assertFalse(market.hasLicence(imageId, BUYER));
        vm.assertTrue(market.hasLicence(imageId, OTHER_BUYER));
        vm.assertEq(market.getLicence(imageId, BUYER).refunded, PRICE);
        vm.assertEq(_wealth(BUYER), 1_000_000);
        vm.expectRevert(_nothingToRefund(imageId, BUYER));
        _claim(imageId, BUYER);
    }

    function test_a_refund_is_the_publishers_alone_and_as_far_as_it_can_pay() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        _revoke(imageId);
        uint256 author = _balance(AUTHOR);
        uint256 reach = _balance(PUBLISHER);
        _claim(imageId, BUYER);
        vm.assertEq(_balance(AUTHOR), author);
        vm.assertEq(_wealth(BUYER), 1_000_000 - PRICE + reach);
        vm.assertEq(market.refundable(imageId, BUYER), PRICE - reach);
        vm.assertFalse(market.hasLicence(imageId, BUYER));
        vm.expectRevert(_nothingToRefund(imageId, BUYER));
        _claim(imageId, BUYER);

        // The publisher sells something else.
        _purchase(_published(), OTHER_BUYER);
        _claim(imageId, BUYER);
        vm.assertEq(_wealth(BUYER), 1_000_000);
        vm.assertEq(market.refundable(imageId, BUYER), 0);
    }

    function test_without_a_refund_the_licence_stays() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        vm.prank(PUBLISHER);
        sales.withdraw(address(token));
        _revoke(imageId);
        vm.expectRevert(_nothingToRefund(imageId, BUYER));
        _claim(imageId, BUYER);
        vm.assertTrue(market.hasLicence(imageId, BUYER));
    }

    function test_only_young_purchases_are_refunded() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        _skip(1);
        _purchase(imageId, OTHER_BUYER);
        _skip(REFUND_PERIOD_S);
        _revoke(imageId);
        vm.assertEq(market.refundable(imageId, BUYER), 0);
        vm.assertEq(market.refundable(imageId, OTHER_BUYER), PRICE);
        vm.expectRevert(_nothingToRefund(imageId, BUYER));
        _claim(imageId, BUYER);
        vm.assertTrue(market.hasLicence(imageId, BUYER));
        vm.expectRevert(_nothingToRefund(imageId, PUBLISHER));
        _claim(imageId, PUBLISHER);
        vm.expectRevert(_nothingToRefund(imageId, STRANGER));
        _claim(imageId, STRANGER);
    }

    function test_a_refund_is_claimed_in_time() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        _purchase(imageId, OTHER_BUYER);
        _revoke(imageId);
        _skip(CLAIM_PERIOD_S);
        _claim(imageId, BUYER);
        _skip(1);
        vm.expectRevert(_nothingToRefund(imageId, OTHER_BUYER));
        _claim(imageId, OTHER_BUYER);
    }

    function test_a_refund_is_in_what_was_paid() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        _purchase(imageId, OTHER_BUYER);
        vm.prank(PUBLISHER);
        market.setPrice(imageId, address(0), 0);
        _revoke(imageId);
        sales.setAllowed(address(token), false);
        _claim(imageId, BUYER);
        vm.assertEq(_wealth(BUYER), 1_000_000);
    }

    // The split.

    function testFuzz_the_split_conserves(uint128 price, uint256 seed, uint8 count) public pure {
        RoyaltySplit.Share[] memory royalties = new RoyaltySplit.Share[](count % 9);
        uint256 left = 10_000;
        for (uint256 i = 0; i < royalties.length; ++i) {
            royalties[i].bps = uint16(uint256(keccak256(abi.encode(seed, i))) % (left + 1));
            left -= royalties[i].bps;
        }
        uint256[] memory parts = RoyaltySplit.parts(price, royalties);
        vm.assertEq(parts.length, royalties.length + 1);
        uint256 sum;
        for (uint256 i = 0; i < parts.length; ++i) {
            sum += parts[i];
            if (i == royalties.length) continue;
            vm.assertLe(parts[i] * 10_000, uint256(price) * royalties[i].bps);
            vm.assertTrue((parts[i] + 1) * 10_000 > uint256(price) * royalties[i].bps);
        }
        vm.assertEq(sum, price);
        vm.assertGe(parts[royalties.length] * 10_000, uint256(price) * left);
    }

    function testFuzz_a_buyer_pays_the_price(uint128 price, uint16 first, uint16 second) public {
        price = 1 + price % (type(uint128).max - 1);
        RoyaltySplit.Share[] memory royalties = _royalties();
        royalties[0].bps = 1 + first % 9999;
        royalties[1].bps = 1 + second % (10_000 - royalties[0].bps);
        vm.prank(PUBLISHER);
        uint256 imageId = market.publishImage(CID, LICENCE, address(token), price, royalties);
        token.mint(BUYER, price);
        vm.prank(BUYER);
        market.purchase(imageId, address(token), price);
        vm.assertEq(_wealth(BUYER), 1_000_000);
        vm.assertEq(
            _balance(PUBLISHER) + _balance(AUTHOR) + _balance(DISTRIBUTION)
                + sales.fees(address(token)),
            price
        );
    }

    // Governance.

    function test_parameters_are_governances_and_bounded() public {
        vm.assertEq(abi.encode(market.getParameters()), abi.encode(_parameters()));
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, STRANGER, Roles.PARAMETER
            )
        );
        vm.prank(STRANGER);
        market.setParameters(_parameters());

        _expectOutOfBounds(90 days + 1, 1 hours, "refundPeriod", 90 days + 1, 0, 90 days);
        _expectOutOfBounds(0, 1 hours - 1, "claimPeriod", 1 hours - 1, 1 hours, 180 days);
        _expectOutOfBounds(0, 180 days + 1, "claimPeriod", 180 days + 1, 1 hours, 180 days);
        IImageMarketplace.Parameters memory all = IImageMarketplace.Parameters(90 days, 180 days);
        vm.expectEmit(address(market));
        emit IImageMarketplace.ParametersSet(all);
        market.setParameters(all);
        vm.assertEq(abi.encode(market.getParameters()), abi.encode(all));
    }

    function test_new_parameters_leave_revocations_alone() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        _revoke(imageId);
        bytes memory before = abi.encode(market.getImage(imageId));
        market.setParameters(IImageMarketplace.Parameters(0, 1 hours));
        vm.assertEq(abi.encode(market.getImage(imageId)), before);
        _skip(1 days);
        vm.assertEq(market.refundable(imageId, BUYER), PRICE);
    }

    function test_initialization_refuses_zero_addresses() public {
        address implementation = address(new ImageMarketplace());
        vm.expectRevert(IImageMarketplace.ZeroAddress.selector);
        _proxy(
            implementation,
            abi.encodeCall(
                ImageMarketplace.initialize, (address(this), ISales(address(0)), _parameters())
            )
        );
    }

    function test_a_pause_stops_publishing_and_purchases() public {
        uint256 imageId = _published();
        market.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _published();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _purchase(imageId, BUYER);
        vm.prank(PUBLISHER);
        market.setPrice(imageId, address(token), PRICE + 1);
    }

    function test_storage_is_in_its_namespace() public {
        _published();
        uint256 start = uint256(SlotDerivation.erc7201Slot("aleph.storage.ImageMarketplace"));
        vm.assertEq(uint256(vm.load(address(market), bytes32(start))), uint160(address(sales)));
        vm.assertEq(uint256(vm.load(address(market), bytes32(start + 2))), 1);
        vm.assertEq(address(market.sales()), address(sales));
    }

    function _expectOutOfBounds(
        uint64 refundPeriod,
        uint64 claimPeriod,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        market.setParameters(IImageMarketplace.Parameters(refundPeriod, claimPeriod));
    }
}

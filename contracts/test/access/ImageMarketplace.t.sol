// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IImageMarketplace} from "../../src/interfaces/IImageMarketplace.sol";
import {RoyaltySplit} from "../../src/libraries/RoyaltySplit.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev OWNER sells an image, and has revoked one that CUSTOMER had bought.
contract ImageMarketplaceAccessTest is AccessMatrix {
    uint256 private image;
    uint256 private revoked;

    function setUp() public override {
        super.setUp();
        revoked = _publish();
        vm.prank(CUSTOMER);
        images.purchase(revoked, address(aleph), 1 ether);
        vm.prank(OWNER);
        images.revokeImage(revoked);
        image = _publish();
    }

    function _publish() private returns (uint256) {
        vm.prank(OWNER);
        return images.publishImage(
            "bafkimage", "bafklicence", address(aleph), 1 ether, new RoyaltySplit.Share[](0)
        );
    }

    function test_image_marketplace() public {
        bytes4 notPublisher = IImageMarketplace.NotPublisher.selector;
        _row(
            "publishImage(string,string,address,uint128,(address,uint16)[])",
            abi.encode("bafk", "bafk", aleph, 1 ether, new RoyaltySplit.Share[](0))
        );
        _row(
            "setPrice(uint256,address,uint128)",
            abi.encode(image, aleph, 2 ether),
            OWNERS,
            notPublisher
        );
        _row("revokeImage(uint256)", abi.encode(image), OWNERS | PARAMETER, notPublisher);
        // Who publishes has a licence already.
        _row(
            "purchase(uint256,address,uint128)",
            abi.encode(image, aleph, 1 ether),
            ANYONE & ~OWNERS,
            IImageMarketplace.AlreadyPurchased.selector
        );
        _row(
            "claimRefund(uint256)",
            abi.encode(revoked),
            CUSTOMERS,
            IImageMarketplace.NothingToRefund.selector
        );
        _row("setParameters((uint64,uint64))", abi.encode(images.getParameters()), PARAMETER);
        _initializeRow("initialize(address,address,(uint64,uint64))");
        _view("getImage(uint256)");
        _view("getLicence(uint256,address)");
        _view("getParameters()");
        _view("hasLicence(uint256,address)");
        _view("imageCount()");
        _view("refundable(uint256,address)");
        _view("sales()");
        _governedRows();
        _check(address(images), "ImageMarketplace");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {ImageMarketplace} from "../../src/ImageMarketplace.sol";
import {IImageMarketplace} from "../../src/interfaces/IImageMarketplace.sol";
import {RoyaltySplit} from "../../src/libraries/RoyaltySplit.sol";
import {PlayToken, SalesDouble, ServiceFixture} from "./ServiceDoubles.sol";

/// @title A marketplace, a token that it takes, and an image with two who share in its sales
abstract contract MarketFixture is ServiceFixture {
    uint64 internal constant REFUND_PERIOD_S = 14 days;
    uint64 internal constant CLAIM_PERIOD_S = 30 days;
    uint128 internal constant PRICE = 1000;
    string internal constant CID = "bafkimage";
    string internal constant LICENCE = "bafklicence";

    address internal constant PUBLISHER = address(0xA1);
    address internal constant AUTHOR = address(0xA2);
    address internal constant DISTRIBUTION = address(0xA3);
    address internal constant BUYER = address(0xB1);
    address internal constant OTHER_BUYER = address(0xB2);

    PlayToken internal token;
    SalesDouble internal sales;
    ImageMarketplace internal market;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        token = new PlayToken();
        sales = new SalesDouble();
        sales.setAllowed(address(token), true);
        market = ImageMarketplace(
            _proxy(
                address(new ImageMarketplace()),
                abi.encodeCall(ImageMarketplace.initialize, (address(this), sales, _parameters()))
            )
        );
        _grantCommonRoles(market);
        _fund(BUYER);
        _fund(OTHER_BUYER);
    }

    function _parameters() internal pure returns (IImageMarketplace.Parameters memory) {
        return IImageMarketplace.Parameters(REFUND_PERIOD_S, CLAIM_PERIOD_S);
    }

    /// @dev A tenth and a thirty-third.
    function _royalties() internal pure returns (RoyaltySplit.Share[] memory royalties) {
        royalties = new RoyaltySplit.Share[](2);
        royalties[0] = RoyaltySplit.Share(AUTHOR, 1000);
        royalties[1] = RoyaltySplit.Share(DISTRIBUTION, 303);
    }

    function _fund(address account) internal {
        token.mint(account, 1_000_000);
        vm.prank(account);
        token.approve(address(sales), type(uint256).max);
    }

    function _publish(RoyaltySplit.Share[] memory royalties) internal returns (uint256) {
        vm.prank(PUBLISHER);
        return market.publishImage(CID, LICENCE, address(token), PRICE, royalties);
    }

    function _published() internal returns (uint256) {
        return _publish(_royalties());
    }

    function _purchase(uint256 imageId, address buyer) internal {
        vm.prank(buyer);
        market.purchase(imageId, address(token), PRICE);
    }

    function _revoke(uint256 imageId) internal {
        vm.prank(PUBLISHER);
        market.revokeImage(imageId);
    }

    function _claim(uint256 imageId, address buyer) internal {
        vm.prank(buyer);
        market.claimRefund(imageId);
    }

    /// @dev All that the account has, withdrawn or not.
    function _wealth(address account) internal view returns (uint256) {
        return token.balanceOf(account) + _balance(account);
    }

    function _balance(address account) internal view returns (uint256) {
        return sales.balanceOf(address(token), account);
    }

    function _nothingToRefund(uint256 imageId, address account)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IImageMarketplace.NothingToRefund.selector, imageId, account);
    }
}

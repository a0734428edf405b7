// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {RoyaltySplit} from "../../src/libraries/RoyaltySplit.sol";
import {MarketFixture} from "../base/MarketFixture.sol";

/// @dev A publisher names somebody else as the one who gets all of a sale, purchases the image
/// itself, and revokes it: were refunds taken from those who shared in the sale, the victim would
/// pay the fee out of what it earned elsewhere, again and again.
contract RefundVictimAttack is MarketFixture {
    function test_who_is_named_loses_nothing() public {
        // The victim earns something.
        vm.prank(AUTHOR);
        uint256 imageId =
            market.publishImage(CID, LICENCE, address(token), PRICE, new RoyaltySplit.Share[](0));
        _purchase(imageId, OTHER_BUYER);
        uint256 earned = _balance(AUTHOR);

        RoyaltySplit.Share[] memory royalties = new RoyaltySplit.Share[](1);
        royalties[0] = RoyaltySplit.Share(AUTHOR, 10_000);
        for (uint256 i = 0; i < 5; ++i) {
            imageId = _publish(royalties);
            _purchase(imageId, BUYER);
            _revoke(imageId);
            vm.expectRevert(_nothingToRefund(imageId, BUYER));
            _claim(imageId, BUYER);
        }
        vm.assertGe(_balance(AUTHOR), earned);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RoyaltySplit} from "../../src/libraries/RoyaltySplit.sol";

/// @dev For every price and every shares that the marketplace accepts, not for some. Run by
/// halmos; forge finds no test here.
/// @custom:halmos --loop 10
contract RoyaltySplitProperties {
    function check_the_parts_are_the_price(uint128 price, uint16[8] calldata bps) external pure {
        RoyaltySplit.Share[] memory shares = _shares(bps);
        if (_sum(shares) > RoyaltySplit.BPS) return;
        uint256[] memory parts = RoyaltySplit.parts(price, shares);
        uint256 sum;
        for (uint256 i = 0; i < parts.length; ++i) {
            sum += parts[i];
        }
        assert(sum == price);
    }

    /// @dev Nobody's part depends on who else shares.
    function check_a_part_is_its_own(uint128 price, uint16 first, uint16 second) external pure {
        RoyaltySplit.Share[] memory one = new RoyaltySplit.Share[](1);
        RoyaltySplit.Share[] memory two = new RoyaltySplit.Share[](2);
        (one[0].bps, two[0].bps, two[1].bps) = (second, first, second);
        if (_sum(two) > RoyaltySplit.BPS) return;
        assert(RoyaltySplit.parts(price, one)[0] == RoyaltySplit.parts(price, two)[1]);
    }

    function _shares(uint16[8] calldata bps)
        private
        pure
        returns (RoyaltySplit.Share[] memory shares)
    {
        shares = new RoyaltySplit.Share[](8);
        for (uint256 i = 0; i < 8; ++i) {
            shares[i].bps = bps[i];
        }
    }

    function _sum(RoyaltySplit.Share[] memory shares) private pure returns (uint256 sum) {
        for (uint256 i = 0; i < shares.length; ++i) {
            sum += shares[i].bps;
        }
    }
}

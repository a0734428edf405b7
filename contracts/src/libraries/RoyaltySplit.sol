// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title How a price is shared out
/// @dev Every share is rounded down and the publisher gets what is left, so the parts are the
/// price, whatever the numbers.
library RoyaltySplit {
    uint256 internal constant BPS = 10_000;

    /// @notice Who gets a part of every sale, in hundredths of a per cent of the price.
    struct Share {
        address recipient;
        uint16 bps;
    }

    /// @dev One part per share, and the publisher's last. The shares sum to at most 10 000.
    function parts(uint128 price, Share[] memory shares)
        internal
        pure
        returns (uint256[] memory amounts)
    {
        amounts = new uint256[](shares.length + 1);
        uint256 rest = price;
        for (uint256 i = 0; i < shares.length; ++i) {
            amounts[i] = uint256(price) * shares[i].bps / BPS;
            rest -= amounts[i];
        }
        amounts[shares.length] = rest;
    }
}

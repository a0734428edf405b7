// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {SharePools} from "./SharePools.sol";

/// @title Tokens on their way out, that can still be slashed
/// @dev A thaw is a number of shares of a pool of thawing tokens, so a slash reaches every thaw in
/// proportion without visiting any. Nothing but slashing changes the price of these shares, which
/// starts at one token unit: it never rises above that, so tokens that begin to thaw always get at
/// least as many shares as they have units, and rounding costs an account at most one unit a thaw.
library Thaws {
    using SafeCast for uint256;
    using SharePools for SharePools.Pools;

    /// @notice The most thaws that one account can have waiting; bounds the loops here.
    uint256 internal constant THAWS_MAX = 32;

    /// @notice Shares of a generation of thawing tokens, free from `endsAt` (Unix time in seconds).
    struct Thaw {
        uint128 shares;
        uint64 generation;
        uint64 endsAt;
    }

    /// @dev Begins a thaw of `tokens`, which are not zero.
    function begin(
        Thaw[] storage thaws,
        SharePools.Pools storage pools,
        uint256 tokens,
        uint64 endsAt
    ) internal {
        uint64 generation = pools.open();
        thaws.push(Thaw(pools.add(tokens).toUint128(), generation, endsAt));
    }

    /// @dev Ends the thaws whose time has come, and those of which a slash left nothing. Returns the
    /// tokens that they are worth and how many they were. Not a queue: the time that thawing takes may
    /// have been shortened, so that a later thaw ends before an earlier one.
    function end(Thaw[] storage thaws, SharePools.Pools storage pools)
        internal
        returns (uint256 tokens, uint256 count)
    {
        for (uint256 i = thaws.length; i != 0; --i) {
            Thaw memory thaw = thaws[i - 1];
            if (block.timestamp < thaw.endsAt && pools.byGeneration[thaw.generation].tokens != 0) {
                continue;
            }
            tokens += pools.redeem(thaw.generation, thaw.shares);
            ++count;
            thaws[i - 1] = thaws[thaws.length - 1];
            thaws.pop();
        }
    }
}

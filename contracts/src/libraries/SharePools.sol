// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Tokens that many hold together
/// @dev Whoever adds tokens gets shares, and a share is worth `tokens / shares` of its pool. Slashing
/// and rewarding change `tokens` alone, so each holder loses and gains in proportion, at a cost that
/// does not depend on how many holders there are.
///
/// Rounding is against whoever acts: shares are rounded down when tokens are added, tokens when
/// shares are redeemed. What rounding leaves belongs to those who stay. The last to leave redeems
/// all shares, gets `shares * tokens / shares` and leaves nothing, so an empty pool is exactly empty.
///
/// A pool that was slashed to nothing has shares without a price. Nobody could be let in at no price,
/// and shares at a price of almost nothing would overflow in the end. So a pool that is worth less
/// than one token unit per `SHARES_PER_TOKEN_MAX` shares takes no more: the next tokens open a new
/// generation. Shares name the generation that they are of, and stay good for what is left in it.
///
/// No function here reverts but for shares or tokens that the pool does not have, or for more than
/// 2**98 token units: after tokens are added, `shares <= tokens * SHARES_PER_TOKEN_MAX` < 2**128, and
/// a product of two such numbers fits into a word.
library SharePools {
    using SafeCast for uint256;

    /// @notice The most shares per token unit at which a pool still takes tokens.
    uint256 internal constant SHARES_PER_TOKEN_MAX = 1e9;

    /// @notice One generation of holders.
    struct Pool {
        uint128 tokens;
        uint128 shares;
    }

    /// @notice All generations; only the present one takes tokens, and only it is slashed.
    struct Pools {
        uint64 generation;
        mapping(uint64 generation => Pool) byGeneration;
    }

    /// @dev The pool that takes tokens and is slashed.
    function present(Pools storage pools) internal view returns (Pool storage) {
        return pools.byGeneration[pools.generation];
    }

    /// @dev Makes sure that the present generation can take tokens. Returns its number.
    function open(Pools storage pools) internal returns (uint64) {
        Pool storage pool = present(pools);
        if (pool.shares > pool.tokens * SHARES_PER_TOKEN_MAX) ++pools.generation;
        return pools.generation;
    }

    /// @dev Adds tokens to the present generation, which is open, and returns the shares for them.
    function add(Pools storage pools, uint256 tokens) internal returns (uint256 shares) {
        Pool storage pool = present(pools);
        shares = pool.shares == 0 ? tokens : tokens * pool.shares / pool.tokens;
        pool.tokens += tokens.toUint128();
        pool.shares += shares.toUint128();
    }

    /// @dev Takes shares of a generation back and returns the tokens that they were worth.
    function redeem(Pools storage pools, uint64 generation, uint256 shares)
        internal
        returns (uint256 tokens)
    {
        tokens = worth(pools, generation, shares);
        Pool storage pool = pools.byGeneration[generation];
        pool.tokens -= tokens.toUint128();
        pool.shares -= shares.toUint128();
    }

    /// @dev What shares of a generation are worth; nothing when it has none.
    function worth(Pools storage pools, uint64 generation, uint256 shares)
        internal
        view
        returns (uint256)
    {
        Pool storage pool = pools.byGeneration[generation];
        return pool.shares == 0 ? 0 : shares * pool.tokens / pool.shares;
    }

    /// @dev How much of `amount` two parts lose when each loses in proportion. `amount` is at most
    /// `first + second`; neither part loses more than it has, and together they lose `amount`:
    /// floor(amount * second / all) <= second, and the rest, ceil(amount * first / all), <= first.
    function split(uint256 amount, uint256 first, uint256 second)
        internal
        pure
        returns (uint128 fromFirst, uint128 fromSecond)
    {
        if (second != 0) fromSecond = (amount * second / (first + second)).toUint128();
        fromFirst = amount.toUint128() - fromSecond;
    }
}

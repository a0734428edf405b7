// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {SharePools} from "../../src/libraries/SharePools.sol";

/// @dev The laws that the accounting of stake rests on, for pools of any price.
contract SharePoolsTest {
    using SharePools for SharePools.Pools;

    uint256 private constant TOKENS_MAX = 2 ** 96;

    SharePools.Pools private pools;

    function testFuzz_a_split_conserves(uint256 amount, uint96 first, uint96 second) public pure {
        amount %= uint256(first) + second + 1;
        (uint256 fromFirst, uint256 fromSecond) = SharePools.split(amount, first, second);
        vm.assertEq(fromFirst + fromSecond, amount);
        vm.assertLe(fromFirst, first);
        vm.assertLe(fromSecond, second);
        // In proportion, to the unit.
        if (first != 0) {
            vm.assertApproxEqAbs(fromFirst, amount * first / (uint256(first) + second), 1);
        }
    }

    function testFuzz_who_comes_and_goes_gains_nothing(uint96 tokens, uint128 shares, uint96 more)
        public
    {
        _pool(tokens, shares);
        uint64 generation = pools.open();
        uint256 before = pools.present().tokens;
        uint256 bought = pools.add(more);
        vm.assertLe(pools.worth(generation, bought), more);
        vm.assertLe(pools.redeem(generation, bought), more);
        vm.assertGe(pools.present().tokens, before);
    }

    function testFuzz_the_last_shares_leave_nothing(uint96 tokens, uint128 shares, uint128 part)
        public
    {
        _pool(tokens, shares);
        SharePools.Pool storage pool = pools.present();
        (uint256 all, uint256 ofAll) = (pool.tokens, pool.shares);
        uint256 paid = pools.redeem(0, ofAll == 0 ? 0 : part % ofAll);
        paid += pools.redeem(0, pool.shares);
        vm.assertEq(paid, all);
        vm.assertEq(pool.tokens, 0);
        vm.assertEq(pool.shares, 0);
    }

    /// @dev Where only slashing moves the price, tokens never get fewer shares than their units.
    function testFuzz_a_price_that_only_falls_stays_at_one_or_below(
        uint96 first,
        uint96[4] calldata losses,
        uint96[4] calldata more,
        uint128[4] calldata parts
    ) public {
        pools.add(uint256(first) + 1);
        for (uint256 i = 0; i < losses.length; ++i) {
            SharePools.Pool storage pool = pools.present();
            if (pool.tokens != 0) pool.tokens -= uint128(losses[i] % (uint256(pool.tokens) + 1));
            uint64 generation = pools.open();
            uint256 bought = pools.add(uint256(more[i]) + 1);
            vm.assertGe(bought, uint256(more[i]) + 1);
            vm.assertGe(pools.present().shares, pools.present().tokens);
            pools.redeem(generation, parts[i] % bought);
            vm.assertGe(pools.present().shares, pools.present().tokens);
        }
    }

    /// @dev After any history the next tokens are taken, at a price that overflows nothing.
    function testFuzz_a_pool_always_takes_more(uint88[8] calldata more, uint96[8] calldata left)
        public
    {
        for (uint256 i = 0; i < more.length; ++i) {
            pools.open();
            pools.add(uint256(more[i]) + 1);
            SharePools.Pool storage pool = pools.present();
            vm.assertLe(pool.shares, uint256(pool.tokens) * SharePools.SHARES_PER_TOKEN_MAX);
            // Tokens never exceed what the books hold, and slashes come in all sizes.
            pool.tokens =
                uint128(left[i] % (i % 2 == 0 ? 2 : uint256(pool.tokens) + 1) % TOKENS_MAX);
        }
    }

    function test_a_generation_ends_when_it_is_worth_almost_nothing() public {
        pools.add(1e18);
        pools.present().tokens = 1e9;
        vm.assertEq(pools.open(), 0);
        pools.present().tokens = 1e9 - 1;
        vm.assertEq(pools.open(), 1);

        // What is left of it is still paid.
        vm.assertEq(pools.add(5), 5);
        vm.assertEq(pools.redeem(0, 0.5e18), 1e9 / 2 - 1);
        vm.assertEq(pools.redeem(0, 0.5e18), 1e9 / 2);
        vm.assertEq(pools.worth(0, 0), 0);
        vm.assertEq(pools.redeem(1, 5), 5);
        // An empty generation goes on.
        vm.assertEq(pools.open(), 1);
    }

    function _pool(uint256 tokens, uint256 shares) private {
        SharePools.Pool storage pool = pools.present();
        pool.shares = uint128(shares % 2 ** 126);
        pool.tokens = pool.shares == 0 ? 0 : uint128(tokens);
    }
}

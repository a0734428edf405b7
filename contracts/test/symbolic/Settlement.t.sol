// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Settlement} from "../../src/libraries/Settlement.sol";

/// @dev What halmos proves for all inputs at once; forge does not run it.
contract SettlementProofs {
    uint256 private constant BPS = 10_000;
    int24 private constant TICK_MAX = 887_272;

    /// @dev No unit is lost or made, and nobody's share is more than the whole.
    function check_a_split_conserves(uint128 amount, uint16 treasuryBps, uint16 rewardShareBps)
        external
        pure
    {
        if (uint256(treasuryBps) + rewardShareBps > BPS) return;
        Settlement.Shares memory shares = Settlement.split(amount, treasuryBps, rewardShareBps);
        assert(shares.treasury <= amount);
        assert(shares.delegators <= amount);
        assert(shares.owner <= amount);
        assert(shares.treasury + shares.delegators + shares.owner == amount);
    }

    /// @dev More proven time never costs less.
    function check_settling_is_monotone(uint128 pricePerHour, uint64 earlier, uint64 more)
        external
        pure
    {
        if (more > type(uint64).max - earlier) return;
        assert(
            Settlement.owed(pricePerHour, earlier) <= Settlement.owed(pricePerHour, earlier + more)
        );
    }

    /// @dev Settling in two steps is settling in one.
    function check_steps_add_up(uint128 pricePerHour, uint64 a, uint64 b, uint64 c) external pure {
        if (a > b || b > c) return;
        assert(
            Settlement.due(pricePerHour, a, b) + Settlement.due(pricePerHour, b, c)
                == Settlement.due(pricePerHour, a, c)
        );
    }

    /// @dev No payment is above what is owed in all.
    function check_a_payment_is_part_of_what_is_owed(uint128 pricePerHour, uint64 a, uint64 b)
        external
        pure
    {
        if (a > b) return;
        assert(Settlement.due(pricePerHour, a, b) <= Settlement.owed(pricePerHour, b));
    }

    /// @dev The mean of ticks is a tick: narrowing it loses nothing.
    function check_a_mean_tick_is_a_tick(int56 start, int56 grown, uint32 period) external pure {
        if (period == 0 || period > 4 hours) return;
        int56 most = int56(TICK_MAX) * int56(uint56(period));
        if (grown > most || grown < -most) return;
        if (start > type(int48).max || start < type(int48).min) return;
        int24 tick = Settlement.meanTick(start, start + grown, period);
        assert(tick <= TICK_MAX && tick >= -TICK_MAX);
        assert(int56(tick) * int56(uint56(period)) <= grown);
        assert((int56(tick) + 1) * int56(uint56(period)) > grown);
    }
}

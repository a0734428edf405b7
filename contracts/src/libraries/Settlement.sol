// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title The arithmetic of paying for jobs
/// @dev Pure, so that it can be fuzzed, proven, and mirrored off chain line by line.
library Settlement {
    /// @notice The whole, in basis points.
    uint256 internal constant BPS = 10_000;

    /// @notice The whole, in the unit in which pools state their fee.
    uint256 internal constant PIPS = 1_000_000;

    /// @dev 1 and 1.0001, with 127 bits after the point.
    uint256 private constant ONE = 1 << 127;
    uint256 private constant TICK_BASE = 0x800346dc5d63886594af4f0d844d013a;

    /// @notice How a payment is shared out; the parts are always the whole.
    struct Shares {
        uint256 treasury;
        uint256 delegators;
        uint256 owner;
    }

    /// @dev What is owed for the first `secondsProven` of a job. Payments are differences of this,
    /// so that however often a job is settled, rounding loses less than one unit in all.
    function owed(uint128 pricePerHour, uint64 secondsProven) internal pure returns (uint256) {
        unchecked {
            // 192 bits at most.
            return uint256(pricePerHour) * secondsProven / 1 hours;
        }
    }

    /// @dev What is owed for the time from `from` to `until`, both counted from the job's start.
    function due(uint128 pricePerHour, uint64 from, uint64 until) internal pure returns (uint256) {
        return owed(pricePerHour, until) - owed(pricePerHour, from);
    }

    /// @dev The owner gets what rounding leaves. The caller sees to it that the shares' sum is at
    /// most the whole.
    function split(uint256 amount, uint256 treasuryBps, uint256 rewardShareBps)
        internal
        pure
        returns (Shares memory shares)
    {
        shares.treasury = amount * treasuryBps / BPS;
        shares.delegators = amount * rewardShareBps / BPS;
        shares.owner = amount - shares.treasury - shares.delegators;
    }

    /// @dev The mean tick of a pool over `period` seconds, from the sums at its start and end,
    /// rounded down.
    function meanTick(int56 sumAtStart, int56 sumAtEnd, uint32 period)
        internal
        pure
        returns (int24 tick)
    {
        int56 grown = sumAtEnd - sumAtStart;
        int56 length = int56(uint56(period));
        // A mean of ticks is a tick.
        // forge-lint: disable-next-line(unsafe-typecast)
        tick = int24(grown / length);
        if (grown < 0 && grown % length != 0) --tick;
    }

    /// @dev What `amount` is worth at a price of 1.0001 to the power of `tick`, rounded down. The
    /// relative error is below 2^-100; a pool's ticks reach from -887272 to 887272.
    function quote(uint256 amount, int24 tick) internal pure returns (uint256) {
        uint256 exponent = tick < 0 ? uint256(-int256(tick)) : uint256(int256(tick));
        (uint256 significand, uint256 shift) = _power(exponent);
        return tick < 0
            ? Math.mulDiv(amount, 1 << shift, significand)
            : Math.mulDiv(amount, significand, 1 << shift);
    }

    /// @dev The least that a swap of `amountIn` must bring when the pool's mean price is
    /// 1.0001^tick: the pool's fee, rounded up as the pool does, and then the slippage go off.
    function minimumOutput(uint256 amountIn, int24 tick, uint256 feePips, uint256 slippageBps)
        internal
        pure
        returns (uint256)
    {
        uint256 fee = Math.mulDiv(amountIn, feePips, PIPS, Math.Rounding.Ceil);
        return Math.mulDiv(quote(amountIn - fee, tick), BPS - slippageBps, BPS);
    }

    /// @dev 1.0001^exponent = significand / 2^shift, by squaring; the significand has 128 bits.
    function _power(uint256 exponent) private pure returns (uint256 significand, uint256 shift) {
        (significand, shift) = (ONE, 127);
        (uint256 base, uint256 baseShift) = (TICK_BASE, 127);
        while (true) {
            if (exponent & 1 != 0) {
                (significand, shift) = _times(significand, shift, base, baseShift);
            }
            exponent >>= 1;
            if (exponent == 0) return (significand, shift);
            (base, baseShift) = _times(base, baseShift, base, baseShift);
        }
    }

    /// @dev The product of two numbers with significands of 128 bits, in the same form.
    function _times(uint256 a, uint256 aShift, uint256 b, uint256 bShift)
        private
        pure
        returns (uint256, uint256)
    {
        uint256 product = a * b;
        uint256 excess = product >> 255 == 0 ? 127 : 128;
        return (product >> excess, aShift + bShift - excess);
    }
}

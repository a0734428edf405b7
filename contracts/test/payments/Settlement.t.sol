// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {Settlement} from "../../src/libraries/Settlement.sol";

/// @dev The arithmetic alone. Amounts are in a token's smallest units; decimals are what tells how
/// many of them a customer thinks in.
contract SettlementTest {
    uint256 private constant SUPPLY_MAX = 1e36;

    function test_an_hour_costs_the_price() public pure {
        vm.assertEq(Settlement.owed(7, 1 hours), 7);
        vm.assertEq(Settlement.owed(7, 1 hours - 1), 6);
        vm.assertEq(Settlement.owed(7, 0), 0);
        vm.assertEq(Settlement.owed(0, type(uint64).max), 0);
        vm.assertEq(
            Settlement.owed(type(uint128).max, type(uint64).max),
            uint256(type(uint128).max) * type(uint64).max / 3600
        );
    }

    /// @dev However a job's time is cut into payments, they add up to what the whole costs: with 18
    /// decimals, with 6, and with none, where most payments are zero.
    function testFuzz_steps_lose_nothing(uint128 price, uint32[16] calldata steps, uint8 kind)
        public
        pure
    {
        uint256 unit = kind % 3 == 0 ? 1 ether : kind % 3 == 1 ? 1e6 : 1;
        uint128 pricePerHour = uint128(price % (1000 * unit));
        uint64 until;
        uint256 paid;
        for (uint256 i = 0; i < steps.length; ++i) {
            uint64 from = until;
            until += steps[i];
            paid += Settlement.due(pricePerHour, from, until);
        }
        vm.assertEq(paid, Settlement.owed(pricePerHour, until));
    }

    function testFuzz_owed_grows(uint128 price, uint64 a, uint64 b) public pure {
        (a, b) = a < b ? (a, b) : (b, a);
        vm.assertLe(Settlement.owed(price, a), Settlement.owed(price, b));
    }

    function testFuzz_a_split_conserves(uint256 amount, uint16 treasury, uint16 rewards)
        public
        pure
    {
        amount %= SUPPLY_MAX;
        treasury %= 2001;
        rewards %= 5001;
        Settlement.Shares memory shares = Settlement.split(amount, treasury, rewards);
        vm.assertEq(shares.treasury + shares.delegators + shares.owner, amount);
        vm.assertLe(shares.treasury * 10_000, amount * treasury);
        vm.assertLe(shares.delegators * 10_000, amount * rewards);
        // Rounding is the owner's: at most two units of it.
        vm.assertGe(shares.owner * 10_000, amount * (10_000 - treasury - rewards));
    }

    function test_mean_ticks_are_rounded_down() public pure {
        vm.assertTrue(Settlement.meanTick(0, 600, 600) == 1);
        vm.assertTrue(Settlement.meanTick(0, 1199, 600) == 1);
        vm.assertTrue(Settlement.meanTick(0, -1, 600) == -1);
        vm.assertTrue(Settlement.meanTick(0, -600, 600) == -1);
        vm.assertTrue(Settlement.meanTick(-5, -5, 600) == 0);
        vm.assertTrue(Settlement.meanTick(type(int56).min, type(int56).min + 1, 1) == 1);
    }

    function testFuzz_the_mean_of_a_constant_is_the_constant(int24 tick, uint32 period, int48 start)
        public
        pure
    {
        tick %= 887_273;
        period = 1 + period % 14_400;
        int56 end = int56(start) + int56(tick) * int56(uint56(period));
        vm.assertTrue(Settlement.meanTick(start, end, period) == tick);
    }

    /// @dev Computed with exact fractions.
    function test_quotes_are_powers_of_a_tick() public pure {
        _assertQuote(1_000_000_000_000_000_000, 0, 1_000_000_000_000_000_000);
        _assertQuote(1_000_000_000_000_000_000, 1, 1_000_100_000_000_000_000);
        _assertQuote(1_000_000_000_000_000_000, -1, 999_900_009_999_000_099);
        _assertQuote(1_000_000_000_000_000_000, 100, 1_010_049_662_092_876_568);
        _assertQuote(123_456_789, -276_325, 0);
        _assertQuote(1_000_000, 276_324, 999_997_356_176_039_153);
        _assertQuote(10_000_000_000_000_000_000_000_000_000_000_000_000_000, -887_272, 29);
        _assertQuote(1, 887_272, 340_256_786_836_388_094_050_805_785_052_946_541_066);
        _assertQuote(
            1_000_000_000_000_000_000, 443_636, 18_446_050_711_097_703_529_776_342_895_396_472_065
        );
        _assertQuote(
            1_000_000_000_000_000_000_000_000_000_000_000_000, -443_636, 54_212_146_310_449_513
        );
        _assertQuote(7, -7, 6);
    }

    /// @dev A tick is 1.0001 more than the one below it, within rounding of the amounts.
    function testFuzz_quotes_grow_by_a_tick(int24 tick, uint96 amount) public pure {
        tick %= 887_272;
        uint256 below = Settlement.quote(amount, tick);
        uint256 above = Settlement.quote(amount, tick + 1);
        vm.assertGe(above, below);
        if (below > 1e12) vm.assertApproxEqRel(above * 10_000, below * 10_001, 1e7);
    }

    /// @dev There and back again is the same amount, within rounding.
    function testFuzz_quotes_are_inverse(int24 tick, uint96 amount) public pure {
        tick %= 100_000;
        uint256 scaled = (1 + uint256(amount)) << 128;
        uint256 back = Settlement.quote(Settlement.quote(scaled, tick), -tick);
        vm.assertApproxEqRel(back, scaled, 1e8);
    }

    function testFuzz_quotes_grow_with_the_amount(int24 tick, uint128 a, uint128 b) public pure {
        tick %= 887_273;
        (a, b) = a < b ? (a, b) : (b, a);
        vm.assertLe(Settlement.quote(a, tick), Settlement.quote(b, tick));
    }

    function test_a_minimum_is_what_fee_and_slippage_leave() public pure {
        // 0.3 % and 1 %.
        vm.assertEq(Settlement.minimumOutput(1_000_000, 0, 3000, 100), 987_030);
        // A fee is whole units: of 100 one is taken, of one all.
        vm.assertEq(Settlement.minimumOutput(100, 0, 3000, 0), 99);
        vm.assertEq(Settlement.minimumOutput(1, 0, 3000, 0), 0);
        vm.assertEq(Settlement.minimumOutput(0, 0, 3000, 100), 0);
        vm.assertEq(Settlement.minimumOutput(1_000_000, 0, 0, 10_000), 0);
    }

    function testFuzz_a_minimum_is_below_the_quote(
        uint128 amount,
        int24 tick,
        uint24 fee,
        uint16 slippage
    ) public pure {
        tick %= 887_273;
        fee %= 100_001;
        slippage %= 1001;
        uint256 minimum = Settlement.minimumOutput(amount, tick, fee, slippage);
        uint256 quoted = Settlement.quote(amount, tick);
        vm.assertLe(minimum, quoted);
        if (quoted > 1e24 && amount > 1e24) {
            uint256 expected = quoted / 1e10 * (1_000_000 - fee) * (10_000 - slippage);
            vm.assertApproxEqRel(minimum, expected, 1e10);
        }
    }

    function _assertQuote(uint256 amount, int24 tick, uint256 expected) private pure {
        uint256 quoted = Settlement.quote(amount, tick);
        // Truncation shows in the last unit only, or beyond the thirtieth digit.
        uint256 error = quoted > expected ? quoted - expected : expected - quoted;
        vm.assertLe(error, 1 + expected / 1e30);
    }
}

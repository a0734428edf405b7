// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Vm, vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {ISwapRouter} from "../../src/interfaces/IUniswapV3.sol";
import {Settlement} from "../../src/libraries/Settlement.sol";
import {ITestPool, TestToken, UniswapFixture} from "../base/Uniswap.sol";

/// @dev Jobs that are priced in another token than ALEPH, on Uniswap V3 itself.
contract SwapTest is UniswapFixture {
    uint256 private constant DEPTH = 1_000_000;

    // Every number of decimals, and both orders of the pool's tokens.

    function test_settles_18_decimals_as_token_0() public {
        _assertSettles(18, true);
    }

    function test_settles_18_decimals_as_token_1() public {
        _assertSettles(18, false);
    }

    function test_settles_6_decimals_as_token_0() public {
        _assertSettles(6, true);
    }

    function test_settles_6_decimals_as_token_1() public {
        _assertSettles(6, false);
    }

    function test_settles_0_decimals_as_token_0() public {
        _assertSettles(0, true);
    }

    function test_settles_0_decimals_as_token_1() public {
        _assertSettles(0, false);
    }

    /// @dev Whatever is due, the swap brings at least the minimum and at most what it is worth.
    function testFuzz_swaps_bring_what_they_are_worth(uint8 kind, bool isToken0, uint256 amount)
        public
    {
        uint8 decimals = [18, 6, 0][kind % 3];
        TestToken token = _token(decimals, isToken0);
        _swappable(token, DEPTH);
        amount = 100 + amount % (1000 * 10 ** decimals);
        uint256 jobId = _tokenJob(token, uint128(amount));
        _prove(jobId, 1 hours);

        uint256 minimum = payments.minimumOutput(address(token), amount);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        uint256 received = payments.totalWithdrawable(address(aleph));
        vm.assertGe(received, minimum);
        vm.assertLe(received, amount * ALEPH_PER_TOKEN / 10 ** decimals);
        vm.assertEq(payments.getAccount(jobId).paid, amount);
        _assertSolvent(aleph);
        _assertSolvent(token);
    }

    // Prices.

    /// @dev Our powers of a tick against the pool's own square root.
    function testFuzz_quotes_agree_with_the_pool(uint160 sqrtPriceX96) public {
        TestToken token = _token(18, true);
        ITestPool pool = ITestPool(factory.createPool(address(token), address(aleph), FEE_PIPS));
        // Uniswap's lowest price; the highest that still squares within our checks.
        sqrtPriceX96 = uint160(4_295_128_739 + sqrtPriceX96 % (2 ** 128));
        pool.initialize(sqrtPriceX96);
        (, int24 tick,,,,,) = pool.slot0();

        // With amounts that leave 30 digits: at the tick, and at the next one above.
        uint256 amount = sqrtPriceX96 < 2 ** 96 ? 2 ** 240 : 2 ** 120;
        uint256 half = Math.mulDiv(amount, sqrtPriceX96, 2 ** 96);
        uint256 worth = Math.mulDiv(half, sqrtPriceX96, 2 ** 96);
        vm.assertLe(Settlement.quote(amount, tick), worth + worth / 1e15);
        vm.assertGe(Settlement.quote(amount, tick + 1) + worth / 1e15, worth);
    }

    function test_a_swap_that_brings_too_little_puts_the_job_in_grace() public {
        TestToken token = _token(18, true);
        ITestPool pool = _swappable(token, 10_000);
        // 10 % of the pool, which would move the price by as much.
        uint256 jobId = _tokenJob(token, 1000 ether);
        uint256 other = _paidJob();
        uint256[] memory jobIds = new uint256[](2);
        (jobIds[0], jobIds[1]) = (jobId, other);
        vm.warp(block.timestamp + 1 hours);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);

        vm.expectEmit(address(payments));
        emit IPaymentManager.JobPaymentRefused(
            jobId, abi.encodeWithSignature("Error(string)", "Too little received")
        );
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobGraceStarted(jobId, uint64(block.timestamp) + GRACE_S);
        IPaymentManager.SettleResult[] memory results = payments.settleJobs(jobIds);
        _assertResult(results[0], IPaymentManager.SettleResult.Refused);
        _assertResult(results[1], IPaymentManager.SettleResult.Settled);
        _assertStatus(jobId, IJobManager.JobStatus.Running);
        vm.assertEq(token.balanceOf(address(payments)), 0);
        vm.assertEq(token.allowance(address(payments), address(router)), 0);

        // In steps, with time for others to trade the price back, all is paid in the end.
        for (uint64 step = 1; step <= 20; ++step) {
            _assertResult(
                payments.settleJobUpTo(jobId, step * 3 minutes),
                IPaymentManager.SettleResult.Settled
            );
            _tradeBack(token, pool);
        }
        vm.assertEq(payments.dueOf(jobId), 0);
        vm.assertEq(payments.getAccount(jobId).paid, 1000 ether);
        payments.settleJob(jobId);
        vm.assertEq(payments.getAccount(jobId).graceUntil, 0);
    }

    function test_a_pool_that_is_empty_refuses() public {
        TestToken token = _token(18, true);
        ITestPool pool = _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 1 ether);
        _prove(jobId, 1 hours);
        uint256 liquidity = Math.sqrt(DEPTH * 1 ether) * Math.sqrt(DEPTH * ALEPH_PER_TOKEN);
        pool.burn(-TICK_MAX, TICK_MAX, uint128(liquidity));
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);
        vm.assertEq(token.balanceOf(address(payments)), 0);
    }

    /// @dev The mean follows a price that stays.
    function test_a_price_that_stays_becomes_the_mean() public {
        TestToken token = _token(6, false);
        _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 1e6);
        _prove(jobId, 1 hours);
        uint256 before = payments.minimumOutput(address(token), 1e6);
        _trade(token, aleph, 100_000e6);
        vm.assertEq(payments.minimumOutput(address(token), 1e6), before);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Refused);

        vm.warp(block.timestamp + 10 minutes);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        // (1 / 1.1)^2
        vm.assertApproxEqRel(
            payments.minimumOutput(address(token), 1e6), before * 100 / 121, 0.01e18
        );
    }

    // Small payments.

    function test_what_a_pools_fee_would_eat_is_left_until_there_is_more() public {
        TestToken token = _token(0, true);
        _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 50);
        _prove(jobId, 1 hours);
        vm.recordLogs();
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.NothingDue);
        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(payments.dueOf(jobId), 50);

        _prove(jobId, 1 hours);
        _assertResult(
            payments.settleJobUpTo(jobId, 1 hours + 50 minutes),
            IPaymentManager.SettleResult.NothingDue
        );
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertEq(payments.getAccount(jobId).paid, 100);
    }

    function test_the_last_payment_of_a_segment_may_be_small() public {
        TestToken token = _token(0, false);
        _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 3);
        _prove(jobId, 1 hours);
        _complete(jobId, OPERATOR);
        _assertResult(
            payments.settleJobUpTo(jobId, 50 minutes), IPaymentManager.SettleResult.NothingDue
        );
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.assertEq(payments.getAccount(jobId).paid, 3);
        // One of three units is the pool's fee.
        vm.assertApproxEqRel(
            payments.totalWithdrawable(address(aleph)), 2 * ALEPH_PER_TOKEN, 0.001e18
        );
    }

    function test_a_rest_too_small_to_be_paid_is_no_debt() public {
        TestToken token = _token(0, true);
        _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 3600);
        _prove(jobId, 1000);
        _allow(token, CUSTOMER, 0);
        payments.settleJob(jobId);
        vm.assertTrue(payments.getAccount(jobId).graceUntil != 0);

        _allow(token, CUSTOMER, 10_000);
        payments.settleJobUpTo(jobId, 950);
        payments.settleJobUpTo(jobId, 980);
        vm.assertTrue(payments.getAccount(jobId).graceUntil != 0);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.NothingDue);
        vm.assertEq(payments.getAccount(jobId).graceUntil, 0);
    }

    // Pools and tokens.

    function test_a_pool_must_be_the_routers_and_of_this_token() public {
        TestToken token = _token(18, true);
        TestToken other = _token(18, true);
        ITestPool pool = _pool(token, 1 ether, 5 ether);
        _remember(pool);

        vm.expectRevert(
            abi.encodeWithSelector(IPaymentManager.NotAPool.selector, address(other), address(pool))
        );
        payments.setPool(address(other), address(pool));
        vm.expectEmit(address(payments));
        emit IPaymentManager.PoolSet(address(token), address(pool), FEE_PIPS);
        payments.setPool(address(token), address(pool));
        vm.assertEq(
            abi.encode(payments.getToken(address(token))),
            abi.encode(IPaymentManager.TokenInfo(false, address(pool), FEE_PIPS))
        );
    }

    function test_a_pool_must_remember_the_whole_period() public {
        TestToken token = _token(18, true);
        ITestPool pool = ITestPool(factory.createPool(address(token), address(aleph), FEE_PIPS));
        pool.initialize(uint160(1 << 96));
        vm.expectRevert(
            abi.encodeWithSelector(IPaymentManager.PoolHistoryTooShort.selector, 1, 601)
        );
        payments.setPool(address(token), address(pool));

        // Room for it, but it has not lived long enough.
        pool.increaseObservationCardinalityNext(601);
        vm.warp(block.timestamp + 1);
        pool.mint(address(this), -TICK_MAX, TICK_MAX, 1 ether, "");
        vm.warp(block.timestamp + 598);
        vm.expectRevert(abi.encodeWithSignature("Error(string)", "OLD"));
        payments.setPool(address(token), address(pool));
        vm.warp(block.timestamp + 1);
        payments.setPool(address(token), address(pool));
    }

    /// @dev Even when somebody trades in every second of the period.
    function test_nobody_can_push_the_period_out_of_the_pools_memory() public {
        TestToken token = _token(18, true);
        _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 1 ether);
        _prove(jobId, 1 hours);
        for (uint256 i = 0; i < 1300; ++i) {
            vm.warp(block.timestamp + 1);
            _trade(token, aleph, 1);
        }
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
    }

    function test_a_token_needs_a_pool_to_be_allowed() public {
        TestToken token = _token(18, true);
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.PoolNotSet.selector, address(token)));
        payments.addAllowedToken(address(token));
        vm.expectRevert(abi.encodeWithSelector(IPaymentManager.PoolNotSet.selector, address(token)));
        payments.minimumOutput(address(token), 1);

        _swappable(token, DEPTH);
        vm.assertTrue(payments.isAllowedToken(address(token)));
        vm.expectEmit(address(payments));
        emit IPaymentManager.PoolSet(address(token), address(0), 0);
        payments.setPool(address(token), address(0));
        vm.assertFalse(payments.isAllowedToken(address(token)));
    }

    function test_jobs_in_a_removed_token_are_settled_and_none_begin() public {
        TestToken token = _token(18, true);
        _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 1 ether);
        _prove(jobId, 1 hours);
        vm.expectEmit(address(payments));
        emit IPaymentManager.TokenRemoved(address(token));
        payments.removeAllowedToken(address(token));

        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
        vm.expectRevert(
            abi.encodeWithSelector(IJobManager.TokenNotAllowed.selector, address(token))
        );
        _order(CUSTOMER, address(token), 1 ether);

        // Without its pool there is nothing to be paid with.
        payments.setPool(address(token), address(0));
        _prove(jobId, 1 hours);
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobPaymentRefused(
            jobId, abi.encodeWithSelector(IPaymentManager.PoolNotSet.selector, address(token))
        );
        payments.settleJob(jobId);
    }

    /// @dev The router is trusted to exist, not to tell the truth.
    function test_what_a_swap_takes_and_brings_is_measured() public {
        TestToken token = _token(18, true);
        _swappable(token, DEPTH);
        uint256 jobId = _tokenJob(token, 1 ether);
        _prove(jobId, 1 hours);
        uint256 minimum = payments.minimumOutput(address(token), 1 ether);

        vm.mockCall(
            address(router),
            abi.encodeWithSelector(ISwapRouter.exactInputSingle.selector),
            abi.encode(100 ether)
        );
        _expectRefusal(
            jobId,
            abi.encodeWithSelector(IPaymentManager.UnexpectedAmountSwapped.selector, 1 ether, 0)
        );
        payments.settleJob(jobId);
        vm.clearMockedCalls();

        vm.mockFunction(
            address(router),
            address(new TakingRouter()),
            abi.encodeWithSelector(ISwapRouter.exactInputSingle.selector)
        );
        _expectRefusal(
            jobId, abi.encodeWithSelector(IPaymentManager.SwapBelowMinimum.selector, 0, minimum)
        );
        payments.settleJob(jobId);
    }

    function _assertSettles(uint8 decimals, bool isToken0) private {
        delegations.setDelegated(NODE, true);
        TestToken token = _token(decimals, isToken0);
        _swappable(token, DEPTH);
        uint128 price = uint128(400 * 10 ** decimals);
        uint256 jobId = _tokenJob(token, price);
        _prove(jobId, 90 minutes);

        uint256 due = uint256(price) * 3 / 2;
        uint256 before = token.balanceOf(CUSTOMER);
        uint256 minimum = payments.minimumOutput(address(token), due);
        // 0.3 % and 1 % below the price; ticks are 0.01 % apart, units of the token 0.17 %.
        vm.assertApproxEqRel(minimum, 600 * ALEPH_PER_TOKEN * 997 / 1000 * 99 / 100, 0.002e18);
        _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);

        vm.assertEq(before - token.balanceOf(CUSTOMER), due);
        uint256 received = payments.totalWithdrawable(address(aleph)) + delegations.rewards(NODE);
        vm.assertGe(received, minimum);
        vm.assertApproxEqRel(received, 600 * ALEPH_PER_TOKEN * 997 / 1000, 0.003e18);
        Settlement.Shares memory shares = _shares(received, true);
        vm.assertEq(_withdrawable(TREASURY), shares.treasury);
        vm.assertEq(delegations.rewards(NODE), shares.delegators);
        vm.assertEq(_withdrawable(OWNER), shares.owner);
        vm.assertEq(token.allowance(address(payments), address(router)), 0);
        _assertSolvent(aleph);
        _assertSolvent(token);
    }

    function _tokenJob(TestToken token, uint128 pricePerHour) private returns (uint256) {
        _approve(token, CUSTOMER, token.totalSupply() / 1000);
        return _paidJob(CUSTOMER, address(token), pricePerHour);
    }

    /// @dev Buys what settling sold, and lets the mean come back.
    function _tradeBack(TestToken token, ITestPool) private {
        _trade(aleph, token, 250 ether);
        vm.warp(block.timestamp + 10 minutes);
    }

    function _expectRefusal(uint256 jobId, bytes memory reason) private {
        vm.expectEmit(address(payments));
        emit IPaymentManager.JobPaymentRefused(jobId, reason);
    }
}

/// @dev Takes, and gives nothing.
contract TakingRouter {
    function exactInputSingle(ISwapRouter.ExactInputSingleParams calldata params)
        external
        payable
        returns (uint256)
    {
        IERC20(params.tokenIn).transferFrom(msg.sender, address(this), params.amountIn);
        return params.amountOutMinimum;
    }
}

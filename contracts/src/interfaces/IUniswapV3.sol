// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What PaymentManager uses of Uniswap V3's factory
interface IUniswapV3Factory {
    /// @notice The pool of two tokens, in any order, with this fee; zero when there is none.
    function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address);
}

/// @title What PaymentManager uses of a pool of Uniswap V3
interface IUniswapV3Pool {
    /// @notice The pool's fee in millionths of the amount that goes in.
    function fee() external view returns (uint24);

    /// @notice The state of the pool, here for how many observations it keeps.
    function slot0()
        external
        view
        returns (
            uint160 sqrtPriceX96,
            int24 tick,
            uint16 observationIndex,
            uint16 observationCardinality,
            uint16 observationCardinalityNext,
            uint8 feeProtocol,
            bool unlocked
        );

    /// @notice The sums of the tick over time, as of so many seconds ago each.
    function observe(uint32[] calldata secondsAgos)
        external
        view
        returns (
            int56[] memory tickCumulatives,
            uint160[] memory secondsPerLiquidityCumulativeX128s
        );
}

/// @title What PaymentManager uses of Uniswap V3's SwapRouter
interface ISwapRouter {
    /// @notice A swap of an exact amount in one pool.
    struct ExactInputSingleParams {
        address tokenIn;
        address tokenOut;
        uint24 fee;
        address recipient;
        uint256 deadline;
        uint256 amountIn;
        uint256 amountOutMinimum;
        uint160 sqrtPriceLimitX96;
    }

    /// @notice Swaps; reverts when less than the minimum would come out.
    function exactInputSingle(ExactInputSingleParams calldata params)
        external
        payable
        returns (uint256 amountOut);

    /// @notice The factory whose pools the router uses.
    function factory() external view returns (address);
}

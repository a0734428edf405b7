// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {vm} from "../../script/Vm.sol";
import {ISwapRouter, IUniswapV3Factory, IUniswapV3Pool} from "../../src/interfaces/IUniswapV3.sol";
import {PaymentFixture} from "./Payments.sol";

/// @dev What the tests use of the factory beyond what the contracts do.
interface ITestFactory is IUniswapV3Factory {
    function createPool(address tokenA, address tokenB, uint24 fee) external returns (address);
}

/// @dev What the tests use of a pool beyond what the contracts do.
interface ITestPool is IUniswapV3Pool {
    function initialize(uint160 sqrtPriceX96) external;
    function increaseObservationCardinalityNext(uint16 next) external;
    function mint(
        address recipient,
        int24 tickLower,
        int24 tickUpper,
        uint128 amount,
        bytes calldata data
    ) external returns (uint256 amount0, uint256 amount1);
    function burn(int24 tickLower, int24 tickUpper, uint128 amount)
        external
        returns (uint256 amount0, uint256 amount1);
    function token0() external view returns (address);
    function token1() external view returns (address);
}

/// @dev A token with any number of decimals.
contract TestToken is ERC20 {
    uint8 private immutable DECIMALS;

    constructor(uint8 decimals_, uint256 supply) ERC20("Test", "TEST") {
        DECIMALS = decimals_;
        _mint(msg.sender, supply);
    }

    function decimals() public view override returns (uint8) {
        return DECIMALS;
    }
}

/// @title A network beside Uniswap V3, whose published bytecode is deployed from npm
abstract contract UniswapFixture is PaymentFixture {
    uint24 internal constant FEE_PIPS = 3000;
    /// @dev The widest range that the fee's tick spacing of 60 allows.
    int24 internal constant TICK_MAX = 887_220;
    /// @dev What a whole token is worth in the pools below.
    uint256 internal constant ALEPH_PER_TOKEN = 5 ether;

    string private constant CORE = "node_modules/@uniswap/v3-core/artifacts/contracts/";
    string private constant PERIPHERY = "node_modules/@uniswap/v3-periphery/artifacts/contracts/";

    ITestFactory internal factory;
    ISwapRouter internal router;

    function _router() internal override returns (address) {
        factory = ITestFactory(
            _create(vm.getCode(string.concat(CORE, "UniswapV3Factory.sol/UniswapV3Factory.json")))
        );
        // The router asks for wrapped ether only when it is paid in ether.
        router = ISwapRouter(
            _create(
                bytes.concat(
                    vm.getCode(string.concat(PERIPHERY, "SwapRouter.sol/SwapRouter.json")),
                    abi.encode(factory, address(1))
                )
            )
        );
        return address(router);
    }

    /// @dev A token with the lower or the higher address of the two.
    function _token(uint8 decimals, bool isToken0) internal returns (TestToken token) {
        uint256 supply = 1e12 * 10 ** decimals;
        do {
            token = new TestToken(decimals, supply);
        } while ((address(token) < address(aleph)) != isToken0);
    }

    /// @dev A token that jobs can be priced in, with a pool of so many whole ones.
    function _swappable(TestToken token, uint256 depth) internal returns (ITestPool pool) {
        uint256 amount = depth * 10 ** token.decimals();
        pool = _pool(token, amount, depth * ALEPH_PER_TOKEN);
        _remember(pool);
        payments.setPool(address(token), address(pool));
        payments.addAllowedToken(address(token));
    }

    /// @dev A pool at the price that the amounts say, with so much liquidity over all prices.
    function _pool(IERC20 token, uint256 amount, uint256 alephs) internal returns (ITestPool pool) {
        pool = ITestPool(factory.createPool(address(token), address(aleph), FEE_PIPS));
        (uint256 amount0, uint256 amount1) =
            pool.token0() == address(token) ? (amount, alephs) : (alephs, amount);
        pool.initialize(uint160(Math.sqrt(Math.mulDiv(amount1, 1 << 128, amount0)) << 32));
        pool.increaseObservationCardinalityNext(601);
        vm.warp(block.timestamp + 1);
        pool.mint(
            address(this), -TICK_MAX, TICK_MAX, uint128(Math.sqrt(amount0) * Math.sqrt(amount1)), ""
        );
    }

    /// @dev Lets the pool's memory reach back over the whole period of the mean.
    function _remember(ITestPool pool) internal {
        vm.warp(block.timestamp + _paymentParameters().twapPeriod);
        (,,, uint16 observations,,,) = pool.slot0();
        vm.assertEq(observations, 601);
    }

    /// @dev Sells so much of a token for ALEPH, or the other way round.
    function _trade(IERC20 tokenIn, IERC20 tokenOut, uint256 amount) internal returns (uint256) {
        tokenIn.approve(address(router), amount);
        return router.exactInputSingle(
            ISwapRouter.ExactInputSingleParams({
                tokenIn: address(tokenIn),
                tokenOut: address(tokenOut),
                fee: FEE_PIPS,
                recipient: address(this),
                deadline: block.timestamp,
                amountIn: amount,
                amountOutMinimum: 0,
                sqrtPriceLimitX96: 0
            })
        );
    }

    /// @dev The pool asks for what it is to hold.
    function uniswapV3MintCallback(uint256 amount0, uint256 amount1, bytes calldata) external {
        ITestPool pool = ITestPool(msg.sender);
        IERC20(pool.token0()).transfer(msg.sender, amount0);
        IERC20(pool.token1()).transfer(msg.sender, amount1);
    }

    function _create(bytes memory code) private returns (address created) {
        assembly ("memory-safe") {
            created := create(0, add(code, 0x20), mload(code))
        }
        require(created != address(0), "not deployed");
    }
}

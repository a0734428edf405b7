// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Taking tokens in, and only tokens that arrive whole
/// @dev Accounting books what was asked for, so a token that moves another amount is refused.
library ExactTransfer {
    using SafeERC20 for IERC20;

    /// @notice The token moved another amount than asked for; such tokens cannot be used.
    error UnexpectedAmountReceived(uint256 expected, uint256 received);

    /// @dev Moves `amount` from `from`, who has approved this contract, to this contract.
    function pull(IERC20 token, address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        require(received == amount, UnexpectedAmountReceived(amount, received));
    }
}

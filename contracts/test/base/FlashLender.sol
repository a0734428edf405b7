// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title Lends all it has for the length of one call, for nothing
contract FlashLender {
    IERC20 public immutable TOKEN;

    error NotRepaid(uint256 owed, uint256 repaid);

    constructor(IERC20 token) {
        TOKEN = token;
    }

    function lend(uint256 amount) external {
        uint256 owed = TOKEN.balanceOf(address(this));
        TOKEN.transfer(msg.sender, amount);
        FlashBorrower(msg.sender).onLoan(amount);
        uint256 repaid = TOKEN.balanceOf(address(this));
        require(repaid >= owed, NotRepaid(owed, repaid));
    }
}

/// @title Borrows, uses the loan and pays it back
abstract contract FlashBorrower {
    FlashLender internal immutable LENDER;
    IERC20 internal immutable TOKEN;

    constructor(FlashLender lender) {
        (LENDER, TOKEN) = (lender, lender.TOKEN());
    }

    function onLoan(uint256 amount) external {
        require(msg.sender == address(LENDER));
        _use(amount);
        _repay(amount);
    }

    function _borrow(uint256 amount) internal {
        LENDER.lend(amount);
    }

    function _use(uint256 amount) internal virtual;

    function _repay(uint256 amount) internal virtual {
        TOKEN.transfer(address(LENDER), amount);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev Behaves until it is told not to.
abstract contract HostileToken is ERC20 {
    bool internal hostile;

    constructor() ERC20("Hostile", "HOSTILE") {
        _mint(msg.sender, 1e12 ether);
    }

    function setHostile(bool hostile_) external {
        hostile = hostile_;
    }
}

/// @dev Keeps a hundredth of every transfer from who receives it.
contract FeeOnTransferToken is HostileToken {
    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (hostile && from != address(0) && to != address(0)) {
            super._update(to, address(0), amount / 100);
        }
    }
}

/// @dev Takes a hundredth more than it moves from one account.
contract ExtraFeeToken is HostileToken {
    address private immutable PAYER;

    constructor(address from) {
        PAYER = from;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (hostile && from == PAYER) super._update(from, address(0), amount / 100);
    }
}

/// @dev Everyone's balance changes by a factor.
contract RebasingToken is HostileToken {
    uint256 private percent = 100;

    function rebase(uint256 percent_) external {
        percent = percent_;
    }

    function seize(address account, uint256 amount) external {
        _burn(account, amount);
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) * percent / 100;
    }
}

/// @dev Reverts with as much data as it is told to.
contract BombToken is HostileToken {
    uint256 private immutable SIZE_BYTES;

    constructor(uint256 sizeBytes) {
        SIZE_BYTES = sizeBytes;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (hostile) {
            uint256 size = SIZE_BYTES;
            assembly ("memory-safe") {
                revert(0, size)
            }
        }
        return super.transferFrom(from, to, amount);
    }
}

/// @dev Burns all gas that it is given.
contract BurningToken is HostileToken {
    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        while (hostile) {}
        return super.transferFrom(from, to, amount);
    }
}

/// @dev Makes a call of its choice, as an account of its choice if that is the token itself, while
/// it is moved, and keeps what that came to.
contract CallingToken is HostileToken {
    address private target;
    bytes private data;
    bool public succeeded;
    bytes public answer;

    function attack(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
        hostile = true;
    }

    function approveAs(address spender) external {
        _approve(address(this), spender, type(uint256).max);
    }

    function callAs(address target_, bytes calldata data_) external returns (bytes memory) {
        (bool done, bytes memory result) = target_.call(data_);
        require(done, "callAs");
        return result;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (!hostile) return;
        hostile = false;
        (succeeded, answer) = target.call(data);
    }
}

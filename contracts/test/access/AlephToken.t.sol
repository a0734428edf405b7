// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev The test contract has allowed CUSTOMER to take one.
contract AlephTokenAccessTest is AccessMatrix {
    function test_token() public {
        aleph.approve(_actor(19), 1);
        _row("approve(address,uint256)", abi.encode(OWNER, 1));
        _row("transfer(address,uint256)", abi.encode(OWNER, 1));
        _row("delegate(address)", abi.encode(OWNER));
        _row(
            "transferFrom(address,address,uint256)",
            abi.encode(address(this), STRANGER, 1),
            CUSTOMERS,
            IERC20Errors.ERC20InsufficientAllowance.selector
        );
        // Anyone may bring a signature; these have expired, whoever brings them.
        _row(
            "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
            new bytes(224),
            NO_ONE,
            ERC20Permit.ERC2612ExpiredSignature.selector
        );
        _row(
            "delegateBySig(address,uint256,uint256,uint8,bytes32,bytes32)",
            new bytes(192),
            NO_ONE,
            IVotes.VotesExpiredSignature.selector
        );
        _view("CLOCK_MODE()");
        _view("DOMAIN_SEPARATOR()");
        _view("allowance(address,address)");
        _view("balanceOf(address)");
        _view("checkpoints(address,uint32)");
        _view("clock()");
        _view("decimals()");
        _view("delegates(address)");
        _view("eip712Domain()");
        _view("getPastTotalSupply(uint256)");
        _view("getPastVotes(address,uint256)");
        _view("getVotes(address)");
        _view("name()");
        _view("nonces(address)");
        _view("numCheckpoints(address)");
        _view("symbol()");
        _view("totalSupply()");
        _check(address(aleph), "AlephToken");
    }
}

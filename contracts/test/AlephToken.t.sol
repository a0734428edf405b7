// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {vm} from "../script/Vm.sol";
import {AlephToken} from "../src/AlephToken.sol";

contract AlephTokenTest {
    bytes32 private constant PERMIT = keccak256(
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    );
    uint256 private constant KEY = 0xA11CE;
    uint256 private constant SUPPLY = 1000 ether;
    address private constant SPENDER = address(0x5);

    address private holder;
    AlephToken private aleph;

    function setUp() public {
        vm.warp(1_800_000_000);
        holder = vm.addr(KEY);
        aleph = new AlephToken(holder, SUPPLY);
    }

    function test_all_tokens_go_to_the_holder() public view {
        vm.assertEq(aleph.totalSupply(), SUPPLY);
        vm.assertEq(aleph.balanceOf(holder), SUPPLY);
        vm.assertEq(aleph.decimals(), 18);
        vm.assertEq(aleph.symbol(), "ALEPH");
    }

    function test_votes_count_by_time() public {
        vm.assertEq(aleph.clock(), block.timestamp);
        vm.assertEq(aleph.CLOCK_MODE(), "mode=timestamp");
        vm.assertEq(aleph.getVotes(holder), 0);

        vm.startPrank(holder);
        aleph.delegate(holder);
        vm.warp(block.timestamp + 10);
        aleph.transfer(SPENDER, 400 ether);
        vm.warp(block.timestamp + 10);

        vm.assertEq(aleph.getVotes(holder), 600 ether);
        vm.assertEq(aleph.getPastVotes(holder, block.timestamp - 11), SUPPLY);
        vm.assertEq(aleph.getPastVotes(holder, block.timestamp - 10), 600 ether);
        vm.assertEq(aleph.getPastTotalSupply(block.timestamp - 1), SUPPLY);
    }

    function test_a_permit_is_an_approval_by_signature_once() public {
        uint256 deadline = block.timestamp + 1;
        (uint8 v, bytes32 r, bytes32 s) = _sign(5 ether, 0, deadline);
        aleph.permit(holder, SPENDER, 5 ether, deadline, v, r, s);
        vm.assertEq(aleph.allowance(holder, SPENDER), 5 ether);
        vm.assertEq(aleph.nonces(holder), 1);

        // The nonce makes it another message, and another signer.
        (bool succeeded, bytes memory answer) = address(aleph)
            .call(abi.encodeCall(aleph.permit, (holder, SPENDER, 5 ether, deadline, v, r, s)));
        vm.assertFalse(succeeded);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(ERC20Permit.ERC2612InvalidSigner.selector));

        vm.expectRevert(ECDSA.ECDSAInvalidSignature.selector);
        aleph.permit(holder, SPENDER, 5 ether, deadline, 99, r, s);
        vm.warp(deadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(ERC20Permit.ERC2612ExpiredSignature.selector, deadline)
        );
        aleph.permit(holder, SPENDER, 5 ether, deadline, v, r, s);
    }

    function test_nobody_moves_what_is_not_allowed() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IERC20Errors.ERC20InsufficientAllowance.selector, address(this), 0, 1
            )
        );
        aleph.transferFrom(holder, SPENDER, 1);
    }

    function _sign(uint256 value, uint256 nonce, uint256 deadline)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 message = keccak256(abi.encode(PERMIT, holder, SPENDER, value, nonce, deadline));
        return vm.sign(KEY, keccak256(bytes.concat(hex"1901", aleph.DOMAIN_SEPARATOR(), message)));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {vm} from "../../script/Vm.sol";
import {StorageRegistry} from "../../src/StorageRegistry.sol";
import {ExactTransfer} from "../../src/libraries/ExactTransfer.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {FeeToken} from "../base/Tokens.sol";

/// @dev Calls back while it is being moved.
contract CallingToken is ERC20 {
    address private target;
    bytes private call;

    constructor() ERC20("Calling", "CALL") {
        _mint(msg.sender, 1e27);
    }

    function arm(address target_, bytes calldata call_) external {
        (target, call) = (target_, call_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (target == address(0)) return;
        (bool done, bytes memory error) = target.call(call);
        if (done) return;
        assembly ("memory-safe") {
            revert(add(error, 0x20), mload(error))
        }
    }
}

/// @dev The bond's token is hostile.
contract StorageReentrancyTest is StorageFixture {
    bytes32 private commitmentId;

    function test_a_token_that_calls_back_is_refused() public {
        CallingToken token = new CallingToken();
        _redeploy(token);
        vm.prank(CHALLENGER);
        store.issueChallenge(commitmentId);
        vm.warp(store.getChallenge(1).roundBy + 1);
        store.resolveChallenge(1);

        token.arm(address(store), abi.encodeCall(store.issueChallenge, (commitmentId)));
        _refused(abi.encodeCall(store.issueChallenge, (commitmentId)));
        _refused(abi.encodeCall(store.withdraw, ()));
        token.arm(address(store), abi.encodeCall(store.withdraw, ()));
        _refused(abi.encodeCall(store.withdraw, ()));
        token.arm(address(store), abi.encodeCall(store.resolveChallenge, (1)));
        _refused(abi.encodeCall(store.withdraw, ()));
    }

    function test_a_token_that_takes_a_fee_is_refused() public {
        _redeploy(new FeeToken());
        vm.expectRevert(
            abi.encodeWithSelector(
                ExactTransfer.UnexpectedAmountReceived.selector, BOND, BOND - BOND / 100
            )
        );
        vm.prank(CHALLENGER);
        store.issueChallenge(commitmentId);
    }

    function _refused(bytes memory call) private {
        vm.prank(CHALLENGER);
        (bool done, bytes memory error) = address(store).call(call);
        vm.assertFalse(done);
        vm.assertEq(
            bytes32(error), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector)
        );
    }

    function _redeploy(ERC20 token) private {
        store = StorageRegistry(
            _proxy(
                address(new StorageRegistry()),
                abi.encodeCall(
                    StorageRegistry.initialize,
                    (address(this), token, registry, staking, beacon, _parameters(), _floors())
                )
            )
        );
        store.grantRole(keccak256("PARAMETER_ROLE"), address(this));
        store.setFaultPolicy(policy);
        token.transfer(CHALLENGER, 1000 ether);
        vm.prank(CHALLENGER);
        token.approve(address(store), type(uint256).max);
        commitmentId = _committed();
    }
}

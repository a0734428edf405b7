// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {vm} from "../../script/Vm.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {MerkleTree} from "../base/MerkleTree.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev While it is being moved, makes a call.
contract HookToken is ERC20 {
    address private target;
    bytes private call;

    constructor() ERC20("Hook", "HOOK") {
        _mint(msg.sender, 1_000_000 ether);
    }

    function arm(address target_, bytes calldata call_) external {
        (target, call) = (target_, call_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (target == address(0)) return;
        (bool succeeded, bytes memory answer) = target.call(call);
        if (succeeded) return;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }
}

/// @dev The token is the slasher too, so that no role keeps it from any function: from each call that
/// moves tokens into each function that changes anything.
contract StakingReentrancyAttack is StakingFixture {
    HookToken private token;
    StakingManager private target;

    function setUp() public override {
        super.setUp();
        token = new HookToken();
        target = StakingManager(
            address(
                new ERC1967Proxy(
                    address(new StakingManager()),
                    abi.encodeCall(
                        StakingManager.initialize, (address(this), token, registry, _parameters())
                    )
                )
            )
        );
        registry.grantRole(Roles.STAKING_MANAGER, address(target));
        target.grantRole(Roles.SLASHER, address(token));
        target.grantRole(Roles.SLASHER, address(this));
        target.grantRole(Roles.REPORTER, address(this));
        token.transfer(OWNER, 100_000 ether);
        vm.prank(OWNER);
        token.approve(address(target), type(uint256).max);

        // OWNER can do everything there is to do.
        vm.startPrank(OWNER);
        target.stake(NODE, 1000 ether);
        target.unstake(NODE, 100 ether);
        target.delegate(NODE, 1000 ether, 0);
        target.undelegate(NODE, 100 ether);
        target.fundRewards(10 ether);
        vm.stopPrank();
        target.submitRewardRoot(1, MerkleTree.leaf(OWNER, 5 ether), 5 ether);
        target.slash(NODE, 10 ether, OWNER, 1000, REASON);
        _thaw();
    }

    function test_no_function_is_entered_from_another() public {
        bytes[] memory outer = _movingCalls();
        bytes[] memory inner = _allCalls();
        for (uint256 i = 0; i < outer.length; ++i) {
            for (uint256 j = 0; j < inner.length; ++j) {
                uint256 state = vm.snapshotState();
                token.arm(address(target), inner[j]);
                vm.prank(OWNER);
                (bool succeeded, bytes memory answer) = address(target).call(outer[i]);
                vm.assertFalse(succeeded);
                vm.assertEq(
                    answer,
                    abi.encodeWithSelector(
                        ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector
                    )
                );
                vm.revertToState(state);
            }
        }
    }

    /// @dev Each of these calls moves the token, and does so when the token behaves.
    function test_the_calls_are_good_ones() public {
        bytes[] memory outer = _movingCalls();
        for (uint256 i = 0; i < outer.length; ++i) {
            uint256 state = vm.snapshotState();
            uint256 before = token.balanceOf(address(target));
            vm.prank(OWNER);
            (bool succeeded,) = address(target).call(outer[i]);
            vm.assertTrue(succeeded);
            vm.assertNotEq(token.balanceOf(address(target)), before);
            vm.revertToState(state);
        }
    }

    function _movingCalls() private view returns (bytes[] memory calls) {
        calls = new bytes[](9);
        calls[0] = abi.encodeCall(target.stake, (NODE, 1 ether));
        calls[1] = abi.encodeCall(target.withdraw, (NODE));
        calls[2] = abi.encodeCall(target.delegate, (NODE, 1 ether, 0));
        calls[3] = abi.encodeCall(target.withdrawDelegation, (NODE));
        calls[4] = abi.encodeCall(target.addDelegationReward, (NODE, 1 ether));
        calls[5] = abi.encodeCall(target.fundRewards, (1 ether));
        calls[6] = abi.encodeCall(target.claimRewards, (OWNER, 5 ether, new bytes32[](0)));
        calls[7] = abi.encodeCall(target.withdrawReporterReward, ());
        calls[8] = abi.encodeCall(target.sendSlashedTokens, ());
    }

    function _allCalls() private view returns (bytes[] memory calls) {
        bytes[] memory moving = _movingCalls();
        calls = new bytes[](moving.length + 5);
        for (uint256 i = 0; i < moving.length; ++i) {
            calls[i] = moving[i];
        }
        calls[moving.length] = abi.encodeCall(target.unstake, (NODE, 1));
        calls[moving.length + 1] = abi.encodeCall(target.undelegate, (NODE, 1));
        calls[moving.length + 2] = abi.encodeCall(target.activate, (NODE));
        calls[moving.length + 3] = abi.encodeCall(target.slash, (NODE, 1, OWNER, 1, REASON));
        calls[moving.length + 4] =
            abi.encodeCall(target.slashOwner, (NODE, OWNER, 1, OWNER, 1, REASON));
    }
}

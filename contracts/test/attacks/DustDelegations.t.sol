// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev Many tiny delegations: they make nothing dearer, block nobody and cost nobody anything.
contract DustDelegationsAttack is StakingFixture {
    uint256 private constant DUST = 1e12;
    uint256 private constant ATTACKERS = 200;

    function test_dust_makes_nothing_dearer() public {
        _delegate(ALICE, 100 ether);
        _undelegate(ALICE, 10 ether);
        uint256 before = _gasOfSlash();

        _sprinkle();
        vm.assertLe(_gasOfSlash(), before + 100);
        uint256 gas = gasleft();
        _undelegate(ALICE, 10 ether);
        vm.assertLe(gas - gasleft(), 100_000);
    }

    function test_dust_blocks_nobody() public {
        _delegate(ALICE, 100 ether);
        _sprinkle();
        _slash(MIN_TOTAL_STAKE + 10 ether);
        uint256 value = _value(ALICE);
        vm.assertGe(value, 90 ether);

        vm.assertEq(_undelegateAll(ALICE), value);
        _thaw();
        vm.assertGe(_withdrawDelegation(ALICE) + 1, value);
        for (uint256 i = 0; i < ATTACKERS; ++i) {
            _withdrawDelegation(_attacker(i));
            _undelegateAll(_attacker(i));
        }
        _thaw();
        for (uint256 i = 0; i < ATTACKERS; ++i) {
            _withdrawDelegation(_attacker(i));
        }
        vm.assertEq(_pool().tokens + _pool().shares + _pool().thawing, 0);
        _assertWhole();
    }

    function test_less_than_dust_is_refused() public {
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.DelegationTooSmall.selector, DUST - 1, DUST)
        );
        _delegate(ALICE, DUST - 1);
    }

    /// @dev Rounding shaves at most a unit per call off nobody but the one who calls.
    function testFuzz_coming_and_going_shaves_nothing_off_others(uint256 reward, uint8 times)
        public
    {
        _delegate(ALICE, 100 ether);
        _reward(1 + reward % 1000 ether);
        uint256 value = _value(ALICE);
        for (uint256 i = 0; i < times % 30; ++i) {
            _delegate(BOB, 12 * DUST + i);
            _undelegateAll(BOB);
            vm.assertGe(_value(ALICE), value);
        }
    }

    /// @dev Half of the dust stays, half of it thaws.
    function _sprinkle() private {
        for (uint256 i = 0; i < ATTACKERS; ++i) {
            address attacker = _attacker(i);
            aleph.transfer(attacker, 2 * DUST);
            vm.startPrank(attacker);
            aleph.approve(address(staking), 2 * DUST);
            staking.delegate(NODE, 2 * DUST, 0);
            staking.undelegate(NODE, DUST);
            vm.stopPrank();
        }
    }

    function _gasOfSlash() private returns (uint256) {
        uint256 state = vm.snapshotState();
        vm.prank(SLASHER);
        uint256 gas = gasleft();
        staking.slash(NODE, MIN_TOTAL_STAKE + 1 ether, WITNESS, 1, REASON);
        gas -= gasleft();
        vm.revertToState(state);
        return gas;
    }

    function _attacker(uint256 i) private pure returns (address) {
        return address(uint160(0xD057000 + i));
    }
}

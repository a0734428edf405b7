// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev After slashes the books are rounded many times over, yet everybody gets out, the last one too,
/// and nothing is left behind.
contract LastWithdrawalAttack is StakingFixture {
    uint256 private constant DELEGATORS = 5;

    function test_the_last_of_three_after_an_odd_slash() public {
        _delegate(ALICE, 1 ether + 1);
        _delegate(BOB, 1 ether + 2);
        _delegate(OTHER_OWNER, 1 ether + 4);
        _undelegate(BOB, 0.3 ether + 7);
        _slash(MIN_TOTAL_STAKE + 1 ether + 3);
        _undelegateAll(ALICE);
        _undelegateAll(BOB);
        _slash(11);
        _undelegateAll(OTHER_OWNER);
        vm.assertEq(_pool().tokens + _pool().shares, 0);

        _thaw();
        uint256 left = _pool().thawing;
        vm.assertEq(left, 2 ether + 4 - 11);
        left -= _withdrawDelegation(BOB);
        left -= _withdrawDelegation(ALICE);
        vm.assertEq(_withdrawDelegation(OTHER_OWNER), left);
        vm.assertEq(_pool().thawing, 0);
        _assertWhole();
    }

    function testFuzz_everybody_gets_out(
        uint96[DELEGATORS] calldata amounts,
        uint96[DELEGATORS] calldata parts,
        uint96[DELEGATORS] calldata slashes,
        uint256 order
    ) public {
        _slash(MIN_TOTAL_STAKE);
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            address delegator = _delegator(i);
            uint256 shares = _delegate(delegator, 1e12 + amounts[i] % 1000 ether);
            uint256 part = 1 + parts[i] % shares;
            if (shares - part < 1e12) part = shares;
            _undelegate(delegator, part);
            // Seldom all of it.
            _slash(slashes[i] % (staking.slashableStake(NODE) + 1));
        }
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            address delegator = _delegator(i + order % DELEGATORS);
            if (staking.getDelegation(NODE, delegator).shares != 0) _undelegateAll(delegator);
        }
        vm.assertEq(_pool().tokens + _pool().shares, 0);

        _thaw();
        for (uint256 i = 0; i < DELEGATORS; ++i) {
            _withdrawDelegation(_delegator(i + order / DELEGATORS % DELEGATORS));
        }
        vm.assertEq(_pool().thawing, 0);
        vm.assertEq(staking.slashableStake(NODE), 0);
        vm.assertEq(
            staking.heldTokens(), staking.slashedTokens() + staking.reporterRewardOf(WITNESS)
        );
        _assertWhole();
    }

    function testFuzz_an_owner_gets_out(
        uint96[4] calldata amounts,
        uint96[4] calldata parts,
        uint96[4] calldata slashes
    ) public {
        for (uint256 i = 0; i < amounts.length; ++i) {
            _stake(NODE, OWNER, 1 + amounts[i] % 1000 ether);
            _unstake(OWNER, 1 + parts[i] % staking.getStake(NODE).total);
            _slash(slashes[i] % (staking.slashableStake(NODE) + 1));
            if (slashes[i] % 3 == 0) _mature();
        }
        uint256 total = staking.getStake(NODE).total;
        if (total != 0) _unstake(OWNER, total);
        _thaw();
        uint256 left = staking.slashableStake(NODE);
        vm.assertEq(_withdraw(OWNER), left);
        vm.assertEq(staking.slashableStake(NODE), 0);
        _assertWhole();
    }

    function _delegator(uint256 i) private pure returns (address) {
        address[DELEGATORS] memory all = [ALICE, BOB, OTHER_OWNER, OWNER, address(0xF9)];
        return all[i % DELEGATORS];
    }

    function setUp() public override {
        super.setUp();
        _fund(address(0xF9));
    }
}

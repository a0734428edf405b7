// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {MerkleTree} from "../base/MerkleTree.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev The pauser has gone rogue, or lost its key: all that is in comes out, to the last unit.
contract StakingPausedExitsAttack is StakingFixture {
    function test_everything_gets_out_of_a_paused_contract() public {
        _delegate(ALICE, 10 ether);
        vm.prank(BOB);
        staking.fundRewards(7 ether);
        vm.prank(REPORTER);
        staking.submitRewardRoot(1, MerkleTree.leaf(BOB, 7 ether), 7 ether);
        staking.pause();

        // Duties go on as well.
        _slash(100 ether);
        _reward(1 ether);

        vm.prank(WITNESS);
        staking.withdrawReporterReward();
        staking.sendSlashedTokens();
        staking.claimRewards(BOB, 7 ether, new bytes32[](0));
        _unstake(OWNER, MIN_TOTAL_STAKE - 100 ether);
        _undelegateAll(ALICE);
        _thaw();
        vm.assertEq(_withdraw(OWNER), MIN_TOTAL_STAKE - 100 ether);
        vm.assertEq(_withdrawDelegation(ALICE), 11 ether);
        vm.assertEq(staking.heldTokens(), 0);
        vm.assertEq(aleph.balanceOf(address(staking)), 0);
    }
}

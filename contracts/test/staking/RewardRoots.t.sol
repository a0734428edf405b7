// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {IRewardRoots} from "../../src/interfaces/IRewardRoots.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {MerkleTree} from "../base/MerkleTree.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

contract RewardRootsTest is StakingFixture {
    bytes32 private constant ROOT = keccak256("root");
    uint256 private constant GROWTH_MAX = 10_000 ether;

    function setUp() public override {
        super.setUp();
        vm.prank(OTHER_OWNER);
        staking.fundRewards(100_000 ether);
    }

    function test_anyone_funds_rewards() public {
        vm.expectEmit(address(staking));
        emit IRewardRoots.RewardsFunded(ALICE, 5 ether);
        vm.prank(ALICE);
        staking.fundRewards(5 ether);
        vm.assertEq(staking.getRewardState().funded, 100_005 ether);
        _assertWhole();

        vm.expectRevert(IStakingManager.ZeroAmount.selector);
        vm.prank(ALICE);
        staking.fundRewards(0);
    }

    function test_a_root_is_accepted_and_stays_as_it_is() public {
        vm.expectEmit(address(staking));
        emit IRewardRoots.RewardRootAccepted(3, ROOT, 100 ether);
        _submit(3, ROOT, 100 ether);
        bytes memory accepted =
            abi.encode(IRewardRoots.RewardRoot(ROOT, 100 ether, uint64(block.timestamp)));
        vm.assertEq(abi.encode(staking.getRewardRoot(3)), accepted);

        vm.warp(block.timestamp + 1 days);
        for (uint64 epoch = 0; epoch <= 3; ++epoch) {
            vm.expectRevert(abi.encodeWithSelector(IRewardRoots.EpochNotNew.selector, epoch, 3));
            _submit(epoch, keccak256("another"), 200 ether);
        }
        _submit(5, keccak256("another"), 200 ether);
        vm.assertEq(abi.encode(staking.getRewardRoot(3)), accepted);
        vm.assertEq(staking.getRewardRoot(4).acceptedAt, 0);

        IRewardRoots.RewardState memory state = staking.getRewardState();
        vm.assertEq(state.latestEpoch, 5);
        vm.assertEq(state.earned, 200 ether);
        vm.assertEq(state.claimed, 0);
    }

    function test_a_root_is_not_zero_and_not_epoch_zero() public {
        vm.expectRevert(IRewardRoots.NoRewardRoot.selector);
        _submit(1, 0, 1);
        vm.expectRevert(abi.encodeWithSelector(IRewardRoots.EpochNotNew.selector, 0, 0));
        _submit(0, ROOT, 1);
    }

    function test_roots_come_at_intervals() public {
        _submit(1, ROOT, 1 ether);
        uint64 earliest = uint64(block.timestamp) + 1 days;
        vm.warp(earliest - 1);
        vm.expectRevert(abi.encodeWithSelector(IRewardRoots.RewardRootTooSoon.selector, earliest));
        _submit(2, ROOT, 2 ether);
        vm.warp(earliest);
        _submit(2, ROOT, 2 ether);
    }

    function test_the_total_grows_within_limits_and_never_falls() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IRewardRoots.RewardGrowthTooFast.selector, GROWTH_MAX + 1, GROWTH_MAX
            )
        );
        _submit(1, ROOT, GROWTH_MAX + 1);
        _submit(1, ROOT, GROWTH_MAX);

        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRewardRoots.RewardGrowthTooFast.selector, GROWTH_MAX + 1, GROWTH_MAX
            )
        );
        _submit(2, ROOT, 2 * GROWTH_MAX + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRewardRoots.RewardTotalFell.selector, GROWTH_MAX - 1, GROWTH_MAX
            )
        );
        _submit(2, ROOT, GROWTH_MAX - 1);
        // An epoch in which nothing was earned.
        _submit(2, ROOT, GROWTH_MAX);
    }

    function test_what_was_earned_is_funded() public {
        IStakingManager.Parameters memory parameters = _parameters();
        parameters.rewardGrowthMax = 1e27;
        staking.setParameters(parameters);
        vm.expectRevert(
            abi.encodeWithSelector(
                IRewardRoots.RewardsNotFunded.selector, 100_000 ether + 1, 100_000 ether
            )
        );
        _submit(1, ROOT, 100_000 ether + 1);
        _submit(1, ROOT, 100_000 ether);
    }

    function test_a_pause_stops_new_roots_and_no_claims() public {
        _submit(1, MerkleTree.leaf(ALICE, 7 ether), 7 ether);
        vm.warp(block.timestamp + 1 days);
        staking.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _submit(2, ROOT, 8 ether);
        _claim(ALICE, 7 ether, new bytes32[](0));
        vm.prank(ALICE);
        staking.fundRewards(1 ether);
    }

    function test_claims_pay_the_difference() public {
        vm.expectRevert(IRewardRoots.NoRewardRoot.selector);
        _claim(ALICE, 1 ether, new bytes32[](0));

        bytes32[] memory siblings = new bytes32[](1);
        siblings[0] = MerkleTree.leaf(BOB, 3 ether);
        bytes32 leaf = MerkleTree.leaf(ALICE, 5 ether);
        _submit(1, MerkleTree.climb(leaf, siblings), 8 ether);

        vm.expectEmit(address(staking));
        emit IRewardRoots.RewardsClaimed(ALICE, 5 ether, 5 ether);
        _claim(ALICE, 5 ether, siblings);
        vm.assertEq(aleph.balanceOf(ALICE), BEGINNING + 5 ether);
        vm.expectRevert(IRewardRoots.NothingToClaim.selector);
        _claim(ALICE, 5 ether, siblings);

        // The next tree: Bob has missed a claim and loses nothing by it.
        vm.warp(block.timestamp + 1 days);
        siblings[0] = MerkleTree.leaf(BOB, 4 ether);
        leaf = MerkleTree.leaf(ALICE, 11 ether);
        _submit(2, MerkleTree.climb(leaf, siblings), 15 ether);
        vm.expectEmit(address(staking));
        emit IRewardRoots.RewardsClaimed(ALICE, 6 ether, 11 ether);
        _claim(ALICE, 11 ether, siblings);
        siblings[0] = leaf;
        _claim(BOB, 4 ether, siblings);
        vm.assertEq(staking.getClaimedRewards(ALICE), 11 ether);
        vm.assertEq(staking.getClaimedRewards(BOB), 4 ether);
        vm.assertEq(staking.getRewardState().claimed, 15 ether);
        _assertWhole();
    }

    function test_a_leaf_is_for_one_account_one_amount_and_the_latest_tree() public {
        bytes32[] memory siblings = new bytes32[](1);
        siblings[0] = MerkleTree.leaf(BOB, 3 ether);
        _submit(1, MerkleTree.climb(MerkleTree.leaf(ALICE, 5 ether), siblings), 8 ether);

        vm.expectRevert(IRewardRoots.InvalidRewardProof.selector);
        _claim(BOB, 5 ether, siblings);
        vm.expectRevert(IRewardRoots.InvalidRewardProof.selector);
        _claim(ALICE, 5 ether + 1, siblings);
        vm.expectRevert(IRewardRoots.InvalidRewardProof.selector);
        _claim(ALICE, 5 ether, new bytes32[](0));

        vm.warp(block.timestamp + 1 days);
        _submit(2, ROOT, 9 ether);
        vm.expectRevert(IRewardRoots.InvalidRewardProof.selector);
        _claim(ALICE, 5 ether, siblings);
    }

    /// @dev A tree that promises more than its total pays no more than its total.
    function test_claims_stay_within_the_total() public {
        bytes32[] memory siblings = new bytes32[](1);
        siblings[0] = MerkleTree.leaf(BOB, type(uint256).max);
        bytes32 leaf = MerkleTree.leaf(ALICE, 5 ether);
        _submit(1, MerkleTree.climb(leaf, siblings), 8 ether);
        _claim(ALICE, 5 ether, siblings);

        siblings[0] = leaf;
        vm.expectRevert(
            abi.encodeWithSelector(
                IRewardRoots.RewardTotalExceeded.selector, type(uint256).max, 3 ether
            )
        );
        _claim(BOB, type(uint256).max, siblings);
    }

    /// @dev A tree in which an account has less than it has claimed takes nothing back and pays
    /// nothing.
    function test_an_amount_that_fell_pays_nothing() public {
        _submit(1, MerkleTree.leaf(ALICE, 5 ether), 5 ether);
        _claim(ALICE, 5 ether, new bytes32[](0));
        vm.warp(block.timestamp + 1 days);
        _submit(2, MerkleTree.leaf(ALICE, 4 ether), 5 ether);
        vm.expectRevert(IRewardRoots.NothingToClaim.selector);
        _claim(ALICE, 4 ether, new bytes32[](0));
    }

    /// @dev Trees of any size: each leaf is paid, once.
    function testFuzz_every_leaf_of_a_tree_is_paid(uint256 seed, uint256 count) public {
        count = 1 + count % 33;
        (bytes32[] memory leaves, uint256[] memory amounts, uint256 total) = _tree(seed, count);
        _submit(1, MerkleTree.root(leaves), total);
        for (uint256 i = 0; i < count; ++i) {
            _claim(_account(i), amounts[i], MerkleTree.proof(leaves, i));
            vm.assertEq(aleph.balanceOf(_account(i)), amounts[i]);
        }
        vm.assertEq(staking.getRewardState().claimed, total);
        _assertWhole();
    }

    /// @dev The contract accepts exactly what a plain climb of the tree accepts.
    function testFuzz_proofs_against_a_plain_climb(
        uint256 seed,
        uint256 count,
        uint256 index,
        uint256 where,
        bytes32 flip
    ) public {
        count = 1 + count % 33;
        index %= count;
        (bytes32[] memory leaves, uint256[] memory amounts, uint256 total) = _tree(seed, count);
        bytes32 root = MerkleTree.root(leaves);
        _submit(1, root, total);
        bytes32[] memory siblings = MerkleTree.proof(leaves, index);
        uint256 amount = amounts[index];
        if (where % 3 == 0) amount ^= uint256(flip) % 1 ether;
        else if (siblings.length != 0) siblings[where % siblings.length] ^= flip;

        bool valid = MerkleTree.climb(MerkleTree.leaf(_account(index), amount), siblings) == root;
        if (!valid) vm.expectRevert(IRewardRoots.InvalidRewardProof.selector);
        _claim(_account(index), amount, siblings);
        vm.assertEq(aleph.balanceOf(_account(index)), valid ? amount : 0);
    }

    /// @dev However amounts move from tree to tree, an account gets their maximum.
    function testFuzz_claims_are_cumulative(uint64[8] calldata amounts) public {
        uint256 most;
        for (uint64 epoch = 1; epoch <= amounts.length; ++epoch) {
            uint256 amount = uint256(amounts[epoch - 1]) + 1;
            _submit(epoch, MerkleTree.leaf(STRANGER, amount), uint256(epoch) * 2 ** 65);
            if (amount <= most) vm.expectRevert(IRewardRoots.NothingToClaim.selector);
            else most = amount;
            _claim(STRANGER, amount, new bytes32[](0));
            vm.assertEq(aleph.balanceOf(STRANGER), most);
            vm.assertEq(staking.getClaimedRewards(STRANGER), most);
            vm.warp(block.timestamp + 1 days);
        }
    }

    function _tree(uint256 seed, uint256 count)
        private
        pure
        returns (bytes32[] memory leaves, uint256[] memory amounts, uint256 total)
    {
        leaves = new bytes32[](count);
        amounts = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            amounts[i] = 1 + uint256(keccak256(abi.encode(seed, i))) % 100 ether;
            leaves[i] = MerkleTree.leaf(_account(i), amounts[i]);
            total += amounts[i];
        }
    }

    function _account(uint256 i) private pure returns (address) {
        return address(uint160(0xACC000 + i));
    }

    function _submit(uint64 epoch, bytes32 root, uint256 cumulativeTotal) private {
        vm.prank(REPORTER);
        staking.submitRewardRoot(epoch, root, cumulativeTotal);
    }

    function _claim(address account, uint256 amount, bytes32[] memory siblings) private {
        vm.prank(OPERATOR);
        staking.claimRewards(account, amount, siblings);
    }
}

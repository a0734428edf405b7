// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IRewardRoots} from "../../src/interfaces/IRewardRoots.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {MerkleTree} from "../base/MerkleTree.sol";
import {StakingManagerHarness} from "../base/StakingManagerHarness.sol";

/// @title Owners, delegators, slashers and reporters who do what they may, in any order
/// @dev No action is tried that must fail: a revert is a finding. Every account plays every part: it
/// can own each node, delegate to each, report faults and earn rewards.
contract StakingHandler {
    uint256 public constant NODES = 2;
    uint256 public constant ACCOUNTS = 4;
    uint256 private constant DELEGATION_MIN = 1e12;
    uint256 private constant THAWS_MAX = 32;

    AlephToken private immutable ALEPH;
    NodeRegistry private immutable REGISTRY;
    StakingManagerHarness private immutable STAKING;
    address private immutable ADMIN;

    /// @notice What an outside observer saw go in and come out.
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public slashedFromOwners;
    uint256 public reporterRewards;

    /// @notice What the present tree of rewards says.
    uint256[4] private earned;

    constructor(
        AlephToken aleph,
        NodeRegistry registry,
        StakingManagerHarness staking,
        address admin
    ) {
        (ALEPH, REGISTRY, STAKING, ADMIN) = (aleph, registry, staking, admin);
    }

    // Nodes.

    function register(uint256 node, uint256 who) external {
        node %= NODES;
        if (_registered(node)) return;
        vm.prank(address(uint160(0xB000 + node)));
        REGISTRY.registerNode(
            nodeId(node), account(who), INodeRegistry.NodeType.Compute, _key(), "bafk", "eu"
        );
    }

    /// @dev Seldom, or nothing ever grows.
    function deregister(uint256 node, uint8 luck) external {
        node %= NODES;
        if (luck % 4 != 0 || !_registered(node) || REGISTRY.isNodeActive(nodeId(node))) return;
        vm.prank(REGISTRY.getNode(nodeId(node)).owner);
        REGISTRY.deregisterNode(nodeId(node));
    }

    function activate(uint256 node) external {
        node %= NODES;
        if (!_registered(node) || REGISTRY.isNodeActive(nodeId(node))) return;
        uint256 required = STAKING.getParameters().minTotalStake;
        if (STAKING.getStake(nodeId(node)).matured < required) return;
        STAKING.activate(nodeId(node));
    }

    // Owners.

    function stake(uint256 node, uint256 amount) external {
        node %= NODES;
        if (!_registered(node) || STAKING.paused()) return;
        address owner = REGISTRY.getNode(nodeId(node)).owner;
        amount = 1 + amount % 1500 ether;
        _fund(owner, amount);
        vm.prank(owner);
        STAKING.stake(nodeId(node), amount);
    }

    function unstake(uint256 node, uint256 who, uint256 amount) external {
        bytes32 id = nodeId(node % NODES);
        address owner = account(who);
        uint256 staked = STAKING.getStakeOf(id, owner).total;
        if (staked == 0 || STAKING.getUnstakings(id, owner).length == THAWS_MAX) return;
        vm.prank(owner);
        STAKING.unstake(id, 1 + amount % staked);
    }

    function withdraw(uint256 node, uint256 who) external {
        bytes32 id = nodeId(node % NODES);
        address owner = account(who);
        if (!_anyEnds(STAKING.getUnstakings(id, owner))) return;
        uint256 before = ALEPH.balanceOf(owner);
        vm.prank(owner);
        STAKING.withdraw(id);
        paidOut += ALEPH.balanceOf(owner) - before;
    }

    // Delegators.

    function delegate(uint256 node, uint256 who, uint256 amount) external {
        node %= NODES;
        bytes32 id = nodeId(node);
        if (!_registered(node) || STAKING.paused()) return;
        address delegator = account(who);
        // What is left of a former generation must go first.
        IStakingManager.PoolInfo memory pool = STAKING.getPool(id);
        IStakingManager.DelegationInfo memory info = STAKING.getDelegation(id, delegator);
        if (info.value != 0 && pool.shares / 1e9 >= pool.tokens) return;
        // Enough for the fewest shares at any price that rewards can make here.
        amount = 1 ether + amount % 1000 ether;
        if (pool.shares != 0 && pool.tokens / pool.shares > 1e5) return;
        _fund(delegator, amount);
        vm.prank(delegator);
        try STAKING.delegate(id, amount, 0) {}
        catch (bytes memory error) {
            vm.assertEq(bytes32(bytes4(error)), bytes32(IStakingManager.FormerGeneration.selector));
            _unfund(delegator, amount);
        }
    }

    function undelegate(uint256 node, uint256 who, uint256 shares) external {
        bytes32 id = nodeId(node % NODES);
        address delegator = account(who);
        uint256 all = STAKING.getDelegation(id, delegator).shares;
        if (all == 0 || STAKING.getUndelegations(id, delegator).length == THAWS_MAX) return;
        shares = 1 + shares % all;
        if (all - shares < DELEGATION_MIN) shares = all;
        vm.prank(delegator);
        STAKING.undelegate(id, shares);
    }

    function withdrawDelegation(uint256 node, uint256 who) external {
        bytes32 id = nodeId(node % NODES);
        address delegator = account(who);
        if (!_anyEnds(STAKING.getUndelegations(id, delegator))) return;
        uint256 before = ALEPH.balanceOf(delegator);
        vm.prank(delegator);
        STAKING.withdrawDelegation(id);
        paidOut += ALEPH.balanceOf(delegator) - before;
    }

    function addDelegationReward(uint256 node, uint256 who, uint256 amount) external {
        address from = account(who);
        amount = 1 + amount % 10 ether;
        _fund(from, amount);
        vm.prank(from);
        uint256 taken = STAKING.addDelegationReward(nodeId(node % NODES), amount);
        vm.assertTrue(taken == 0 || taken == amount);
        if (taken == 0) _unfund(from, amount);
    }

    // Slashes.

    function slash(uint256 node, uint256 who, uint256 amount, uint16 bps) external {
        bytes32 id = nodeId(node % NODES);
        address owner = STAKING.accountableOwner(id);
        uint256 all = STAKING.slashableStake(id);
        amount = _slashAmount(amount, all);
        uint256 before = STAKING.stakeOf(id, owner);
        (uint256 slashed, uint256 reward) =
            STAKING.slash(id, amount, account(who), bps, bytes32(amount));
        vm.assertEq(slashed, amount < all ? amount : all);
        vm.assertEq(STAKING.slashableStake(id), all - slashed);
        slashedFromOwners += before - STAKING.stakeOf(id, owner);
        reporterRewards += reward;
    }

    function slashOwner(uint256 node, uint256 whose, uint256 who, uint256 amount) external {
        bytes32 id = nodeId(node % NODES);
        uint256 before = STAKING.stakeOf(id, account(whose));
        amount = _slashAmount(amount, before);
        (uint256 slashed, uint256 reward) =
            STAKING.slashOwner(id, account(whose), amount, account(who), 10_000, bytes32(amount));
        vm.assertLe(slashed, amount);
        slashedFromOwners += before - STAKING.stakeOf(id, account(whose));
        reporterRewards += reward;
    }

    function withdrawReporterReward(uint256 who) external {
        address reporter = account(who);
        uint256 amount = STAKING.reporterRewardOf(reporter);
        if (amount == 0) return;
        vm.prank(reporter);
        STAKING.withdrawReporterReward();
        paidOut += amount;
    }

    function sendSlashedTokens() external {
        uint256 amount = STAKING.slashedTokens();
        if (amount == 0) return;
        STAKING.sendSlashedTokens();
        paidOut += amount;
    }

    // Rewards.

    function fundRewards(uint256 who, uint256 amount) external {
        amount = 1 + amount % 100 ether;
        _fund(account(who), amount);
        vm.prank(account(who));
        STAKING.fundRewards(amount);
    }

    function submitRewardRoot(uint256[4] calldata more) external {
        IRewardRoots.RewardState memory state = STAKING.getRewardState();
        uint64 acceptedAt = STAKING.getRewardRoot(state.latestEpoch).acceptedAt;
        if (STAKING.paused()) return;
        if (acceptedAt != 0 && block.timestamp < acceptedAt + 1 days) return;
        uint256 left = state.funded - state.earned;
        uint256 total = state.earned;
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            uint256 part = more[i] % (left / ACCOUNTS + 1);
            earned[i] += part;
            total += part;
        }
        STAKING.submitRewardRoot(state.latestEpoch + 1, MerkleTree.root(_leaves()), total);
    }

    function claimRewards(uint256 who) external {
        who %= ACCOUNTS;
        uint256 claimed = STAKING.getClaimedRewards(account(who));
        if (STAKING.getRewardState().latestEpoch == 0 || earned[who] == claimed) return;
        STAKING.claimRewards(account(who), earned[who], MerkleTree.proof(_leaves(), who));
        paidOut += earned[who] - claimed;
    }

    // Time, and the pauser.

    function pass(uint256 seconds_, uint256 blocks) external {
        vm.warp(block.timestamp + seconds_ % 10 days);
        vm.roll(block.number + blocks % 4);
    }

    function pause(uint8 luck) external {
        if (STAKING.paused()) {
            vm.prank(ADMIN);
            STAKING.unpause();
        } else if (luck % 8 == 0) {
            vm.prank(ADMIN);
            STAKING.pause();
        }
    }

    // The end: everybody leaves.

    function leave() external {
        for (uint256 node = 0; node < NODES; ++node) {
            for (uint256 i = 0; i < ACCOUNTS; ++i) {
                _beginToLeave(nodeId(node), account(i));
            }
        }
        vm.warp(block.timestamp + STAKING.getParameters().unbondingPeriod);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            for (uint256 node = 0; node < NODES; ++node) {
                _endToLeave(nodeId(node), account(i));
            }
            this.claimRewards(i);
            this.withdrawReporterReward(i);
        }
        this.sendSlashedTokens();
    }

    function _beginToLeave(bytes32 id, address who) private {
        vm.warp(block.timestamp + STAKING.getParameters().unbondingPeriod);
        _endToLeave(id, who);
        vm.startPrank(who);
        uint256 staked = STAKING.getStakeOf(id, who).total;
        if (staked != 0) STAKING.unstake(id, staked);
        uint256 shares = STAKING.getDelegation(id, who).shares;
        if (shares != 0) STAKING.undelegate(id, shares);
        vm.stopPrank();
    }

    function _endToLeave(bytes32 id, address who) private {
        uint256 before = ALEPH.balanceOf(who);
        vm.startPrank(who);
        if (STAKING.getUnstakings(id, who).length != 0) STAKING.withdraw(id);
        if (STAKING.getUndelegations(id, who).length != 0) STAKING.withdrawDelegation(id);
        vm.stopPrank();
        paidOut += ALEPH.balanceOf(who) - before;
    }

    // What the invariants ask.

    function nodeId(uint256 i) public pure returns (bytes32) {
        return bytes32(i + 1);
    }

    function account(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i % ACCOUNTS));
    }

    function accounts() external pure returns (address[] memory all) {
        all = new address[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            all[i] = account(i);
        }
    }

    /// @dev Nothing, a little, about half, all but a few units, all, more.
    function _slashAmount(uint256 seed, uint256 all) private pure returns (uint256) {
        uint256 kind = seed % 16;
        seed /= 16;
        if (kind == 0) return 0;
        if (kind == 1) return type(uint256).max - seed % 2;
        if (kind == 2) return all;
        if (kind == 3) return all - (all == 0 ? 0 : seed % (all < 10 ? all : 10));
        if (kind < 8) return all == 0 ? 0 : seed % all;
        return seed % (all / 20 + 1);
    }

    function _leaves() private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](ACCOUNTS);
        for (uint256 i = 0; i < ACCOUNTS; ++i) {
            leaves[i] = MerkleTree.leaf(account(i), earned[i]);
        }
    }

    function _anyEnds(IStakingManager.ThawInfo[] memory thaws) private view returns (bool) {
        for (uint256 i = 0; i < thaws.length; ++i) {
            if (thaws[i].withdrawableAt <= block.timestamp) return true;
        }
        return false;
    }

    function _fund(address who, uint256 amount) private {
        vm.prank(ADMIN);
        ALEPH.transfer(who, amount);
        vm.prank(who);
        ALEPH.approve(address(STAKING), amount);
        paidIn += amount;
    }

    function _unfund(address who, uint256 amount) private {
        vm.prank(who);
        ALEPH.transfer(ADMIN, amount);
        paidIn -= amount;
    }

    function _registered(uint256 node) private view returns (bool) {
        INodeRegistry.NodeStatus status = REGISTRY.getNode(nodeId(node)).status;
        return
            status != INodeRegistry.NodeStatus.None
                && status != INodeRegistry.NodeStatus.Deregistered;
    }

    function _key() private pure returns (INodeRegistry.AttestationKey memory) {
        return INodeRegistry.AttestationKey(
            0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
            0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
        );
    }
}

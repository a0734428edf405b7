// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IRewardRoots} from "../../src/interfaces/IRewardRoots.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Fixture} from "../base/Fixture.sol";
import {StakingManagerHarness} from "../base/StakingManagerHarness.sol";
import {StakingHandler} from "./StakingHandler.sol";

/// @dev What holds of stake after any sequence of what anybody can do.
contract StakingManagerInvariants is Fixture {
    StakingHandler private handler;
    StakingManagerHarness private books;

    function setUp() public override {
        super.setUp();
        staking.upgradeToAndCall(address(new StakingManagerHarness()), "");
        books = StakingManagerHarness(address(staking));
        handler = new StakingHandler(aleph, registry, books, address(this));
        staking.grantRole(Roles.SLASHER, address(handler));
        staking.grantRole(Roles.REPORTER, address(handler));

        // Two nodes at work, with delegators: a random sequence alone seldom gets that far.
        for (uint256 i = 0; i < 2; ++i) {
            handler.register(i, i);
            handler.stake(i, 1400 ether);
            handler.delegate(i, 0, 200 ether);
            handler.delegate(i, 1, 300 ether);
        }
        handler.pass(MIN_STAKE_DURATION_S, 2);
        handler.activate(0);
        handler.activate(1);
        vm.assertEq(registry.getActiveNodes(0, 256).length, 2);
    }

    /// @dev forge calls random functions of these contracts only.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev But the one that ends it.
    function excludeSelectors() external view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        selectors[0] = FuzzSelector(address(handler), new bytes4[](1));
        selectors[0].selectors[0] = handler.leave.selector;
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @dev The token balance is the sum of what is owed, place by place.
    function invariant_every_token_is_accounted_for() external view {
        uint256 held = staking.heldTokens();
        vm.assertEq(aleph.balanceOf(address(staking)), held);
        vm.assertEq(_owed(), held);
        vm.assertEq(handler.paidIn() - handler.paidOut(), held);
    }

    /// @dev No share is without a holder, and no holder without a share.
    function invariant_shares_add_up() external view {
        address[] memory accounts = handler.accounts();
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 nodeId = handler.nodeId(i);
            vm.assertEq(books.sharesWithoutHolder(nodeId, accounts), 0);
            vm.assertEq(books.thawsWithoutHolder(nodeId, accounts), 0);
            for (uint256 j = 0; j < accounts.length; ++j) {
                vm.assertEq(books.thawsWithoutOwner(nodeId, accounts[j]), 0);
            }
        }
    }

    /// @dev Work goes only to nodes with the stake for it, whatever was slashed.
    function invariant_active_nodes_have_their_stake() external view {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 nodeId = handler.nodeId(i);
            if (!registry.isNodeActive(nodeId)) continue;
            vm.assertGe(staking.getStake(nodeId).matured, MIN_TOTAL_STAKE);
            vm.assertEq(staking.accountableOwner(nodeId), registry.getNode(nodeId).owner);
            vm.assertGe(staking.slashableStake(nodeId), MIN_TOTAL_STAKE);
        }
    }

    /// @dev Rewards are paid out of what was paid in for them.
    function invariant_claims_never_exceed_deposits() external view {
        IRewardRoots.RewardState memory state = staking.getRewardState();
        vm.assertLe(state.claimed, state.earned);
        vm.assertLe(state.earned, state.funded);
        uint256 claimed;
        for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
            claimed += staking.getClaimedRewards(handler.account(i));
        }
        vm.assertEq(claimed, state.claimed);
    }

    /// @dev Reporters live on a part of what owners lose.
    function invariant_reporters_get_their_part_at_most() external view {
        vm.assertLe(handler.reporterRewards() * 10, handler.slashedFromOwners());
    }

    /// @dev Whatever happened, everybody can leave, and then nothing is left but what was paid in for
    /// rewards that nobody has earned.
    function afterInvariant() external {
        handler.leave();
        IRewardRoots.RewardState memory state = staking.getRewardState();
        vm.assertEq(staking.heldTokens(), state.funded - state.claimed);
        vm.assertEq(aleph.balanceOf(address(staking)), state.funded - state.claimed);
    }

    function _owed() private view returns (uint256 owed) {
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            bytes32 nodeId = handler.nodeId(i);
            owed += books.delegationsTo(nodeId);
            for (uint256 j = 0; j < handler.ACCOUNTS(); ++j) {
                owed += books.stakeOf(nodeId, handler.account(j));
            }
        }
        for (uint256 i = 0; i < handler.ACCOUNTS(); ++i) {
            owed += staking.reporterRewardOf(handler.account(i));
        }
        IRewardRoots.RewardState memory state = staking.getRewardState();
        owed += staking.slashedTokens() + state.funded - state.claimed;
    }
}

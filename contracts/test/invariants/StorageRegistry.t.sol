// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {StorageHandler} from "./StorageHandler.sol";

/// @dev What holds after any sequence of what nodes, challengers and passers-by can do.
contract StorageInvariants is StorageFixture {
    StorageHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new StorageHandler(aleph, store, beacon);
        for (uint256 i = 0; i < handler.NODES(); ++i) {
            _activeNode(handler.nodeId(i), handler.owner(i), handler.operator(i));
        }
        for (uint256 i = 0; i < handler.CHALLENGERS(); ++i) {
            _fund(handler.challenger(i));
        }
        // Challenges at work from the start: a random sequence alone seldom gets that far.
        for (uint256 i = 0; i < 4; ++i) {
            handler.commit(i, uint8(i), 5);
        }
        _toBorder();
        for (uint256 i = 0; i < 4; ++i) {
            handler.issue(i);
        }
        vm.assertEq(store.challengeCount(), 4);
    }

    /// @dev forge calls random functions of these contracts only.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev The registry holds exactly the bonds of open challenges and what it owes.
    function invariant_every_bond_is_accounted_for() external view {
        uint256 bonds;
        for (uint256 challengeId = 1; challengeId <= store.challengeCount(); ++challengeId) {
            IStorageRegistry.Challenge memory challenge = store.getChallenge(challengeId);
            if (challenge.status == IStorageRegistry.ChallengeStatus.Open) bonds += challenge.bond;
        }
        uint256 credits;
        for (uint256 i = 0; i < handler.accounts(); ++i) {
            credits += store.creditOf(handler.accountAt(i));
        }
        vm.assertEq(aleph.balanceOf(address(store)), bonds + credits);
        vm.assertEq(bonds + credits, handler.deposited() - handler.withdrawn());
    }

    /// @dev Whatever state a sequence leads to, time and a passer-by end every challenge and empty
    /// the registry. forge calls this at the end of each sequence.
    function afterInvariant() external {
        vm.warp(block.timestamp + 30 days);
        for (uint256 challengeId = 1; challengeId <= store.challengeCount(); ++challengeId) {
            if (_status(challengeId) == IStorageRegistry.ChallengeStatus.Open) {
                store.resolveChallenge(challengeId);
            }
        }
        for (uint256 i = 0; i < handler.accounts(); ++i) {
            handler.withdraw(i);
        }
        for (uint256 i = 0; i < 4; ++i) {
            bytes32 id = handler.commitmentId(i);
            vm.assertEq(store.getCommitment(id).openChallenges, 0);
            vm.assertEq(store.versionInForce(id), 0);
        }
        vm.assertEq(aleph.balanceOf(address(store)), 0);
    }

    /// @dev Nothing that ended changes.
    function invariant_an_end_is_final() external view {
        for (uint256 challengeId = 1; challengeId <= store.challengeCount(); ++challengeId) {
            bytes32 seal = handler.sealedChallenge(challengeId);
            IStorageRegistry.Challenge memory challenge = store.getChallenge(challengeId);
            bool open = challenge.status == IStorageRegistry.ChallengeStatus.Open;
            vm.assertTrue(open == (seal == 0));
            if (!open) vm.assertEq(keccak256(abi.encode(challenge)), seal);
        }
    }

    /// @dev Counts and lists are of the open challenges, and within the caps.
    function invariant_counts_match_the_challenges() external view {
        uint256[4] memory open;
        uint256 failed;
        for (uint256 challengeId = 1; challengeId <= store.challengeCount(); ++challengeId) {
            IStorageRegistry.Challenge memory challenge = store.getChallenge(challengeId);
            for (uint256 i = 0; i < 4; ++i) {
                if (challenge.commitmentId != handler.commitmentId(i)) continue;
                if (challenge.status == IStorageRegistry.ChallengeStatus.Open) ++open[i];
                if (challenge.status == IStorageRegistry.ChallengeStatus.Failed) ++failed;
            }
        }
        uint256 faults;
        for (uint256 i = 0; i < 4; ++i) {
            IStorageRegistry.Commitment memory commitment =
                store.getCommitment(handler.commitmentId(i));
            vm.assertEq(commitment.openChallenges, open[i]);
            vm.assertLe(open[i], _parameters().openPerCommitmentMax);
            faults += commitment.faults;
        }
        vm.assertEq(faults, failed);
        vm.assertEq(failed, handler.failed());
        // Commitments 0 and 2 are the first node's.
        for (uint256 i = 0; i < 2; ++i) {
            uint256 ofNode = store.getOpenChallengesOf(handler.nodeId(i), 0, 256).length;
            vm.assertEq(ofNode, open[i] + open[i + 2]);
            vm.assertLe(ofNode, _parameters().openPerNodeMax + 1);
        }
    }

    /// @dev What is in force changes at borders only.
    function invariant_a_period_has_one_version() external view {
        for (uint256 i = 0; i < 4; ++i) {
            bytes32 id = handler.commitmentId(i);
            uint256 seen = handler.firstSeen(id, block.timestamp / PERIOD_S);
            if (seen != 0) vm.assertEq(store.versionInForce(id), seen - 1);
        }
    }
}

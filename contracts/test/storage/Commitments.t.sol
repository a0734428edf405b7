// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {Bounds} from "../../src/libraries/Bounds.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev How commitments begin, change and end.
contract StorageCommitmentsTest is StorageFixture {
    bytes32 private commitmentId;

    function setUp() public override {
        super.setUp();
        commitmentId = store.commitmentIdOf(NODE, CONTENT);
    }

    function test_a_commitment_begins_at_the_next_border() public {
        IStorageRegistry.Offer memory offer = _offer();
        uint64 border = _nextBorder();
        vm.expectEmit(address(store));
        emit IStorageRegistry.Committed(
            commitmentId, NODE, CONTENT, 1, OWNER, offer, border, border + 30 * PERIOD_S
        );
        vm.assertEq(_commit(), commitmentId);

        vm.warp(border - 1);
        vm.assertEq(store.versionInForce(commitmentId), 0);
        vm.warp(border);
        vm.assertEq(store.versionInForce(commitmentId), 1);
        vm.warp(border + 30 * PERIOD_S - 1);
        vm.assertEq(store.versionInForce(commitmentId), 1);
        vm.warp(border + 30 * PERIOD_S);
        vm.assertEq(store.versionInForce(commitmentId), 0);
    }

    function test_what_is_kept_of_a_commitment() public {
        IStorageRegistry.Offer memory offer = _offer();
        offer.encoding = keccak256("encoding");
        uint64 border = _nextBorder();
        _commit(CONTENT, offer);

        IStorageRegistry.Commitment memory commitment = store.getCommitment(commitmentId);
        vm.assertEq(commitment.nodeId, NODE);
        vm.assertEq(commitment.content, CONTENT);
        vm.assertEq(commitment.version, 1);
        vm.assertEq(commitment.replicas, 3);
        vm.assertEq(commitment.openChallenges + commitment.faults, 0);
        vm.assertEq(commitment.startsAt, border);
        vm.assertEq(commitment.versionStartsAt, border);
        vm.assertEq(commitment.endsAt, border + 30 * PERIOD_S);
        vm.assertEq(commitment.lastProvenAt + commitment.lastFaultAt, 0);
        IStorageRegistry.Terms memory terms = store.getTerms(commitmentId, 1);
        vm.assertEq(terms.root, offer.root);
        vm.assertEq(terms.encoding, offer.encoding);
        vm.assertEq(terms.size, offer.size);
        vm.assertEq(terms.owner, OWNER);
    }

    function test_operator_and_owner_speak_for_a_node_and_nobody_else() public {
        IStorageRegistry.Offer memory offer = _offer();
        vm.prank(OWNER);
        store.commit(NODE, CONTENT, offer);

        bytes memory notOfNode =
            abi.encodeWithSelector(IStorageRegistry.NotOfNode.selector, NODE, OTHER_OPERATOR);
        vm.startPrank(OTHER_OPERATOR);
        vm.expectRevert(notOfNode);
        store.commit(NODE, keccak256("another"), offer);
        vm.warp(_nextBorder());
        vm.expectRevert(notOfNode);
        store.renew(commitmentId, offer);
        vm.expectRevert(notOfNode);
        store.remove(commitmentId);
    }

    function test_only_active_nodes_promise_more() public {
        _commit();
        _toBorder();
        registry.deactivateNode(NODE);
        IStorageRegistry.Offer memory offer = _offer();
        bytes memory notActive =
            abi.encodeWithSelector(IStorageRegistry.NodeNotActive.selector, NODE);

        vm.startPrank(OPERATOR);
        vm.expectRevert(notActive);
        store.commit(NODE, keccak256("another"), offer);
        vm.expectRevert(notActive);
        store.renew(commitmentId, offer);
        // What it promised holds, and it may still end it.
        vm.assertEq(store.versionInForce(commitmentId), 1);
        store.remove(commitmentId);
    }

    function test_offers_have_bounds() public {
        _refused("size", 0, 1, 1 << 50, _with(0, 3, 30));
        _refused("size", (1 << 50) + 1, 1, 1 << 50, _with((1 << 50) + 1, 3, 30));
        _refused("replicas", 0, 1, 1024, _with(1, 0, 30));
        _refused("replicas", 1025, 1, 1024, _with(1, 1025, 30));
        _refused("periods", 0, 1, 1024, _with(1, 3, 0));
        _refused("periods", 1025, 1, 1024, _with(1, 3, 1025));
        _commit(keccak256("largest"), _with(1 << 50, 1024, 1024));

        IStorageRegistry.Offer memory offer = _offer();
        vm.startPrank(OPERATOR);
        vm.expectRevert(IStorageRegistry.ZeroHash.selector);
        store.commit(NODE, 0, offer);
        offer.root = 0;
        vm.expectRevert(IStorageRegistry.ZeroHash.selector);
        store.commit(NODE, CONTENT, offer);
    }

    function test_a_node_commits_to_a_content_once_at_a_time() public {
        _commit();
        uint64 endsAt = store.getCommitment(commitmentId).endsAt;
        IStorageRegistry.Offer memory offer = _offer();
        bytes memory already = abi.encodeWithSelector(
            IStorageRegistry.AlreadyCommitted.selector, commitmentId, endsAt
        );
        vm.startPrank(OPERATOR);
        vm.expectRevert(already);
        store.commit(NODE, CONTENT, offer);
        vm.warp(endsAt - 1);
        vm.expectRevert(already);
        store.commit(NODE, CONTENT, offer);

        // Versions go on counting, and the pause between the two is not in force.
        vm.warp(endsAt);
        store.commit(NODE, CONTENT, offer);
        vm.assertEq(store.getCommitment(commitmentId).version, 2);
        vm.assertEq(store.versionInForce(commitmentId), 0);
        vm.warp(endsAt + PERIOD_S);
        vm.assertEq(store.versionInForce(commitmentId), 2);
        vm.assertEq(store.getCommitmentsOf(NODE, 0, 10).length, 1);
    }

    function test_a_renewal_begins_at_the_next_border_and_leaves_no_gap() public {
        _committed();
        IStorageRegistry.Offer memory offer = _offer(Tree.leaves(3, 9, 2));
        offer.periods = 2;
        offer.replicas = 5;
        uint64 border = _nextBorder();
        vm.expectEmit(address(store));
        emit IStorageRegistry.CommitmentRenewed(
            commitmentId, NODE, 2, OWNER, offer, border, border + 2 * PERIOD_S
        );
        vm.prank(OPERATOR);
        store.renew(commitmentId, offer);

        vm.assertEq(store.getCommitment(commitmentId).replicas, 5);
        vm.warp(border - 1);
        vm.assertEq(store.versionInForce(commitmentId), 1);
        vm.warp(border);
        vm.assertEq(store.versionInForce(commitmentId), 2);
        vm.warp(border + 2 * PERIOD_S);
        vm.assertEq(store.versionInForce(commitmentId), 0);
    }

    function test_one_change_waits_at_a_time() public {
        _committed();
        IStorageRegistry.Offer memory offer = _offer();
        uint64 border = _nextBorder();
        vm.startPrank(OPERATOR);
        store.renew(commitmentId, offer);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.ChangePending.selector, commitmentId, border)
        );
        store.renew(commitmentId, offer);
        vm.warp(border);
        store.renew(commitmentId, offer);
        vm.assertEq(store.versionInForce(commitmentId), 2);
    }

    function test_only_what_is_in_force_is_renewed() public {
        IStorageRegistry.Offer memory offer = _offer();
        bytes memory notInForce =
            abi.encodeWithSelector(IStorageRegistry.CommitmentNotInForce.selector, commitmentId);
        vm.startPrank(OPERATOR);
        vm.expectRevert(notInForce);
        store.renew(commitmentId, offer);
        store.commit(NODE, CONTENT, offer);
        vm.expectRevert(notInForce);
        store.renew(commitmentId, offer);
        vm.warp(store.getCommitment(commitmentId).endsAt);
        vm.expectRevert(notInForce);
        store.renew(commitmentId, offer);
    }

    function test_a_version_is_a_promise_of_the_owner_of_then() public {
        _committed();
        _handOver();
        vm.assertEq(store.getTerms(commitmentId, 1).owner, OWNER);

        IStorageRegistry.Offer memory offer = _offer();
        vm.prank(OPERATOR);
        store.renew(commitmentId, offer);
        vm.assertEq(store.getTerms(commitmentId, 1).owner, OWNER);
        vm.assertEq(store.getTerms(commitmentId, 2).owner, OTHER_OWNER);
    }

    function test_anyone_ends_what_nobody_stands_for_any_more() public {
        _committed();
        vm.startPrank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IStorageRegistry.NotOfNode.selector, NODE, STRANGER));
        store.remove(commitmentId);
        vm.stopPrank();

        registry.deactivateNode(NODE);
        vm.prank(STRANGER);
        store.remove(commitmentId);
        registry.activateNode(NODE);
        _toBorder();
        vm.assertEq(store.versionInForce(commitmentId), 0);

        _committed();
        _handOver();
        vm.prank(STRANGER);
        store.remove(commitmentId);
    }

    function test_a_removal_waits_for_the_border() public {
        _committed();
        uint64 border = _nextBorder();
        vm.expectEmit(address(store));
        emit IStorageRegistry.CommitmentRemoved(commitmentId, NODE, border);
        vm.startPrank(OWNER);
        store.remove(commitmentId);

        vm.assertEq(store.versionInForce(commitmentId), 1);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.CommitmentEnding.selector, commitmentId, border)
        );
        store.remove(commitmentId);
        vm.warp(border);
        vm.assertEq(store.versionInForce(commitmentId), 0);
    }

    function test_what_has_not_begun_or_has_ended_can_be_removed_without_harm() public {
        vm.startPrank(OPERATOR);
        vm.expectRevert(
            abi.encodeWithSelector(IStorageRegistry.CommitmentEnding.selector, commitmentId, 0)
        );
        store.remove(commitmentId);
        store.commit(NODE, CONTENT, _offer());
        store.remove(commitmentId);
        vm.warp(_nextBorder());
        vm.assertEq(store.versionInForce(commitmentId), 0);

        // A renewal that waits never begins, not even after another commitment.
        store.commit(NODE, CONTENT, _offer());
        vm.warp(_nextBorder());
        store.renew(commitmentId, _offer());
        store.remove(commitmentId);
        vm.warp(_nextBorder());
        vm.assertEq(store.versionInForce(commitmentId), 0);
        store.commit(NODE, CONTENT, _offer());
        vm.assertEq(store.versionInForce(commitmentId), 0);
        vm.warp(_nextBorder());
        vm.assertEq(store.versionInForce(commitmentId), 4);
    }

    function test_lists_hold_what_was_not_closed() public {
        _committed();
        IStorageRegistry.Offer memory offer = _offer();
        vm.prank(OTHER_OPERATOR);
        bytes32 otherId = store.commit(OTHER_NODE, CONTENT, offer);
        vm.assertEq(store.getCommitmentsOf(NODE, 0, 10).length, 1);
        vm.assertEq(store.getCommitmentsOf(NODE, 0, 10)[0], commitmentId);
        vm.assertEq(store.getReplicasOf(CONTENT, 0, 10).length, 2);
        vm.assertEq(store.getReplicasOf(CONTENT, 1, 10)[0], otherId);

        uint64 endsAt = store.getCommitment(commitmentId).endsAt;
        bytes memory notEnded = abi.encodeWithSelector(
            IStorageRegistry.CommitmentNotEnded.selector, commitmentId, endsAt
        );
        vm.warp(endsAt - 1);
        vm.expectRevert(notEnded);
        store.close(commitmentId);
        vm.warp(endsAt);
        vm.expectEmit(address(store));
        emit IStorageRegistry.CommitmentClosed(commitmentId, NODE);
        vm.prank(STRANGER);
        store.close(commitmentId);
        vm.assertEq(store.getCommitmentsOf(NODE, 0, 10).length, 0);
        vm.assertEq(store.getReplicasOf(CONTENT, 0, 10).length, 1);
        vm.expectRevert(notEnded);
        store.close(commitmentId);
    }

    function test_the_pause_stops_promises() public {
        _committed();
        store.pause();
        IStorageRegistry.Offer memory offer = _offer();
        vm.startPrank(OPERATOR);
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        store.commit(NODE, keccak256("another"), offer);
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        store.renew(commitmentId, offer);
        store.remove(commitmentId);
    }

    /// @dev Whatever a node does in a period, what is in force stays until the period's border.
    function testFuzz_nothing_changes_within_a_period(uint256 calls, uint64 at) public {
        _committed();
        uint64 start = uint64(block.timestamp);
        IStorageRegistry.Offer memory offer = _offer(Tree.leaves(2, 1, 3));
        for (; calls != 0; calls >>= 2) {
            at = uint64(uint256(keccak256(abi.encode(at))));
            vm.warp(start + at % PERIOD_S);
            vm.prank(OPERATOR);
            if (calls & 1 == 0) {
                try store.renew(commitmentId, offer) {} catch {}
            } else {
                try store.remove(commitmentId) {} catch {}
            }
            vm.assertEq(store.versionInForce(commitmentId), 1);
        }
    }

    /// @dev The node gets another owner, as registering it anew would.
    function _handOver() private {
        registry.deactivateNode(NODE);
        vm.prank(OWNER);
        registry.deregisterNode(NODE);
        _activeNode(NODE, OTHER_OWNER, OPERATOR);
    }

    function _with(uint64 size, uint16 replicas, uint16 periods)
        private
        pure
        returns (IStorageRegistry.Offer memory)
    {
        return IStorageRegistry.Offer(bytes32(uint256(1)), 0, size, replicas, periods);
    }

    function _refused(
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max,
        IStorageRegistry.Offer memory offer
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        vm.prank(OPERATOR);
        store.commit(NODE, CONTENT, offer);
    }
}

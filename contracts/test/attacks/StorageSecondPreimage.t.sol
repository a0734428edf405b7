// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {StorageProof} from "../../src/libraries/StorageProof.sol";
import {StorageFixture} from "../base/StorageFixture.sol";
import {Tree} from "../base/Tree.sol";

/// @dev A node passes a node of the tree off as a leaf, or a leaf as a node, and so keeps hashes
/// in place of bytes.
contract StorageSecondPreimageTest is StorageFixture {
    /// @dev Two leaves; committed to as one leaf of 64 bytes, which are their hashes.
    function test_a_node_is_no_leaf() public {
        bytes[] memory leaves = Tree.leaves(2, 512, 1);
        bytes memory children = bytes.concat(
            sha256(bytes.concat(hex"00", leaves[0])), sha256(bytes.concat(hex"00", leaves[1]))
        );
        IStorageRegistry.Offer memory offer = _offer(leaves);
        offer.size = 64;
        _refused(offer, children);
    }

    /// @dev One leaf of 64 bytes; committed to as two leaves with the halves of it for hashes.
    function test_a_leaf_is_no_node() public {
        bytes[] memory halves = Tree.leaves(2, 512, 1);
        bytes memory leaf = bytes.concat(
            sha256(bytes.concat(hex"00", halves[0])), sha256(bytes.concat(hex"00", halves[1]))
        );
        IStorageRegistry.Offer memory offer = _offer(halves);
        offer.root = sha256(bytes.concat(hex"00", leaf));
        bytes32 commitmentId = _commit(CONTENT, offer);
        _toBorder();
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        bytes memory proof = Tree.answer(halves, store.leavesOf(challengeId));
        (bool accepted,) = address(store).call(abi.encodeCall(store.respond, (challengeId, proof)));
        vm.assertFalse(accepted);
    }

    /// @dev Without the first bytes both would be accepted: the attack is real.
    function test_the_first_byte_is_what_keeps_them_apart() public pure {
        bytes[] memory leaves = Tree.leaves(2, 512, 1);
        bytes32 left = sha256(bytes.concat(hex"00", leaves[0]));
        bytes32 right = sha256(bytes.concat(hex"00", leaves[1]));
        vm.assertTrue(
            sha256(bytes.concat(hex"01", left, right)) != sha256(bytes.concat(hex"00", left, right))
        );
        vm.assertEq(Tree.rootOf(leaves), sha256(bytes.concat(hex"01", left, right)));
    }

    function _refused(IStorageRegistry.Offer memory offer, bytes memory proof) private {
        bytes32 commitmentId = _commit(CONTENT, offer);
        _toBorder();
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        vm.expectRevert(abi.encodeWithSelector(StorageProof.WrongProof.selector, 0, 0));
        store.respond(challengeId, proof);
    }
}

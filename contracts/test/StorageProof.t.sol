// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../script/Vm.sol";
import {StorageProof} from "../src/libraries/StorageProof.sol";
import {Tree} from "./base/Tree.sol";

/// @dev Calls the library from outside, so that proofs are calldata and reverts can be expected.
contract Verifier {
    function check(StorageProof.Question memory question, bytes calldata proof) external view {
        StorageProof.check(question, proof);
    }

    function rootFrom(bytes calldata proof, uint256 offset, uint256 leafIndex, uint64 size)
        external
        view
        returns (bytes32, uint256)
    {
        return StorageProof.rootFrom(proof, offset, leafIndex, size);
    }
}

contract StorageProofTest {
    uint256 private constant LEAF = StorageProof.LEAF_BYTES;
    /// @dev How many cases the vectors have.
    uint256 private constant CASES = 14;

    Verifier private verifier;

    function setUp() public {
        verifier = new Verifier();
    }

    // The vectors that the Rust crate made.

    function test_the_vectors_of_the_rust_crate() public view {
        string memory vectors = vm.readFile("test/fixtures/storage-proofs.json");
        vm.assertEq(vm.parseJsonUint(vectors, ".leafBytes"), LEAF);
        for (uint256 i = 0; i < CASES; ++i) {
            string memory item = string.concat(".cases[", vm.toString(i), "]");
            (StorageProof.Question memory question, bytes memory proof) = _case(vectors, item);
            verifier.check(question, proof);

            uint256[] memory leaves = vm.parseJsonUintArray(vectors, string.concat(item, ".leaves"));
            vm.assertEq(leaves.length, question.positions);
            for (uint256 j = 0; j < leaves.length; ++j) {
                uint64 count = StorageProof.leafCount(question.size);
                vm.assertEq(StorageProof.leafIndexAt(question.seed, j, count), leaves[j]);
            }
        }
        vm.assertFalse(vm.keyExistsJson(vectors, string.concat(".cases[", vm.toString(CASES), "]")));
    }

    function testFuzz_no_changed_vector_is_accepted(uint256 i, uint256 at, uint8 change)
        public
        view
    {
        vm.assume(change != 0);
        string memory vectors = vm.readFile("test/fixtures/storage-proofs.json");
        (StorageProof.Question memory question, bytes memory proof) =
            _case(vectors, string.concat(".cases[", vm.toString(i % CASES), "]"));
        at %= proof.length;
        proof[at] = bytes1(uint8(proof[at]) ^ change);
        (bool accepted,) =
            address(verifier).staticcall(abi.encodeCall(Verifier.check, (question, proof)));
        vm.assertFalse(accepted);
    }

    // Against the other implementation.

    function testFuzz_proofs_are_those_of_the_other_tree(
        uint256 count,
        uint256 last,
        uint256 index,
        uint256 content
    ) public view {
        bytes[] memory leaves = Tree.leaves(1 + count % 40, 1 + last % LEAF, content);
        index %= leaves.length;
        uint64 size = Tree.sizeOf(leaves);
        bytes memory proof = Tree.proofOf(leaves, index);

        (bytes32 root, uint256 end) = verifier.rootFrom(proof, 0, index, size);
        vm.assertEq(root, Tree.rootOf(leaves));
        vm.assertEq(end, proof.length);
    }

    function testFuzz_a_proof_of_one_leaf_proves_no_other(
        uint256 count,
        uint256 index,
        uint256 other,
        uint256 content
    ) public view {
        bytes[] memory leaves = Tree.leaves(2 + count % 39, LEAF, content);
        index %= leaves.length;
        other %= leaves.length;
        vm.assume(other != index);
        bytes memory proof = Tree.proofOf(leaves, index);
        _assertLeadsElsewhere(proof, other, Tree.sizeOf(leaves), Tree.rootOf(leaves));
    }

    /// @dev With another number of leaves, a leaf's path has another form or it is another leaf.
    function testFuzz_the_last_leaf_is_bound_to_the_leaf_count(
        uint256 count,
        uint256 claimed,
        uint256 content
    ) public view {
        bytes[] memory leaves = Tree.leaves(2 + count % 39, LEAF, content);
        claimed = 1 + claimed % 60;
        vm.assume(claimed != leaves.length);
        uint256 index = (claimed < leaves.length ? claimed : leaves.length) - 1;
        bytes memory proof = Tree.proofOf(leaves, index);
        // The last leaf of the fewer has the path of the more, and so it must not lead to the root.
        (uint256 fewer, uint256 more) =
            claimed < leaves.length ? (claimed, leaves.length) : (leaves.length, claimed);
        if (_pathBytes(index, fewer) != _pathBytes(index, more)) {
            _assertLeadsElsewhere(proof, index, uint64(claimed * LEAF), Tree.rootOf(leaves));
        }
    }

    // Lengths.

    function test_a_proof_is_neither_cut_nor_extended() public {
        bytes[] memory leaves = Tree.leaves(5, 100, 7);
        StorageProof.Question memory question =
            StorageProof.Question(Tree.rootOf(leaves), Tree.sizeOf(leaves), bytes32(uint256(1)), 3);
        bytes memory proof = _answer(question, leaves);
        verifier.check(question, proof);

        for (uint256 length = 0; length < proof.length; length += 37) {
            _refusedForLength(question, _cut(proof, length));
        }
        _refusedForLength(question, _cut(proof, proof.length - 1));
        _refusedForLength(question, bytes.concat(proof, hex"00"));
        _refusedForLength(question, bytes.concat(proof, proof));
    }

    function test_the_position_that_is_wrong_is_named() public {
        bytes[] memory leaves = Tree.leaves(1, 100, 7);
        StorageProof.Question memory question =
            StorageProof.Question(Tree.rootOf(leaves), 100, 0, 2);
        bytes memory proof = bytes.concat(leaves[0], leaves[0]);
        proof[100] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(StorageProof.WrongProof.selector, 1, 0));
        verifier.check(question, proof);
    }

    function test_leaves_of_a_size() public pure {
        vm.assertEq(StorageProof.leafCount(1), 1);
        vm.assertEq(StorageProof.leafCount(512), 1);
        vm.assertEq(StorageProof.leafCount(513), 2);
        vm.assertEq(StorageProof.leafCount(StorageProof.SIZE_BYTES_MAX), 1 << 41);
        vm.assertEq(StorageProof.leafCount(type(uint64).max), 1 << 55);
    }

    /// @dev With too little gas the answer is an error that is not about the proof.
    function testFuzz_a_lack_of_gas_is_no_verdict(uint256 gas_) public view {
        bytes[] memory leaves = Tree.leaves(8, LEAF, 7);
        bytes memory proof = Tree.proofOf(leaves, 3);
        gas_ %= 30_000;
        try verifier.rootFrom{gas: gas_}(proof, 0, 3, Tree.sizeOf(leaves)) returns (
            bytes32 root, uint256
        ) {
            vm.assertEq(root, Tree.rootOf(leaves));
        } catch {}
    }

    function _case(string memory vectors, string memory item)
        private
        pure
        returns (StorageProof.Question memory question, bytes memory proof)
    {
        question.root = vm.parseJsonBytes32(vectors, string.concat(item, ".root"));
        question.size = uint64(vm.parseJsonUint(vectors, string.concat(item, ".size")));
        question.positions = vm.parseJsonUint(vectors, string.concat(item, ".positions"));
        question.seed = StorageProof.seedOf(
            vm.parseJsonBytes32(vectors, string.concat(item, ".randomness")),
            vm.parseJsonUint(vectors, string.concat(item, ".challengeId")),
            vm.parseJsonBytes32(vectors, string.concat(item, ".nodeId")),
            uint32(vm.parseJsonUint(vectors, string.concat(item, ".version"))),
            StorageProof.leafCount(question.size)
        );
        proof = vm.parseJsonBytes(vectors, string.concat(item, ".proof"));
    }

    function _answer(StorageProof.Question memory question, bytes[] memory leaves)
        private
        pure
        returns (bytes memory proof)
    {
        for (uint256 i = 0; i < question.positions; ++i) {
            uint64 index = StorageProof.leafIndexAt(question.seed, i, uint64(leaves.length));
            proof = bytes.concat(proof, Tree.proofOf(leaves, index));
        }
    }

    function _assertLeadsElsewhere(bytes memory proof, uint256 index, uint64 size, bytes32 notThere)
        private
        view
    {
        try verifier.rootFrom(proof, 0, index, size) returns (bytes32 root, uint256 end) {
            vm.assertTrue(root != notThere || end != proof.length);
        } catch {}
    }

    function _refusedForLength(StorageProof.Question memory question, bytes memory proof) private {
        vm.expectRevert(
            abi.encodeWithSelector(StorageProof.WrongProofLength.selector, proof.length)
        );
        verifier.check(question, proof);
    }

    function _pathBytes(uint256 index, uint256 count) private pure returns (uint256 size) {
        for (uint256 last = count - 1; last != 0; (index, last) = (index / 2, last / 2)) {
            if (index != last || index % 2 == 1) size += 32;
        }
    }

    function _cut(bytes memory proof, uint256 length) private pure returns (bytes memory cut) {
        cut = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            cut[i] = proof[i];
        }
    }
}

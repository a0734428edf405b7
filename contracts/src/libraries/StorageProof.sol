// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Proofs that bytes are stored
/// @notice Bytes are cut into leaves of `LEAF_BYTES`; the last one may be shorter. A tree of SHA-256
/// stands over them:
///
/// ```
///   leaf     SHA-256(0x00 ‖ bytes)
///   node     SHA-256(0x01 ‖ left ‖ right)
/// ```
///
/// A node without a right neighbour moves up one level as it is. The first byte keeps leaves and
/// nodes apart, so that no leaf can be passed off as a node, or a node as a leaf.
///
/// A proof is, for each position that is asked for, the leaf's bytes and then the neighbours on the
/// way up to the root, and nothing else: how long each part is follows from the size of the bytes
/// and the position, so there is one proof only and no length in it to lie about.
/// @dev The Rust crate `aleph-proof` does the same; both are held to
/// `test/fixtures/storage-proofs.json`.
library StorageProof {
    /// @notice A leaf's bytes; docs/adr/0009 says why so many.
    uint256 internal constant LEAF_BYTES = 512;

    /// @notice The most leaves that one proof shows.
    uint256 internal constant POSITIONS_MAX = 20;

    /// @notice The most bytes under one root, 1 PiB.
    uint64 internal constant SIZE_BYTES_MAX = 1 << 50;

    /// @dev What the positions of a challenge are drawn under.
    bytes32 private constant SEED_DOMAIN = "aleph/storage/positions/v1";

    /// @notice What is asked of a node.
    /// @param root The root of the tree over the bytes.
    /// @param size How many bytes there are.
    /// @param seed What the positions are drawn from.
    /// @param positions How many there are.
    struct Question {
        bytes32 root;
        uint64 size;
        bytes32 seed;
        uint256 positions;
    }

    /// @notice The proof is shorter or longer than the only right one.
    error WrongProofLength(uint256 size);

    /// @notice The leaf or the path at this position is wrong.
    error WrongProof(uint256 position, uint64 leafIndex);

    /// @notice A precompile did not answer: too little gas was left for it.
    error PrecompileFailed(uint256 precompile);

    /// @dev How many leaves bytes of this size have.
    function leafCount(uint64 size) internal pure returns (uint64) {
        return uint64((uint256(size) + LEAF_BYTES - 1) / LEAF_BYTES);
    }

    /// @dev What a challenge's positions are drawn from. Nobody knows it before the round is there,
    /// and no two challenges, nodes, versions or leaf counts share one.
    function seedOf(
        bytes32 randomness,
        uint256 challengeId,
        bytes32 nodeId,
        uint32 version,
        uint64 leaves
    ) internal pure returns (bytes32) {
        return sha256(abi.encode(SEED_DOMAIN, randomness, challengeId, nodeId, version, leaves));
    }

    /// @dev The leaf that the position asks for. The bias of the remainder is below 2^-192.
    function leafIndexAt(bytes32 seed, uint256 position, uint64 leaves)
        internal
        pure
        returns (uint64)
    {
        return uint64(uint256(sha256(abi.encode(seed, position))) % leaves);
    }

    /// @dev Reverts unless the proof answers the question.
    function check(Question memory question, bytes calldata proof) internal view {
        uint64 leaves = leafCount(question.size);
        uint256 offset;
        for (uint256 i = 0; i < question.positions; ++i) {
            uint64 leafIndex = leafIndexAt(question.seed, i, leaves);
            bytes32 root;
            (root, offset) = rootFrom(proof, offset, leafIndex, question.size);
            require(root == question.root, WrongProof(i, leafIndex));
        }
        require(offset == proof.length, WrongProofLength(proof.length));
    }

    /// @dev The root that the leaf and the path at this offset lead to, and where they end. What is
    /// read past the proof's end is refused afterwards.
    function rootFrom(bytes calldata proof, uint256 offset, uint256 leafIndex, uint64 size)
        internal
        view
        returns (bytes32 root, uint256 end)
    {
        // `index` is the hash's place on a level of `last + 1` hashes.
        (uint256 index, uint256 last) = (leafIndex, leafCount(size) - 1);
        uint256 leafBytes = index == last ? size - last * LEAF_BYTES : LEAF_BYTES;
        end = offset + leafBytes;
        bool answered;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore8(input, 0)
            calldatacopy(add(input, 1), add(proof.offset, offset), leafBytes)
            answered := staticcall(gas(), 2, input, add(leafBytes, 1), 0, 0x20)

            mstore8(input, 1)
            for {} last {} {
                let isRight := and(index, 1)
                // A hash without a right neighbour moves up as it is.
                if or(isRight, lt(index, last)) {
                    let place := shl(5, isRight)
                    mstore(add(add(input, 1), place), mload(0))
                    calldatacopy(add(add(input, 1), xor(place, 0x20)), add(proof.offset, end), 0x20)
                    answered := and(answered, staticcall(gas(), 2, input, 0x41, 0, 0x20))
                    end := add(end, 0x20)
                }
                index := shr(1, index)
                last := shr(1, last)
            }
            root := mload(0)
        }
        require(answered, PrecompileFailed(2));
        require(end <= proof.length, WrongProofLength(proof.length));
    }
}

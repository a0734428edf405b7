// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {StorageProof} from "../../src/libraries/StorageProof.sol";

/// @title The tree over stored bytes once more, written for sight and not for gas
/// @dev Built from the top down and split as RFC 9162 says: the left part is the largest power of
/// two below the number of leaves.
library Tree {
    uint256 private constant LEAF = StorageProof.LEAF_BYTES;

    /// @dev Leaves that differ; all but the last one are full.
    function leaves(uint256 count, uint256 lastBytes, uint256 content)
        internal
        pure
        returns (bytes[] memory made)
    {
        made = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            made[i] = new bytes(i == count - 1 ? lastBytes : LEAF);
            bytes32 hash = keccak256(abi.encode(content, i));
            for (uint256 j = 0; j < made[i].length && j < 32; ++j) {
                made[i][j] = hash[j];
            }
        }
    }

    function sizeOf(bytes[] memory from) internal pure returns (uint64) {
        return uint64((from.length - 1) * LEAF + from[from.length - 1].length);
    }

    function rootOf(bytes[] memory from) internal pure returns (bytes32) {
        return _rootOf(from, 0, from.length);
    }

    /// @dev The leaf and then the neighbours on the way up, as they stand in a proof.
    function proofOf(bytes[] memory from, uint256 index) internal pure returns (bytes memory) {
        return bytes.concat(from[index], _pathOf(from, index, 0, from.length));
    }

    /// @dev The answer to a challenge for these leaves.
    function answer(bytes[] memory from, uint64[] memory indexes)
        internal
        pure
        returns (bytes memory proof)
    {
        for (uint256 i = 0; i < indexes.length; ++i) {
            proof = bytes.concat(proof, proofOf(from, indexes[i]));
        }
    }

    function _rootOf(bytes[] memory from, uint256 start, uint256 count)
        private
        pure
        returns (bytes32)
    {
        if (count == 1) return sha256(bytes.concat(hex"00", from[start]));
        uint256 left = _split(count);
        return sha256(
            bytes.concat(
                hex"01", _rootOf(from, start, left), _rootOf(from, start + left, count - left)
            )
        );
    }

    function _pathOf(bytes[] memory from, uint256 index, uint256 start, uint256 count)
        private
        pure
        returns (bytes memory)
    {
        if (count == 1) return "";
        uint256 left = _split(count);
        if (index < start + left) {
            return bytes.concat(
                _pathOf(from, index, start, left), _rootOf(from, start + left, count - left)
            );
        }
        return
            bytes.concat(
                _pathOf(from, index, start + left, count - left), _rootOf(from, start, left)
            );
    }

    function _split(uint256 count) private pure returns (uint256 left) {
        for (left = 1; 2 * left < count; left *= 2) {}
    }
}

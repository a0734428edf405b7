// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Merkle trees over (account, amount), as a reward calculator builds them
/// @dev Written apart from the code under test: layer by layer, a node without a sibling moves up.
library MerkleTree {
    function leaf(address account, uint256 amount) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, amount))));
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        while (leaves.length > 1) leaves = _parents(leaves);
        return leaves[0];
    }

    function proof(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32[] memory siblings)
    {
        siblings = new bytes32[](32);
        uint256 count;
        while (leaves.length > 1) {
            if (index ^ 1 < leaves.length) siblings[count++] = leaves[index ^ 1];
            leaves = _parents(leaves);
            index /= 2;
        }
        assembly ("memory-safe") {
            mstore(siblings, count)
        }
    }

    /// @dev What a verifier computes, the plain way.
    function climb(bytes32 node, bytes32[] memory siblings) internal pure returns (bytes32) {
        for (uint256 i = 0; i < siblings.length; ++i) {
            node = _parent(node, siblings[i]);
        }
        return node;
    }

    function _parents(bytes32[] memory nodes) private pure returns (bytes32[] memory parents) {
        parents = new bytes32[]((nodes.length + 1) / 2);
        for (uint256 i = 0; i < parents.length; ++i) {
            parents[i] =
                2 * i + 1 < nodes.length ? _parent(nodes[2 * i], nodes[2 * i + 1]) : nodes[2 * i];
        }
    }

    function _parent(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return
            left < right
                ? keccak256(bytes.concat(left, right))
                : keccak256(bytes.concat(right, left));
    }
}

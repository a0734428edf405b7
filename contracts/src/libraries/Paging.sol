// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

/// @title Pages of the sets that users grow
/// @dev A page past the end is empty or short; no offset and no limit reverts.
library Paging {
    using EnumerableSet for EnumerableSet.Bytes32Set;
    using EnumerableSet for EnumerableSet.UintSet;

    /// @notice The most items that one page holds.
    uint256 internal constant PAGE_ITEMS_MAX = 256;

    function page(EnumerableSet.Bytes32Set storage set, uint256 offset, uint256 limit)
        internal
        view
        returns (bytes32[] memory)
    {
        return set.values(offset, _end(offset, limit));
    }

    function page(EnumerableSet.UintSet storage set, uint256 offset, uint256 limit)
        internal
        view
        returns (uint256[] memory)
    {
        return set.values(offset, _end(offset, limit));
    }

    function _end(uint256 offset, uint256 limit) private pure returns (uint256) {
        return Math.saturatingAdd(offset, Math.min(limit, PAGE_ITEMS_MAX));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {StakingManager} from "../../src/StakingManager.sol";
import {SharePools} from "../../src/libraries/SharePools.sol";
import {Thaws} from "../../src/libraries/Thaws.sol";

/// @title StakingManager with its books open: every generation of every pool
contract StakingManagerHarness is StakingManager {
    /// @notice What an owner has in stake, and in all generations of its thaws.
    function stakeOf(bytes32 nodeId, address owner) external view returns (uint256) {
        Account storage account = _storage().accounts[nodeId][owner];
        return uint256(account.matured) + account.maturing + _tokens(account.thawing);
    }

    /// @notice What is delegated to a node and what thaws of it, in all generations.
    function delegationsTo(bytes32 nodeId) external view returns (uint256) {
        Delegations storage delegations = _storage().delegations[nodeId];
        return _tokens(delegations.pool) + _tokens(delegations.thawing);
    }

    /// @notice For each generation, the pool's shares less those of the delegators named.
    function sharesWithoutHolder(bytes32 nodeId, address[] calldata delegators)
        external
        view
        returns (uint256 shares)
    {
        Delegations storage delegations = _storage().delegations[nodeId];
        for (uint64 i = 0; i <= delegations.pool.generation; ++i) {
            uint256 expected;
            for (uint256 j = 0; j < delegators.length; ++j) {
                Delegation storage delegation = delegations.byDelegator[delegators[j]];
                if (delegation.generation == i) expected += delegation.shares;
            }
            shares += _difference(delegations.pool.byGeneration[i].shares, expected);
        }
    }

    /// @notice The same of what thaws of a node's delegations.
    function thawsWithoutHolder(bytes32 nodeId, address[] calldata delegators)
        external
        view
        returns (uint256 shares)
    {
        Delegations storage delegations = _storage().delegations[nodeId];
        for (uint64 i = 0; i <= delegations.thawing.generation; ++i) {
            uint256 expected;
            for (uint256 j = 0; j < delegators.length; ++j) {
                expected += _thawingShares(delegations.byDelegator[delegators[j]].thaws, i);
            }
            shares += _difference(delegations.thawing.byGeneration[i].shares, expected);
        }
    }

    /// @notice The same of an owner's thaws.
    function thawsWithoutOwner(bytes32 nodeId, address owner)
        external
        view
        returns (uint256 shares)
    {
        Account storage account = _storage().accounts[nodeId][owner];
        for (uint64 i = 0; i <= account.thawing.generation; ++i) {
            shares += _difference(
                account.thawing.byGeneration[i].shares, _thawingShares(account.thaws, i)
            );
        }
    }

    function _tokens(SharePools.Pools storage pools) private view returns (uint256 tokens) {
        for (uint64 i = 0; i <= pools.generation; ++i) {
            tokens += pools.byGeneration[i].tokens;
        }
    }

    function _thawingShares(Thaws.Thaw[] storage thaws, uint64 generation)
        private
        view
        returns (uint256 shares)
    {
        for (uint256 i = 0; i < thaws.length; ++i) {
            if (thaws[i].generation == generation) shares += thaws[i].shares;
        }
    }

    function _difference(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? b - a : a - b;
    }
}

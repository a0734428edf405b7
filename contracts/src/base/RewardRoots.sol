// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IRewardRoots} from "../interfaces/IRewardRoots.sol";
import {Roles} from "../libraries/Roles.sol";
import {Governed} from "./Governed.sol";

/// @title The part of StakingManager that pays rewards by Merkle roots
/// @notice See {IRewardRoots}.
/// @dev claimed <= latest cumulativeTotal <= funded, always: so what is funded and not claimed is in
/// the contract, apart from all stake, and a wrong tree can never pay out of anybody's stake.
abstract contract RewardRoots is IRewardRoots, Governed, ReentrancyGuardTransient {
    /// @custom:storage-location erc7201:aleph.storage.RewardRoots
    struct RewardRootsStorage {
        uint256 funded;
        uint256 claimed;
        uint64 latestEpoch;
        mapping(uint64 epoch => RewardRoot) roots;
        mapping(address account => uint256) claimedOf;
    }

    bytes32 private constant STORAGE_SLOT =
        0x32eccf9bd93ee0d3413c9f6f7ddc1fae8862127a69740c6169c26cd256469f00;

    /// @inheritdoc IRewardRoots
    function fundRewards(uint256 amount) external nonReentrant {
        _rewardRoots().funded += amount;

        emit RewardsFunded(msg.sender, amount);
        _take(msg.sender, amount);
    }

    /// @inheritdoc IRewardRoots
    function submitRewardRoot(uint64 epoch, bytes32 root, uint256 cumulativeTotal)
        external
        whenNotPaused
        onlyRole(Roles.REPORTER)
    {
        RewardRootsStorage storage $ = _rewardRoots();
        RewardRoot memory latest = $.roots[$.latestEpoch];
        (uint256 growthMax, uint64 interval) = _rewardLimits();
        require(root != 0, NoRewardRoot());
        require(epoch > $.latestEpoch, EpochNotNew(epoch, $.latestEpoch));
        uint64 earliest = latest.acceptedAt + interval;
        require(latest.acceptedAt == 0 || block.timestamp >= earliest, RewardRootTooSoon(earliest));
        require(
            cumulativeTotal >= latest.cumulativeTotal,
            RewardTotalFell(cumulativeTotal, latest.cumulativeTotal)
        );
        uint256 growth = cumulativeTotal - latest.cumulativeTotal;
        require(growth <= growthMax, RewardGrowthTooFast(growth, growthMax));
        require(cumulativeTotal <= $.funded, RewardsNotFunded(cumulativeTotal, $.funded));

        $.latestEpoch = epoch;
        $.roots[epoch] = RewardRoot(root, cumulativeTotal, uint64(block.timestamp));

        emit RewardRootAccepted(epoch, root, cumulativeTotal);
    }

    /// @inheritdoc IRewardRoots
    function claimRewards(address account, uint256 cumulativeAmount, bytes32[] calldata proof)
        external
        nonReentrant
    {
        RewardRootsStorage storage $ = _rewardRoots();
        RewardRoot memory latest = $.roots[$.latestEpoch];
        require(latest.root != 0, NoRewardRoot());
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulativeAmount))));
        require(MerkleProof.verifyCalldata(proof, latest.root, leaf), InvalidRewardProof());
        require(cumulativeAmount > $.claimedOf[account], NothingToClaim());

        uint256 amount = cumulativeAmount - $.claimedOf[account];
        uint256 left = latest.cumulativeTotal - $.claimed;
        require(amount <= left, RewardTotalExceeded(amount, left));
        $.claimedOf[account] = cumulativeAmount;
        $.claimed += amount;

        emit RewardsClaimed(account, amount, cumulativeAmount);
        _give(account, amount);
    }

    /// @inheritdoc IRewardRoots
    function getRewardRoot(uint64 epoch) external view returns (RewardRoot memory) {
        return _rewardRoots().roots[epoch];
    }

    /// @inheritdoc IRewardRoots
    function getRewardState() external view returns (RewardState memory) {
        RewardRootsStorage storage $ = _rewardRoots();
        uint256 earned = $.roots[$.latestEpoch].cumulativeTotal;
        return RewardState($.latestEpoch, $.funded, earned, $.claimed);
    }

    /// @inheritdoc IRewardRoots
    function getClaimedRewards(address account) external view returns (uint256) {
        return _rewardRoots().claimedOf[account];
    }

    /// @dev Takes exactly `amount`, which must not be zero, from an account that approved it.
    function _take(address from, uint256 amount) internal virtual;

    /// @dev Pays out.
    function _give(address to, uint256 amount) internal virtual;

    /// @dev How much a total may grow from root to root, and the seconds between two roots.
    function _rewardLimits() internal view virtual returns (uint256 growthMax, uint64 interval);

    function _rewardRoots() private pure returns (RewardRootsStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

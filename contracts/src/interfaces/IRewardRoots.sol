// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Rewards, by the root of a Merkle tree
/// @notice The reward calculator submits, epoch by epoch, the root of a tree that has a leaf for each
/// account: how much it has earned since the beginning. An account claims the difference to what it
/// has claimed before, so a claim that was missed is in the next one.
///
/// ```
///   leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulativeAmount))))
/// ```
/// (OpenZeppelin's standard tree.) A root that was accepted never changes; the next one takes its
/// place. Whatever its leaves say, all claims together stay within the root's total, a total within
/// what was funded, and a total grows by no more than `rewardGrowthMax` every `rewardInterval`:
/// that is the most that a calculator gone wrong can give away before governance takes its role.
interface IRewardRoots {
    /// @notice An accepted root.
    /// @param root The root of the tree.
    /// @param cumulativeTotal All that was earned up to this epoch, in the token's units.
    /// @param acceptedAt Unix time in seconds, 0 when the epoch has no root.
    struct RewardRoot {
        bytes32 root;
        uint256 cumulativeTotal;
        uint64 acceptedAt;
    }

    /// @notice Where rewards stand. All amounts count from the beginning, in the token's units.
    /// @param latestEpoch The epoch whose root claims are checked against; 0 before the first.
    /// @param funded Paid in for rewards.
    /// @param earned The latest root's total.
    /// @param claimed Paid out.
    struct RewardState {
        uint64 latestEpoch;
        uint256 funded;
        uint256 earned;
        uint256 claimed;
    }

    /// @notice Somebody paid in for rewards.
    event RewardsFunded(address indexed funder, uint256 amount);

    /// @notice The root of an epoch was accepted, and takes the place of the one before.
    event RewardRootAccepted(uint64 indexed epoch, bytes32 root, uint256 cumulativeTotal);

    /// @notice An account was paid `amount`, which makes `cumulativeAmount` since the beginning.
    event RewardsClaimed(address indexed account, uint256 amount, uint256 cumulativeAmount);

    /// @notice A root is zero, or it is claimed before there is one.
    error NoRewardRoot();

    /// @notice Epochs only rise; the roots of past ones never change.
    error EpochNotNew(uint64 epoch, uint64 latestEpoch);

    /// @notice The next root is accepted from `earliest` on, Unix time in seconds.
    error RewardRootTooSoon(uint64 earliest);

    /// @notice What was earned up to an epoch never falls.
    error RewardTotalFell(uint256 cumulativeTotal, uint256 latestTotal);

    /// @notice The total grew faster than allowed.
    error RewardGrowthTooFast(uint256 growth, uint256 growthMax);

    /// @notice The total exceeds what was paid in for rewards.
    error RewardsNotFunded(uint256 cumulativeTotal, uint256 funded);

    /// @notice The leaf is not in the tree of the latest root.
    error InvalidRewardProof();

    /// @notice The account has claimed all of this before.
    error NothingToClaim();

    /// @notice The leaves of the tree add up to more than its total, of which only `left` is left.
    error RewardTotalExceeded(uint256 amount, uint256 left);

    /// @notice Pays `amount` in for rewards; nobody takes it out but by claiming.
    function fundRewards(uint256 amount) external;

    /// @notice Submits the root of an epoch. REPORTER_ROLE only.
    /// @dev Taking in (new debts): stops while paused.
    /// @param epoch Higher than the latest; epochs may be left out.
    /// @param root The root of the tree.
    /// @param cumulativeTotal The sum of the tree's leaves.
    function submitRewardRoot(uint64 epoch, bytes32 root, uint256 cumulativeTotal) external;

    /// @notice Pays an account what it has earned and not claimed. Anyone may call; never stops.
    /// @param account Whom the leaf names, and who is paid.
    /// @param cumulativeAmount What the leaf says it has earned since the beginning.
    /// @param proof The siblings from the leaf to the root.
    function claimRewards(address account, uint256 cumulativeAmount, bytes32[] calldata proof)
        external;

    /// @notice The root that was accepted for an epoch; all zero when there is none.
    function getRewardRoot(uint64 epoch) external view returns (RewardRoot memory);

    /// @notice Where rewards stand.
    function getRewardState() external view returns (RewardState memory);

    /// @notice What the account has claimed since the beginning.
    function getClaimedRewards(address account) external view returns (uint256);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Governed} from "./base/Governed.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IStakingManager} from "./interfaces/IStakingManager.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title StakingManager
/// @notice See {IStakingManager}.
/// @dev Stake is kept per node and owner: when hardware changes hands, the former owner's stake
/// stays its own and counts no longer.
contract StakingManager is IStakingManager, Governed, ReentrancyGuardTransient {
    using ExactTransfer for IERC20;
    using SafeERC20 for IERC20;

    uint256 private constant MIN_TOTAL_STAKE_MIN = 1;
    uint256 private constant MIN_TOTAL_STAKE_MAX = 1e27;
    uint256 private constant MIN_STAKE_DURATION_S_MIN = 1;
    uint256 private constant MIN_STAKE_DURATION_S_MAX = 30 days;
    uint256 private constant UNBONDING_PERIOD_S_MIN = 1;
    uint256 private constant UNBONDING_PERIOD_S_MAX = 90 days;

    /// @dev Time alone does not part two transactions: a block's timestamp can jump.
    uint64 private constant MATURING_BLOCKS = 2;

    /// @dev Bounds the loop in `withdraw`.
    uint256 private constant UNSTAKINGS_MAX = 32;

    /// @dev Tokens that wait for `withdrawableAt`, Unix time in seconds.
    struct Unstaking {
        uint256 amount;
        uint64 withdrawableAt;
    }

    /// @dev `maturing` becomes matured from `maturesAt` (Unix time in seconds) and `maturesAtBlock`.
    struct Account {
        uint256 matured;
        uint256 maturing;
        uint64 maturesAt;
        uint64 maturesAtBlock;
        Unstaking[] unstakings;
    }

    /// @custom:storage-location erc7201:aleph.storage.StakingManager
    struct StakingManagerStorage {
        IERC20 token;
        INodeRegistry registry;
        Parameters parameters;
        mapping(bytes32 nodeId => mapping(address owner => Account)) accounts;
    }

    bytes32 private constant STORAGE_SLOT =
        0x33fd57076c424af9bfa21284d6da1ce460bf46ab3bf1d43478160a5bb30fd500;

    function initialize(
        address admin,
        IERC20 token_,
        INodeRegistry registry_,
        Parameters calldata parameters
    ) external initializer {
        require(address(token_) != address(0) && address(registry_) != address(0), ZeroAddress());
        __Governed_init(admin);

        StakingManagerStorage storage $ = _storage();
        $.token = token_;
        $.registry = registry_;
        _setParameters(parameters);
    }

    // Owners.

    /// @inheritdoc IStakingManager
    function stake(bytes32 nodeId, uint256 amount) external whenNotPaused nonReentrant {
        require(amount != 0, ZeroAmount());
        StakingManagerStorage storage $ = _storage();
        INodeRegistry.Node memory node = $.registry.getNode(nodeId);
        require(
            node.owner == msg.sender && node.status != INodeRegistry.NodeStatus.Deregistered,
            NotNodeOwner(nodeId, msg.sender)
        );

        Account storage account = $.accounts[nodeId][msg.sender];
        _settle(account);
        account.maturing += amount;
        account.maturesAt = uint64(block.timestamp) + $.parameters.minStakeDuration;
        account.maturesAtBlock = uint64(block.number) + MATURING_BLOCKS;

        emit Staked(nodeId, msg.sender, amount, account.maturesAt);
        $.token.pull(msg.sender, amount);
    }

    /// @inheritdoc IStakingManager
    function unstake(bytes32 nodeId, uint256 amount) external nonReentrant {
        require(amount != 0, ZeroAmount());
        StakingManagerStorage storage $ = _storage();
        Account storage account = $.accounts[nodeId][msg.sender];
        _settle(account);
        uint256 staked = account.matured + account.maturing;
        require(amount <= staked, NotEnoughStake(staked, amount));
        require(account.unstakings.length < UNSTAKINGS_MAX, TooManyUnstakings(UNSTAKINGS_MAX));

        uint256 fromMaturing = amount < account.maturing ? amount : account.maturing;
        account.maturing -= fromMaturing;
        account.matured -= amount - fromMaturing;
        uint64 withdrawableAt = uint64(block.timestamp) + $.parameters.unbondingPeriod;
        account.unstakings.push(Unstaking(amount, withdrawableAt));

        emit Unstaked(nodeId, msg.sender, amount, withdrawableAt);
        if (
            account.matured < $.parameters.minTotalStake && $.registry.isNodeActive(nodeId)
                && $.registry.getNode(nodeId).owner == msg.sender
        ) {
            $.registry.deactivateNode(nodeId);
        }
    }

    /// @inheritdoc IStakingManager
    function withdraw(bytes32 nodeId) external nonReentrant {
        StakingManagerStorage storage $ = _storage();
        uint256 amount = _takeWithdrawable($.accounts[nodeId][msg.sender].unstakings);
        require(amount != 0, NothingToWithdraw());

        emit Withdrawn(nodeId, msg.sender, amount);
        $.token.safeTransfer(msg.sender, amount);
    }

    // Anyone.

    /// @inheritdoc IStakingManager
    function activate(bytes32 nodeId) external nonReentrant {
        StakingManagerStorage storage $ = _storage();
        Account storage account = $.accounts[nodeId][$.registry.getNode(nodeId).owner];
        _settle(account);
        uint256 required = $.parameters.minTotalStake;
        require(account.matured >= required, NotEnoughMaturedStake(account.matured, required));

        $.registry.activateNode(nodeId);
    }

    // Governance.

    /// @inheritdoc IStakingManager
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc IStakingManager
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    /// @inheritdoc IStakingManager
    function getStake(bytes32 nodeId) external view returns (StakeInfo memory info) {
        StakingManagerStorage storage $ = _storage();
        Account storage account = $.accounts[nodeId][$.registry.getNode(nodeId).owner];
        info.total = account.matured + account.maturing;
        if (_isMature(account)) {
            info.matured = info.total;
        } else {
            info.matured = account.matured;
            info.maturesAt = account.maturesAt;
        }
        uint256 count = account.unstakings.length;
        for (uint256 i = 0; i < count; ++i) {
            info.unbonding += account.unstakings[i].amount;
        }
    }

    // Inside.

    /// @dev Counts maturing stake as matured once its time has come.
    function _settle(Account storage account) private {
        if (account.maturing != 0 && _isMature(account)) {
            account.matured += account.maturing;
            account.maturing = 0;
        }
    }

    /// @dev True too when nothing matures.
    function _isMature(Account storage account) private view returns (bool) {
        return account.maturing == 0
            || (block.timestamp >= account.maturesAt && block.number >= account.maturesAtBlock);
    }

    /// @dev Removes what can be withdrawn and returns its sum. Not a queue: the unbonding period
    /// may have been shortened, so that a later unstaking is ready before an earlier one.
    function _takeWithdrawable(Unstaking[] storage unstakings) private returns (uint256 sum) {
        for (uint256 i = unstakings.length; i != 0; --i) {
            Unstaking storage candidate = unstakings[i - 1];
            if (block.timestamp < candidate.withdrawableAt) continue;
            sum += candidate.amount;
            unstakings[i - 1] = unstakings[unstakings.length - 1];
            unstakings.pop();
        }
    }

    function _setParameters(Parameters calldata parameters) private {
        Bounds.check(
            "minTotalStake", parameters.minTotalStake, MIN_TOTAL_STAKE_MIN, MIN_TOTAL_STAKE_MAX
        );
        Bounds.check(
            "minStakeDuration",
            parameters.minStakeDuration,
            MIN_STAKE_DURATION_S_MIN,
            MIN_STAKE_DURATION_S_MAX
        );
        Bounds.check(
            "unbondingPeriod",
            parameters.unbondingPeriod,
            UNBONDING_PERIOD_S_MIN,
            UNBONDING_PERIOD_S_MAX
        );
        _storage().parameters = parameters;

        emit ParametersSet(
            parameters.minTotalStake, parameters.minStakeDuration, parameters.unbondingPeriod
        );
    }

    function _storage() private pure returns (StakingManagerStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

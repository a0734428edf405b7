// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    GovernorUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/GovernorUpgradeable.sol";
import {
    TimelockControllerUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/TimelockControllerUpgradeable.sol";
import {
    GovernorCountingSimpleUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/extensions/GovernorCountingSimpleUpgradeable.sol";
import {
    GovernorSettingsUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/extensions/GovernorSettingsUpgradeable.sol";
import {
    GovernorTimelockControlUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/extensions/GovernorTimelockControlUpgradeable.sol";
import {
    GovernorVotesQuorumFractionUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/extensions/GovernorVotesQuorumFractionUpgradeable.sol";
import {
    GovernorVotesUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/extensions/GovernorVotesUpgradeable.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {Bounds} from "./libraries/Bounds.sol";

/// @title How the holders of ALEPH decide
/// @notice Holders propose, vote, and put what was accepted on the timelock; when its delay is over,
/// anyone executes it.
///
/// ```
///   propose ─(votingDelay)─▶ vote ─(votingPeriod)─▶ queue ─(the timelock's 48 h)─▶ execute
///                                                     └── cancel: emergency multisig
/// ```
///
/// It is the timelock that holds the power: it administers every contract, and this contract is the
/// only one that proposes to it. The emergency multisig has PAUSER_ROLE in the contracts and
/// CANCELLER_ROLE in the timelock: it stops intake and what is queued, and does nothing else.
///
/// Votes count as they were at the end of `votingDelay`, a moment in the past by the time that one
/// votes: tokens that are borrowed and given back in one transaction have none.
/// @dev Behind a proxy like every contract of the network, so that its address, the history of the
/// votes and the proposals under way outlive a correction, which takes a vote and the delay like
/// everything else. The timelock is OpenZeppelin's, without a proxy: the delay that protects everybody
/// is not open to a change of code. This contract keeps no storage of its own.
contract AlephGovernor is
    GovernorSettingsUpgradeable,
    GovernorCountingSimpleUpgradeable,
    GovernorVotesUpgradeable,
    GovernorVotesQuorumFractionUpgradeable,
    GovernorTimelockControlUpgradeable,
    UUPSUpgradeable
{
    /// @notice How votes are held.
    /// @param votingDelay From a proposal to the moment whose balances vote, in seconds.
    /// @param votingPeriod From that moment to the end of the vote, in seconds.
    /// @param proposalThreshold The votes that it takes to propose, in the token's units.
    /// @param quorumPercent The part of all tokens that must take part (for, or abstaining).
    struct Settings {
        uint48 votingDelay;
        uint32 votingPeriod;
        uint256 proposalThreshold;
        uint256 quorumPercent;
    }

    // Wide enough for a test network, too narrow to make governance impossible: a vote in a minute is
    // open to whoever is awake, one that nobody may propose or that needs every token never passes.
    uint256 private constant VOTING_DELAY_S_MIN = 1;
    uint256 private constant VOTING_DELAY_S_MAX = 30 days;
    uint256 private constant VOTING_PERIOD_S_MIN = 1 minutes;
    uint256 private constant VOTING_PERIOD_S_MAX = 30 days;
    uint256 private constant PROPOSAL_THRESHOLD_MIN = 1;
    uint256 private constant PROPOSAL_THRESHOLD_MAX = 1e25;
    uint256 private constant QUORUM_PERCENT_MIN = 1;
    uint256 private constant QUORUM_PERCENT_MAX = 50;

    /// @notice A contract address is zero.
    error ZeroAddress();

    /// @notice The token counts votes by blocks, which are no measure of time here.
    error VotesNotByTime();

    /// @dev An implementation is never used but through a proxy.
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    function initialize(
        IVotes token_,
        TimelockControllerUpgradeable timelock_,
        Settings calldata settings
    ) external initializer {
        require(address(token_) != address(0) && address(timelock_) != address(0), ZeroAddress());
        __Governor_init("AlephGovernor");
        __GovernorVotes_init(token_);
        require(keccak256(bytes(CLOCK_MODE())) == keccak256("mode=timestamp"), VotesNotByTime());
        __GovernorSettings_init(
            settings.votingDelay, settings.votingPeriod, settings.proposalThreshold
        );
        __GovernorVotesQuorumFraction_init(settings.quorumPercent);
        __GovernorTimelockControl_init(timelock_);
    }

    // What several of OpenZeppelin's parts define.

    function state(uint256 proposalId)
        public
        view
        override(GovernorUpgradeable, GovernorTimelockControlUpgradeable)
        returns (ProposalState)
    {
        return super.state(proposalId);
    }

    function proposalNeedsQueuing(uint256 proposalId)
        public
        view
        override(GovernorUpgradeable, GovernorTimelockControlUpgradeable)
        returns (bool)
    {
        return super.proposalNeedsQueuing(proposalId);
    }

    function proposalThreshold()
        public
        view
        override(GovernorUpgradeable, GovernorSettingsUpgradeable)
        returns (uint256)
    {
        return super.proposalThreshold();
    }

    function _queueOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(GovernorUpgradeable, GovernorTimelockControlUpgradeable) returns (uint48) {
        return super._queueOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _executeOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(GovernorUpgradeable, GovernorTimelockControlUpgradeable) {
        super._executeOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _cancel(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(GovernorUpgradeable, GovernorTimelockControlUpgradeable) returns (uint256) {
        return super._cancel(targets, values, calldatas, descriptionHash);
    }

    function _executor()
        internal
        view
        override(GovernorUpgradeable, GovernorTimelockControlUpgradeable)
        returns (address)
    {
        return super._executor();
    }

    // Bounds.

    function _setVotingDelay(uint48 delay) internal override {
        Bounds.check("votingDelay", delay, VOTING_DELAY_S_MIN, VOTING_DELAY_S_MAX);
        super._setVotingDelay(delay);
    }

    function _setVotingPeriod(uint32 period) internal override {
        Bounds.check("votingPeriod", period, VOTING_PERIOD_S_MIN, VOTING_PERIOD_S_MAX);
        super._setVotingPeriod(period);
    }

    function _setProposalThreshold(uint256 threshold) internal override {
        Bounds.check("proposalThreshold", threshold, PROPOSAL_THRESHOLD_MIN, PROPOSAL_THRESHOLD_MAX);
        super._setProposalThreshold(threshold);
    }

    function _updateQuorumNumerator(uint256 percent) internal override {
        Bounds.check("quorumPercent", percent, QUORUM_PERCENT_MIN, QUORUM_PERCENT_MAX);
        super._updateQuorumNumerator(percent);
    }

    /// @dev By a vote and the timelock's delay, like everything.
    function _authorizeUpgrade(address) internal override onlyGovernance {}
}

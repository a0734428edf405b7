// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    TimelockControllerUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/TimelockControllerUpgradeable.sol";
import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {vm} from "../script/Vm.sol";
import {AlephGovernor} from "../src/AlephGovernor.sol";
import {StakingManager} from "../src/StakingManager.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {Bounds} from "../src/libraries/Bounds.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {GovernanceFixture} from "./base/GovernanceFixture.sol";

/// @dev A governor's next version.
contract NextGovernor is AlephGovernor {
    function generation() external pure returns (uint256) {
        return 2;
    }
}

/// @dev A token whose votes are counted by blocks.
contract BlockVotes is ERC20, EIP712, ERC20Votes {
    constructor() ERC20("Blocks", "B") EIP712("Blocks", "1") {}

    function _update(address from, address to, uint256 amount)
        internal
        override(ERC20, ERC20Votes)
    {
        super._update(from, to, amount);
    }
}

contract AlephGovernorTest is GovernanceFixture {
    // The way of a decision.

    function test_propose_vote_queue_wait_execute() public {
        (address[] memory targets, bytes[] memory calls) = _raiseTheMinimum(2000 ether);
        uint256 proposalId = _propose(targets, calls);
        _assertState(proposalId, IGovernor.ProposalState.Pending);

        vm.warp(block.timestamp + VOTING_DELAY_S + 1);
        _assertState(proposalId, IGovernor.ProposalState.Active);
        _vote(proposalId);
        vm.warp(block.timestamp + VOTING_PERIOD_S);
        _assertState(proposalId, IGovernor.ProposalState.Succeeded);

        _queue(targets, calls);
        _assertState(proposalId, IGovernor.ProposalState.Queued);
        vm.assertEq(governor.proposalEta(proposalId), block.timestamp + 48 hours);

        vm.warp(block.timestamp + 48 hours - 1);
        _expectNotReady(targets, calls);
        _execute(targets, calls);
        vm.warp(block.timestamp + 1);
        vm.prank(STRANGER);
        _execute(targets, calls);
        _assertState(proposalId, IGovernor.ProposalState.Executed);
        vm.assertEq(staking.getParameters().minTotalStake, 2000 ether);
    }

    function test_what_is_not_accepted_cannot_be_queued() public {
        (address[] memory targets, bytes[] memory calls) = _raiseTheMinimum(2000 ether);
        uint256 proposalId = _propose(targets, calls);
        vm.expectRevert();
        _queue(targets, calls);
        vm.warp(block.timestamp + VOTING_DELAY_S + 1);

        // Too few take part.
        vm.prank(SMALL_HOLDER);
        governor.castVote(proposalId, 1);
        vm.warp(block.timestamp + VOTING_PERIOD_S);
        _assertState(proposalId, IGovernor.ProposalState.Defeated);
        vm.expectRevert();
        _queue(targets, calls);
        vm.expectRevert();
        _execute(targets, calls);
    }

    function test_more_against_than_for_defeats() public {
        (address[] memory targets, bytes[] memory calls) = _raiseTheMinimum(2000 ether);
        uint256 proposalId = _propose(targets, calls);
        vm.warp(block.timestamp + VOTING_DELAY_S + 1);
        vm.prank(HOLDER);
        governor.castVote(proposalId, 0);
        vm.prank(SMALL_HOLDER);
        governor.castVote(proposalId, 1);
        vm.warp(block.timestamp + VOTING_PERIOD_S);
        _assertState(proposalId, IGovernor.ProposalState.Defeated);
    }

    function test_proposing_takes_the_threshold() public {
        (address[] memory targets, bytes[] memory calls) = _raiseTheMinimum(2000 ether);
        vm.prank(STRANGER);
        vm.expectRevert(
            abi.encodeWithSelector(
                IGovernor.GovernorInsufficientProposerVotes.selector,
                STRANGER,
                0,
                PROPOSAL_THRESHOLD
            )
        );
        governor.propose(targets, new uint256[](1), calls, DESCRIPTION);
    }

    function test_a_proposer_can_take_a_proposal_back_before_the_vote() public {
        (address[] memory targets, bytes[] memory calls) = _raiseTheMinimum(2000 ether);
        uint256 proposalId = _propose(targets, calls);
        vm.prank(HOLDER);
        governor.cancel(targets, new uint256[](1), calls, keccak256(bytes(DESCRIPTION)));
        _assertState(proposalId, IGovernor.ProposalState.Canceled);
    }

    // Who can do what without a vote.

    function test_nobody_but_the_governor_proposes_to_the_timelock() public {
        (address[] memory targets, bytes[] memory calls) = _raiseTheMinimum(1);
        address[4] memory others = [STRANGER, HOLDER, MULTISIG, address(this)];
        for (uint256 i = 0; i < others.length; ++i) {
            _expectUnauthorized(others[i], timelock.PROPOSER_ROLE());
            vm.prank(others[i]);
            timelock.schedule(targets[0], 0, calls[0], 0, 0, 48 hours);
        }
        vm.assertTrue(timelock.hasRole(timelock.PROPOSER_ROLE(), address(governor)));
        vm.assertFalse(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(this)));
        vm.assertEq(timelock.getMinDelay(), 48 hours);
    }

    function test_a_stranger_upgrades_nothing() public {
        address next = address(new NextGovernor());
        address[3] memory others = [STRANGER, MULTISIG, HOLDER];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(
                abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, others[i])
            );
            governor.upgradeToAndCall(next, "");

            _expectUnauthorized(others[i], Roles.UPGRADER);
            vm.prank(others[i]);
            staking.upgradeToAndCall(next, "");
        }
    }

    function test_the_governor_upgrades_itself_by_a_vote() public {
        address[] memory targets = new address[](1);
        bytes[] memory calls = new bytes[](1);
        targets[0] = address(governor);
        calls[0] = abi.encodeCall(governor.upgradeToAndCall, (address(new NextGovernor()), ""));
        _decide(targets, calls);
        vm.assertEq(NextGovernor(payable(address(governor))).generation(), 2);
        vm.assertEq(governor.timelock(), address(timelock));
        vm.assertEq(governor.votingPeriod(), VOTING_PERIOD_S);
    }

    function test_a_contract_is_upgraded_by_a_vote() public {
        address[] memory targets = new address[](1);
        bytes[] memory calls = new bytes[](1);
        targets[0] = address(staking);
        calls[0] = abi.encodeCall(staking.upgradeToAndCall, (address(new StakingManager()), ""));
        _decide(targets, calls);
        vm.assertEq(staking.getParameters().minTotalStake, MIN_TOTAL_STAKE);
    }

    // The emergency multisig.

    function test_the_multisig_cancels_what_is_queued() public {
        (address[] memory targets, bytes[] memory calls) = _raiseTheMinimum(2000 ether);
        uint256 proposalId = _accept(targets, calls);
        _queue(targets, calls);

        bytes32 operation = _operation(targets, calls);
        _expectUnauthorized(STRANGER, timelock.CANCELLER_ROLE());
        vm.prank(STRANGER);
        timelock.cancel(operation);

        vm.prank(MULTISIG);
        timelock.cancel(operation);
        _assertState(proposalId, IGovernor.ProposalState.Canceled);
        vm.warp(block.timestamp + 48 hours);
        vm.expectRevert();
        _execute(targets, calls);
    }

    function test_the_multisig_pauses_intake_and_exits_go_on() public {
        _activeNode(NODE, OWNER, OPERATOR);
        vm.prank(MULTISIG);
        staking.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        _stake(NODE, OWNER, 1 ether);
        vm.prank(OWNER);
        staking.unstake(NODE, 1 ether);
    }

    function test_the_multisig_does_nothing_else() public {
        vm.startPrank(MULTISIG);
        _expectUnauthorized(MULTISIG, Roles.PARAMETER);
        staking.setParameters(_parameters());
        _expectUnauthorized(MULTISIG, Roles.UPGRADER);
        staking.upgradeToAndCall(address(0), "");
        _expectUnauthorized(MULTISIG, Roles.SLASHER);
        staking.slash(NODE, 1, MULTISIG, 1, 0);
        _expectUnauthorized(MULTISIG, Roles.REPORTER);
        staking.submitRewardRoot(1, bytes32(uint256(1)), 0);
        _expectUnauthorized(MULTISIG, 0);
        staking.grantRole(Roles.SLASHER, MULTISIG);
        bytes32 proposer = timelock.PROPOSER_ROLE();
        _expectUnauthorized(MULTISIG, 0);
        timelock.grantRole(proposer, MULTISIG);
        vm.expectRevert(
            abi.encodeWithSelector(TimelockController.TimelockUnauthorizedCaller.selector, MULTISIG)
        );
        timelock.updateDelay(0);
    }

    // Settings.

    function test_settings_change_by_a_vote_within_bounds() public {
        address[] memory targets = new address[](4);
        bytes[] memory calls = new bytes[](4);
        for (uint256 i = 0; i < 4; ++i) {
            targets[i] = address(governor);
        }
        calls[0] = abi.encodeCall(governor.setVotingDelay, (2 days));
        calls[1] = abi.encodeCall(governor.setVotingPeriod, (5 days));
        calls[2] = abi.encodeCall(governor.setProposalThreshold, (7 ether));
        calls[3] = abi.encodeCall(governor.updateQuorumNumerator, (20));
        _decide(targets, calls);
        vm.assertEq(governor.votingDelay(), 2 days);
        vm.assertEq(governor.votingPeriod(), 5 days);
        vm.assertEq(governor.proposalThreshold(), 7 ether);
        vm.assertEq(governor.quorumNumerator(), 20);
        vm.assertTrue(governor.proposalNeedsQueuing(0));
    }

    function test_nobody_changes_settings_without_a_vote() public {
        vm.startPrank(MULTISIG);
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, MULTISIG));
        governor.setVotingDelay(1 days);
    }

    function test_settings_have_bounds() public {
        AlephGovernor.Settings memory settings = _settings();
        settings.votingDelay = 0;
        _expectOutOfBounds(settings, "votingDelay", 0, 1, 30 days);
        settings.votingDelay = 30 days + 1;
        _expectOutOfBounds(settings, "votingDelay", 30 days + 1, 1, 30 days);

        settings = _settings();
        settings.votingPeriod = 59;
        _expectOutOfBounds(settings, "votingPeriod", 59, 60, 30 days);
        settings.votingPeriod = 30 days + 1;
        _expectOutOfBounds(settings, "votingPeriod", 30 days + 1, 60, 30 days);

        settings = _settings();
        settings.proposalThreshold = 0;
        _expectOutOfBounds(settings, "proposalThreshold", 0, 1, 1e25);
        settings.proposalThreshold = 1e25 + 1;
        _expectOutOfBounds(settings, "proposalThreshold", 1e25 + 1, 1, 1e25);

        settings = _settings();
        settings.quorumPercent = 0;
        _expectOutOfBounds(settings, "quorumPercent", 0, 1, 50);
        settings.quorumPercent = 51;
        _expectOutOfBounds(settings, "quorumPercent", 51, 1, 50);
    }

    // Deployment.

    function test_votes_are_counted_by_time() public {
        vm.assertEq(governor.CLOCK_MODE(), "mode=timestamp");
        vm.assertEq(governor.clock(), block.timestamp);

        address implementation = address(new AlephGovernor());
        bytes memory initialization =
            _initialization(IVotes(address(new BlockVotes())), address(timelock), _settings());
        vm.expectRevert(AlephGovernor.VotesNotByTime.selector);
        new ERC1967Proxy(implementation, initialization);
    }

    function test_initialization_refuses_zero_addresses_and_happens_once() public {
        address implementation = address(new AlephGovernor());
        vm.expectRevert(AlephGovernor.ZeroAddress.selector);
        new ERC1967Proxy(
            implementation, _initialization(IVotes(address(0)), address(timelock), _settings())
        );
        vm.expectRevert(AlephGovernor.ZeroAddress.selector);
        new ERC1967Proxy(implementation, _initialization(aleph, address(0), _settings()));

        TimelockControllerUpgradeable lock = TimelockControllerUpgradeable(payable(timelock));
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        governor.initialize(aleph, lock, _settings());
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        AlephGovernor(payable(implementation)).initialize(aleph, lock, _settings());
    }

    function test_it_fits() public view {
        vm.assertLe(implementationSize(address(governor)), 24_576);
        vm.assertLe(implementationSize(address(staking)), 24_576);
    }

    function implementationSize(address proxy) private view returns (uint256) {
        bytes32 slot = bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1);
        return address(uint160(uint256(vm.load(proxy, slot)))).code.length;
    }

    function _raiseTheMinimum(uint256 minimum)
        private
        view
        returns (address[] memory targets, bytes[] memory calls)
    {
        targets = new address[](1);
        calls = new bytes[](1);
        IStakingManager.Parameters memory parameters = _parameters();
        parameters.minTotalStake = minimum;
        targets[0] = address(staking);
        calls[0] = abi.encodeCall(staking.setParameters, (parameters));
    }

    function _expectNotReady(address[] memory targets, bytes[] memory calls) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                TimelockController.TimelockUnexpectedOperationState.selector,
                _operation(targets, calls),
                bytes32(1 << uint8(TimelockController.OperationState.Ready))
            )
        );
    }

    function _expectUnauthorized(address account, bytes32 role) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector, account, role
            )
        );
    }

    function _expectOutOfBounds(
        AlephGovernor.Settings memory settings,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        address implementation = address(new AlephGovernor());
        bytes memory initialization = _initialization(aleph, address(timelock), settings);
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        new ERC1967Proxy(implementation, initialization);
    }

    function _assertState(uint256 proposalId, IGovernor.ProposalState state) private view {
        vm.assertEq(uint256(governor.state(proposalId)), uint256(state));
    }
}

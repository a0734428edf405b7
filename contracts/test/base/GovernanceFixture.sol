// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    TimelockControllerUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/TimelockControllerUpgradeable.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {vm} from "../../script/Vm.sol";
import {AlephGovernor} from "../../src/AlephGovernor.sol";
import {Governed} from "../../src/base/Governed.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Fixture} from "./Fixture.sol";

/// @title A network in the hands of its holders
/// @dev The timelock has every right, the multisig its two, and the deployer none any more.
abstract contract GovernanceFixture is Fixture {
    address internal constant HOLDER = address(0x90);
    address internal constant SMALL_HOLDER = address(0x91);
    address internal constant MULTISIG = address(0x92);

    uint48 internal constant VOTING_DELAY_S = 1 days;
    uint32 internal constant VOTING_PERIOD_S = 3 days;
    uint256 internal constant PROPOSAL_THRESHOLD = 100_000 ether;
    string internal constant DESCRIPTION = "a proposal";

    TimelockController internal timelock;
    AlephGovernor internal governor;

    function setUp() public virtual override {
        super.setUp();
        timelock =
            new TimelockController(48 hours, new address[](0), new address[](1), address(this));
        governor = AlephGovernor(
            payable(new ERC1967Proxy(
                    address(new AlephGovernor()),
                    _initialization(aleph, address(timelock), _settings())
                ))
        );
        timelock.grantRole(timelock.PROPOSER_ROLE(), address(governor));
        timelock.grantRole(timelock.CANCELLER_ROLE(), MULTISIG);
        timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), address(this));
        _handOver(registry);
        _handOver(staking);
        _handOver(jobs);

        aleph.transfer(HOLDER, 100_000_000 ether);
        aleph.transfer(SMALL_HOLDER, 1_000_000 ether);
        vm.prank(HOLDER);
        aleph.delegate(HOLDER);
        vm.prank(SMALL_HOLDER);
        aleph.delegate(SMALL_HOLDER);
        vm.warp(block.timestamp + 1);
    }

    function _settings() internal pure returns (AlephGovernor.Settings memory) {
        return AlephGovernor.Settings({
            votingDelay: VOTING_DELAY_S,
            votingPeriod: VOTING_PERIOD_S,
            proposalThreshold: PROPOSAL_THRESHOLD,
            quorumPercent: 10
        });
    }

    function _initialization(IVotes token, address lock, AlephGovernor.Settings memory settings)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(
            AlephGovernor.initialize,
            (token, TimelockControllerUpgradeable(payable(lock)), settings)
        );
    }

    function _propose(address[] memory targets, bytes[] memory calls)
        internal
        returns (uint256 proposalId)
    {
        vm.prank(HOLDER);
        return governor.propose(targets, new uint256[](targets.length), calls, DESCRIPTION);
    }

    function _vote(uint256 proposalId) internal {
        vm.prank(HOLDER);
        governor.castVote(proposalId, 1);
    }

    /// @dev Up to the end of a vote that is won.
    function _accept(address[] memory targets, bytes[] memory calls)
        internal
        returns (uint256 proposalId)
    {
        proposalId = _propose(targets, calls);
        vm.warp(block.timestamp + governor.votingDelay() + 1);
        _vote(proposalId);
        vm.warp(block.timestamp + governor.votingPeriod());
    }

    function _queue(address[] memory targets, bytes[] memory calls) internal {
        governor.queue(targets, new uint256[](targets.length), calls, keccak256(bytes(DESCRIPTION)));
    }

    function _execute(address[] memory targets, bytes[] memory calls) internal {
        governor.execute(
            targets, new uint256[](targets.length), calls, keccak256(bytes(DESCRIPTION))
        );
    }

    function _decide(address[] memory targets, bytes[] memory calls) internal {
        _accept(targets, calls);
        _queue(targets, calls);
        vm.warp(block.timestamp + 48 hours);
        _execute(targets, calls);
    }

    /// @dev The timelock's name for a proposal.
    function _operation(address[] memory targets, bytes[] memory calls)
        internal
        view
        returns (bytes32)
    {
        bytes32 salt = bytes32(bytes20(address(governor))) ^ keccak256(bytes(DESCRIPTION));
        return timelock.hashOperationBatch(targets, new uint256[](targets.length), calls, 0, salt);
    }

    function _handOver(Governed target) private {
        target.grantRole(Roles.PAUSER, MULTISIG);
        target.renounceRole(Roles.PAUSER, address(this));
        bytes32[4] memory roles =
            [Roles.UPGRADER, Roles.PARAMETER, Roles.SLASHER, target.DEFAULT_ADMIN_ROLE()];
        for (uint256 i = 0; i < roles.length; ++i) {
            target.grantRole(roles[i], address(timelock));
            target.renounceRole(roles[i], address(this));
        }
    }
}

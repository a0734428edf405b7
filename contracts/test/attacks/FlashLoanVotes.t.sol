// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";

import {vm} from "../../script/Vm.sol";
import {AlephGovernor} from "../../src/AlephGovernor.sol";
import {FlashBorrower, FlashLender} from "../base/FlashLender.sol";
import {GovernanceFixture} from "../base/GovernanceFixture.sol";

/// @dev Borrows votes. Its calls to the governor may fail; what they say is kept.
contract VotesBorrower is FlashBorrower {
    AlephGovernor private immutable GOVERNOR;
    bytes private call;

    uint256 public votesDuringTheLoan;
    bool public succeeded;
    bytes public answer;

    constructor(FlashLender lender, AlephGovernor governor) FlashBorrower(lender) {
        GOVERNOR = governor;
        IVotes(address(TOKEN)).delegate(address(this));
    }

    function attack(uint256 amount, bytes calldata call_) external {
        call = call_;
        _borrow(amount);
    }

    function _use(uint256) internal override {
        votesDuringTheLoan = IVotes(address(TOKEN)).getVotes(address(this));
        (succeeded, answer) = address(GOVERNOR).call(call);
    }
}

/// @dev Votes count as they were at a moment that is over: a loan of one transaction is never there.
contract FlashLoanVotesAttack is GovernanceFixture {
    uint256 private constant LOAN = 200_000_000 ether;

    VotesBorrower private attacker;

    function setUp() public override {
        super.setUp();
        FlashLender lender = new FlashLender(aleph);
        aleph.transfer(address(lender), LOAN);
        attacker = new VotesBorrower(lender, governor);
        vm.warp(block.timestamp + 1);
    }

    function test_borrowed_votes_propose_nothing() public {
        (address[] memory targets, bytes[] memory calls) = _nothing();
        attacker.attack(
            LOAN, abi.encodeCall(governor.propose, (targets, new uint256[](1), calls, DESCRIPTION))
        );
        vm.assertEq(attacker.votesDuringTheLoan(), LOAN);
        vm.assertFalse(attacker.succeeded());
        vm.assertEq(
            attacker.answer(),
            abi.encodeWithSelector(
                IGovernor.GovernorInsufficientProposerVotes.selector,
                address(attacker),
                0,
                PROPOSAL_THRESHOLD
            )
        );
    }

    /// @dev At any time of a vote, its first and its last second included.
    function testFuzz_borrowed_votes_count_nothing(uint256 wait) public {
        (address[] memory targets, bytes[] memory calls) = _nothing();
        uint256 proposalId = _propose(targets, calls);
        wait %= VOTING_DELAY_S + VOTING_PERIOD_S + 1;
        vm.warp(block.timestamp + wait);

        attacker.attack(LOAN, abi.encodeCall(governor.castVote, (proposalId, 1)));
        vm.assertTrue(attacker.succeeded() == (wait > VOTING_DELAY_S));
        (, uint256 forVotes,) = governor.proposalVotes(proposalId);
        vm.assertEq(forVotes, 0);
        vm.assertEq(aleph.getVotes(address(attacker)), 0);

        if (wait < VOTING_DELAY_S) {
            vm.warp(block.timestamp + VOTING_DELAY_S - wait + 1);
            vm.assertEq(aleph.getPastVotes(address(attacker), block.timestamp - 1), 0);
        }
    }

    function _nothing() private view returns (address[] memory targets, bytes[] memory calls) {
        targets = new address[](1);
        calls = new bytes[](1);
        targets[0] = address(aleph);
    }
}

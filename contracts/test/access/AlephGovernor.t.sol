// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {AlephGovernor} from "../../src/AlephGovernor.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev OWNER has votes enough for everything. There is a proposal that waits for its vote, one that
/// is voted on, one that was accepted, and one whose delay in the timelock is over.
contract AlephGovernorAccessTest is AccessMatrix {
    uint8 private constant FOR = 1;
    uint256 private voted;

    function setUp() public override {
        super.setUp();
        aleph.transfer(OWNER, 100_000_000 ether);
        vm.prank(OWNER);
        aleph.delegate(OWNER);
        _pass(1);

        uint256 first = _propose("executable");
        uint256 second = _propose("accepted");
        _pass(governor.votingDelay() + 1);
        vm.startPrank(OWNER);
        governor.castVote(first, FOR);
        governor.castVote(second, FOR);
        vm.stopPrank();
        _pass(governor.votingPeriod() + 1);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _nothing();
        governor.queue(targets, values, calls, keccak256("executable"));
        _pass(timelock.getMinDelay() + 1);
        voted = _propose("voted");
        _pass(governor.votingDelay() + 1);
        _propose("waiting");
    }

    /// @dev What is proposed is to move nothing.
    function _nothing()
        private
        view
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls)
    {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        targets[0] = address(aleph);
        calls[0] = abi.encodeCall(aleph.transfer, (OWNER, 0));
    }

    function _propose(string memory what) private returns (uint256) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _nothing();
        vm.prank(OWNER);
        return governor.propose(targets, values, calls, what);
    }

    function _proposal(string memory what) private view returns (bytes memory) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _nothing();
        return abi.encode(targets, values, calls, keccak256(bytes(what)));
    }

    function test_governor() public {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) = _nothing();
        _row(
            "propose(address[],uint256[],bytes[],string)",
            abi.encode(targets, values, calls, "another one"),
            OWNERS,
            IGovernor.GovernorInsufficientProposerVotes.selector
        );
        _row(
            "cancel(address[],uint256[],bytes[],bytes32)",
            _proposal("waiting"),
            OWNERS,
            IGovernor.GovernorUnableToCancel.selector
        );
        _row("castVote(uint256,uint8)", abi.encode(voted, FOR));
        _row("castVoteWithReason(uint256,uint8,string)", abi.encode(voted, FOR, ""));
        _row(
            "castVoteWithReasonAndParams(uint256,uint8,string,bytes)",
            abi.encode(voted, FOR, "", "")
        );
        // Anyone may bring a signature; these are none, whoever brings them.
        _row(
            "castVoteBySig(uint256,uint8,address,bytes)",
            abi.encode(voted, FOR, OWNER, ""),
            NO_ONE,
            IGovernor.GovernorInvalidSignature.selector
        );
        _row(
            "castVoteWithReasonAndParamsBySig(uint256,uint8,address,string,bytes,bytes)",
            abi.encode(voted, FOR, OWNER, "", "", ""),
            NO_ONE,
            IGovernor.GovernorInvalidSignature.selector
        );
        _row("queue(address[],uint256[],bytes[],bytes32)", _proposal("accepted"));
        _row("execute(address[],uint256[],bytes[],bytes32)", _proposal("executable"));
        _byVote();
        _depositRows();
        _views();
        _check(address(governor), "AlephGovernor");
    }

    /// @dev Only what was voted for and has waited gets there.
    function _byVote() private {
        bytes4 refusal = IGovernor.GovernorOnlyExecutor.selector;
        address next = address(new AlephGovernor());
        _row("upgradeToAndCall(address,bytes)", abi.encode(next, ""), NO_ONE, refusal);
        _row("relay(address,uint256,bytes)", abi.encode(aleph, 0, ""), NO_ONE, refusal);
        _row("setProposalThreshold(uint256)", abi.encode(1), NO_ONE, refusal);
        _row("setVotingDelay(uint48)", abi.encode(1), NO_ONE, refusal);
        _row("setVotingPeriod(uint32)", abi.encode(3600), NO_ONE, refusal);
        _row("updateQuorumNumerator(uint256)", abi.encode(1), NO_ONE, refusal);
        _row("updateTimelock(address)", abi.encode(OWNER), NO_ONE, refusal);
        _row("proxiableUUID()", "", NO_ONE, UUPSUpgradeable.UUPSUnauthorizedCallContext.selector);
    }

    /// @dev The timelock keeps what is governed; here it would be lost.
    function _depositRows() private {
        bytes4 refusal = IGovernor.GovernorDisabledDeposit.selector;
        uint256[] memory none = new uint256[](0);
        _row(
            "onERC721Received(address,address,uint256,bytes)",
            abi.encode(OWNER, OWNER, 0, ""),
            NO_ONE,
            refusal
        );
        _row(
            "onERC1155Received(address,address,uint256,uint256,bytes)",
            abi.encode(OWNER, OWNER, 0, 0, ""),
            NO_ONE,
            refusal
        );
        _row(
            "onERC1155BatchReceived(address,address,uint256[],uint256[],bytes)",
            abi.encode(OWNER, OWNER, none, none, ""),
            NO_ONE,
            refusal
        );
    }

    function _views() private {
        _initializeRow("initialize(address,address,(uint48,uint32,uint256,uint256))");
        _view("BALLOT_TYPEHASH()");
        _view("CLOCK_MODE()");
        _view("COUNTING_MODE()");
        _view("EXTENDED_BALLOT_TYPEHASH()");
        _view("UPGRADE_INTERFACE_VERSION()");
        _view("clock()");
        _view("eip712Domain()");
        _view("getProposalId(address[],uint256[],bytes[],bytes32)");
        _view("getVotes(address,uint256)");
        _view("getVotesWithParams(address,uint256,bytes)");
        _view("hasVoted(uint256,address)");
        _view("hashProposal(address[],uint256[],bytes[],bytes32)");
        _view("name()");
        _view("nonces(address)");
        _view("proposalDeadline(uint256)");
        _view("proposalEta(uint256)");
        _view("proposalNeedsQueuing(uint256)");
        _view("proposalProposer(uint256)");
        _view("proposalSnapshot(uint256)");
        _view("proposalThreshold()");
        _view("proposalVotes(uint256)");
        _view("quorum(uint256)");
        _view("quorumDenominator()");
        _view("quorumNumerator()");
        _view("quorumNumerator(uint256)");
        _view("state(uint256)");
        _view("supportsInterface(bytes4)");
        _view("timelock()");
        _view("token()");
        _view("version()");
        _view("votingDelay()");
        _view("votingPeriod()");
    }
}

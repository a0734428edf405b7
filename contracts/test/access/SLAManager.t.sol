// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

import {vm} from "../../script/Vm.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev OTHER_NODE runs a job under an SLA, and three of its periods were bad: one is reported, one
/// disputed, one due for its penalty; CUSTOMER has won a dispute's bond. A second job has an offer.
contract SLAManagerAccessTest is AccessMatrix {
    bytes32 private constant EVIDENCE = keccak256("evidence");
    uint256 private slaId;
    uint256 private attachmentId;
    uint256 private endedId;
    uint256 private offeredJob;

    function setUp() public override {
        super.setUp();
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        slaId = slas.defineSla(_terms());
        uint256 ended = _runningJob(OTHER_NODE, OTHER_OPERATOR);
        endedId = _attach(ended);
        vm.prank(OTHER_OPERATOR);
        jobs.completeJob(ended);
        attachmentId = _attach(_runningJob(OTHER_NODE, OTHER_OPERATOR));
        offeredJob = _runningJob(OTHER_NODE, OTHER_OPERATOR);
        vm.prank(CUSTOMER);
        slas.attachSla(offeredJob, slaId);

        _pass(1 hours);
        _report(0);
        _dispute(0);
        vm.prank(COMMITTEE);
        slas.resolveDispute(attachmentId, 0, true);
        _pass(1 hours);
        _report(1);
        _dispute(1);
        _pass(1 hours);
        _report(2);
        _pass(1 hours);
    }

    function _terms() private pure returns (ISLAManager.Terms memory) {
        return ISLAManager.Terms({
            period: 1 hours,
            periods: 100,
            downtimeMax: 60,
            creditBps: 1000,
            slashAmount: 10 ether,
            customerBps: 1000,
            documentHash: 0
        });
    }

    function _attach(uint256 jobId) private returns (uint256) {
        vm.prank(CUSTOMER);
        slas.attachSla(jobId, slaId);
        vm.prank(OTHER_OWNER);
        return slas.attachSla(jobId, slaId);
    }

    function _report(uint32 period) private {
        for (uint256 i = 0; i < slas.getParameters().witnessQuorum; ++i) {
            vm.prank(_witness(i));
            slas.reportViolation(attachmentId, period, 600, EVIDENCE);
        }
    }

    function _dispute(uint32 period) private {
        vm.prank(OTHER_OWNER);
        slas.disputeViolation(attachmentId, period, EVIDENCE);
    }

    function test_sla_manager() public {
        _row(
            "defineSla((uint64,uint32,uint64,uint16,uint128,uint16,bytes32))", abi.encode(_terms())
        );
        _row(
            "attachSla(uint256,uint256)",
            abi.encode(offeredJob, slaId),
            CUSTOMERS | OTHER_OWNERS,
            ISLAManager.NotParty.selector
        );
        _row(
            "withdrawOffer(uint256)",
            abi.encode(offeredJob),
            CUSTOMERS,
            ISLAManager.NoOffer.selector
        );
        _row("closeSla(uint256)", abi.encode(endedId));
        _row(
            "reportViolation(uint256,uint32,uint64,bytes32)",
            abi.encode(attachmentId, 3, 600, EVIDENCE),
            WITNESS,
            IAccessControl.AccessControlUnauthorizedAccount.selector
        );
        _row(
            "disputeViolation(uint256,uint32,bytes32)",
            abi.encode(attachmentId, 2, EVIDENCE),
            OTHER_OWNERS,
            ISLAManager.NotAccused.selector
        );
        _row("resolveDispute(uint256,uint32,bool)", abi.encode(attachmentId, 1, true), SLASHER);
        _row("applyPenalty(uint256,uint32)", abi.encode(attachmentId, 0));
        _row(
            "closeViolation(uint256,uint32)",
            abi.encode(attachmentId, 2),
            NO_ONE,
            ISLAManager.WrongTime.selector
        );
        _row("withdraw()", "", CUSTOMERS, ISLAManager.NothingToWithdraw.selector);
        _row(
            "setParameters((uint32,uint64,uint64,uint64,uint64,uint64,uint16,uint128,uint128))",
            abi.encode(slas.getParameters()),
            PARAMETER
        );
        _initializeRow(
            "initialize(address,(address,address,address,address),(uint32,uint64,uint64,uint64,uint64,uint64,uint16,uint128,uint128))"
        );
        _view("attachmentCount()");
        _view("attachmentOf(uint256,uint32)");
        _view("getAttachment(uint256)");
        _view("getOffer(uint256,address)");
        _view("getParameters()");
        _view("getSla(uint256)");
        _view("getViolation(uint256,uint32)");
        _view("slaCount()");
        _view("withdrawable(address)");
        _governedRows();
        _check(address(slas), "SLAManager");
    }
}

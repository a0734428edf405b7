// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {JobManager} from "../../src/JobManager.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev A JobManager of its own, for which nobody has said yet who settles its jobs; that is said
/// once. OTHER_NODE is active, and there is a job in each state, the silent one for days.
contract JobManagerAccessTest is AccessMatrix {
    uint256 private created;
    uint256 private assigned;
    uint256 private running;
    uint256 private silent;

    function setUp() public override {
        super.setUp();
        jobs = JobManager(
            _proxy(
                address(new JobManager()),
                abi.encodeCall(
                    JobManager.initialize, (address(this), registry, jobs.getParameters())
                )
            )
        );
        for (uint256 i = 0; i < 14; ++i) {
            jobs.grantRole(_roles()[i], _actor(i));
        }
        jobs.grantRole(Roles.SCHEDULER, SCHEDULER);
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        _activeNode(NODE, OWNER, OPERATOR);

        silent = _unpriced();
        vm.prank(SCHEDULER);
        jobs.assignJob(silent, OTHER_NODE);
        _pass(jobs.getParameters().expireAfter + 1);
        created = _unpriced();
        assigned = _unpriced();
        running = _unpriced();
        vm.startPrank(SCHEDULER);
        jobs.assignJob(assigned, OTHER_NODE);
        jobs.assignJob(running, OTHER_NODE);
        vm.stopPrank();
        vm.prank(OTHER_OPERATOR);
        jobs.startJob(running);
    }

    function _unpriced() private returns (uint256) {
        IJobManager.JobRequest memory request = _request();
        (request.token, request.pricePerHour) = (address(0), 0);
        vm.prank(CUSTOMER);
        return jobs.createJob(request);
    }

    function test_job_manager() public {
        bytes4 notOperator = IJobManager.NotJobOperator.selector;
        IJobManager.JobRequest memory request = _request();
        (request.token, request.pricePerHour) = (address(0), 0);
        _row(
            "createJob((bytes32,(uint32,uint64,uint64,bytes32,uint8),address,uint128,uint64))",
            abi.encode(request)
        );
        _row("assignJob(uint256,bytes32)", abi.encode(created, OTHER_NODE), SCHEDULERS);
        _row("reassignJob(uint256,bytes32)", abi.encode(silent, NODE), SCHEDULERS);
        _row("startJob(uint256)", abi.encode(assigned), OTHER_OPERATORS, notOperator);
        // A stranger's heartbeat is taken, and skips every job.
        uint256[] memory jobIds = new uint256[](1);
        jobIds[0] = running;
        _row("heartbeat(uint256[])", abi.encode(jobIds));
        _row("stopJob(uint256)", abi.encode(running), CUSTOMERS, IJobManager.NotCustomer.selector);
        _row("completeJob(uint256)", abi.encode(running), OTHER_OPERATORS, notOperator);
        _row(
            "failJob(uint256,string)",
            abi.encode(assigned, ""),
            OTHER_OPERATORS | SCHEDULERS,
            notOperator
        );
        _row("expireJob(uint256)", abi.encode(silent));
        _row("stopUnpaidJob(uint256)", abi.encode(running), PAYMENT_MANAGER);
        _row("setPaymentManager(address)", abi.encode(payments), PARAMETER);
        _row(
            "setParameters((uint64,uint64,uint64,uint32))",
            abi.encode(jobs.getParameters()),
            PARAMETER
        );
        _initializeRow("initialize(address,address,(uint64,uint64,uint64,uint32))");
        _view("getBilling(uint256)");
        _view("getJob(uint256)");
        _view("getJobsOfNode(bytes32,uint256,uint256)");
        _view("getOpenJobs(uint256,uint256)");
        _view("getParameters()");
        _view("getPaymentManager()");
        _view("getSegment(uint256,uint256)");
        _view("jobCount()");
        _governedRows();
        _check(address(jobs), "JobManager");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {vm} from "../script/Vm.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev Who may call what. Each contract's table has a row for every external function that the
/// build has, no more and no less. A stranger's call must be refused for the reason in the row
/// and the very same call must succeed for the one account that is meant to make it.
contract AccessTest is Fixture {
    /// @dev A function that anyone may call.
    address private constant ANYONE = address(0);
    /// @dev A function that no one may call any more.
    address private constant NO_ONE = address(1);
    address private constant PAYMENT_MANAGER = address(0xF1);

    struct Row {
        string signature;
        bytes arguments;
        address allowed;
        bytes4 refusal;
    }

    Row[] private rows;
    uint256 private createdJob;
    uint256 private assignedJob;
    uint256 private runningJob;

    /// @dev A state in which only who calls decides whether a call succeeds: NODE could be
    /// activated, OTHER_NODE is active, and there is a job in each state.
    function setUp() public override {
        super.setUp();
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        createdJob = _createJob();
        assignedJob = _assignedJob(OTHER_NODE);
        runningJob = _runningJob(OTHER_NODE, OTHER_OPERATOR);

        _register(NODE, OWNER, OPERATOR);
        _stake(NODE, OWNER, 2 * MIN_TOTAL_STAKE);
        vm.prank(OWNER);
        staking.unstake(NODE, MIN_TOTAL_STAKE);
        vm.warp(block.timestamp + UNBONDING_PERIOD_S);
        vm.roll(block.number + 2);
    }

    function test_token() public {
        _row("allowance(address,address)", abi.encode(OWNER, STRANGER));
        _row("approve(address,uint256)", abi.encode(OWNER, 1));
        _row("balanceOf(address)", abi.encode(OWNER));
        _row("decimals()", "");
        _row("name()", "");
        _row("symbol()", "");
        _row("totalSupply()", "");
        _row("transfer(address,uint256)", abi.encode(OWNER, 0));
        _row(
            "transferFrom(address,address,uint256)",
            abi.encode(OWNER, STRANGER, 1),
            address(staking),
            IERC20Errors.ERC20InsufficientAllowance.selector
        );
        _check(address(aleph), "AlephToken");
    }

    function test_node_registry() public {
        bytes memory registration = abi.encode(
            keccak256("new node"), OWNER, INodeRegistry.NodeType.Compute, _key(), "", ""
        );
        _row("registerNode(bytes32,address,uint8,(bytes32,bytes32),string,string)", registration);
        _row(
            "updateMetadata(bytes32,string,string)",
            abi.encode(NODE, "", ""),
            OPERATOR,
            INodeRegistry.NotNodeOperator.selector
        );
        _row(
            "heartbeat(bytes32,bytes32)",
            abi.encode(NODE, 0),
            OPERATOR,
            INodeRegistry.NotNodeOperator.selector
        );
        _row(
            "deregisterNode(bytes32)", abi.encode(NODE), OWNER, INodeRegistry.NotNodeOwner.selector
        );
        _roleRow("activateNode(bytes32)", abi.encode(NODE), address(staking));
        _roleRow("deactivateNode(bytes32)", abi.encode(OTHER_NODE), address(staking));
        _row("getNode(bytes32)", abi.encode(NODE));
        _row("isNodeActive(bytes32)", abi.encode(NODE));
        _row("nodeCount()", "");
        _row("getActiveNodes(uint256,uint256)", abi.encode(0, 1));
        _row("nodeOfOperator(address)", abi.encode(OPERATOR));
        _initializeRow("initialize(address)", abi.encode(STRANGER));
        _commonRows();
        _check(address(registry), "NodeRegistry");
    }

    function test_staking_manager() public {
        _row(
            "stake(bytes32,uint256)",
            abi.encode(NODE, 1),
            OWNER,
            IStakingManager.NotNodeOwner.selector
        );
        _row(
            "unstake(bytes32,uint256)",
            abi.encode(NODE, 1),
            OWNER,
            IStakingManager.NotEnoughStake.selector
        );
        _row(
            "withdraw(bytes32)", abi.encode(NODE), OWNER, IStakingManager.NothingToWithdraw.selector
        );
        _row("activate(bytes32)", abi.encode(NODE));
        _roleRow("setParameters((uint256,uint64,uint64))", abi.encode(_parameters()), address(this));
        _row("getParameters()", "");
        _row("getStake(bytes32)", abi.encode(NODE));
        _initializeRow(
            "initialize(address,address,address,(uint256,uint64,uint64))",
            abi.encode(STRANGER, aleph, registry, _parameters())
        );
        _commonRows();
        _check(address(staking), "StakingManager");
    }

    function test_job_manager() public {
        jobs.grantRole(Roles.PAYMENT_MANAGER, PAYMENT_MANAGER);
        staking.activate(NODE);
        _row(
            "createJob((bytes32,(uint32,uint64,uint64,bytes32,uint8),address,uint128,uint64))",
            abi.encode(_request())
        );
        _roleRow("assignJob(uint256,bytes32)", abi.encode(createdJob, OTHER_NODE), SCHEDULER);
        _row(
            "startJob(uint256)",
            abi.encode(assignedJob),
            OTHER_OPERATOR,
            IJobManager.NotJobOperator.selector
        );
        // A stranger's heartbeat is accepted and skips every job: JobManagerTest has that.
        uint256[] memory jobIds = new uint256[](1);
        jobIds[0] = runningJob;
        _row("heartbeat(uint256[])", abi.encode(jobIds));
        _row("stopJob(uint256)", abi.encode(runningJob), CUSTOMER, IJobManager.NotCustomer.selector);
        _row(
            "completeJob(uint256)",
            abi.encode(runningJob),
            OTHER_OPERATOR,
            IJobManager.NotJobOperator.selector
        );
        _row(
            "failJob(uint256,string)",
            abi.encode(createdJob, ""),
            SCHEDULER,
            IJobManager.NotJobOperator.selector
        );
        _roleRow("reassignJob(uint256,bytes32)", abi.encode(runningJob, NODE), SCHEDULER);
        _row("expireJob(uint256)", abi.encode(runningJob));
        _roleRow("stopUnpaidJob(uint256)", abi.encode(runningJob), PAYMENT_MANAGER);
        _roleRow("setPaymentManager(address)", abi.encode(PAYMENT_MANAGER), address(this));
        _roleRow(
            "setParameters((uint64,uint64,uint64,uint32))",
            abi.encode(_jobParameters()),
            address(this)
        );
        _row("getBilling(uint256)", abi.encode(createdJob));
        _row("getSegment(uint256,uint256)", abi.encode(runningJob, 0));
        _row("getPaymentManager()", "");
        _row("getParameters()", "");
        _row("getJob(uint256)", abi.encode(createdJob));
        _row("jobCount()", "");
        _row("getJobsOfNode(bytes32,uint256,uint256)", abi.encode(NODE, 0, 1));
        _row("getOpenJobs(uint256,uint256)", abi.encode(0, 1));
        _initializeRow(
            "initialize(address,address,(uint64,uint64,uint64,uint32))",
            abi.encode(STRANGER, registry, _jobParameters())
        );
        _commonRows();
        _check(address(jobs), "JobManager");
    }

    function _commonRows() private {
        bytes32 role = keccak256("some role");
        address next = address(new NodeRegistry());
        _row("DEFAULT_ADMIN_ROLE()", "");
        _row("UPGRADE_INTERFACE_VERSION()", "");
        _row("getRoleAdmin(bytes32)", abi.encode(role));
        _row("hasRole(bytes32,address)", abi.encode(role, STRANGER));
        _row("supportsInterface(bytes4)", abi.encode(bytes4(0x01ffc9a7)));
        _row("renounceRole(bytes32,address)", abi.encode(role, STRANGER));
        _roleRow("grantRole(bytes32,address)", abi.encode(role, STRANGER), address(this));
        _roleRow("revokeRole(bytes32,address)", abi.encode(role, STRANGER), address(this));
        _row("paused()", "");
        _roleRow("pause()", "", address(this));
        _row(
            "unpause()", "", address(this), IAccessControl.AccessControlUnauthorizedAccount.selector
        );
        _roleRow("upgradeToAndCall(address,bytes)", abi.encode(next, ""), address(this));
        _row("proxiableUUID()", "", NO_ONE, UUPSUpgradeable.UUPSUnauthorizedCallContext.selector);
    }

    function _row(string memory signature, bytes memory arguments) private {
        _row(signature, arguments, ANYONE, 0);
    }

    function _roleRow(string memory signature, bytes memory arguments, address allowed) private {
        _row(
            signature, arguments, allowed, IAccessControl.AccessControlUnauthorizedAccount.selector
        );
    }

    function _initializeRow(string memory signature, bytes memory arguments) private {
        _row(signature, arguments, NO_ONE, Initializable.InvalidInitialization.selector);
    }

    function _row(string memory signature, bytes memory arguments, address allowed, bytes4 refusal)
        private
    {
        rows.push(Row(signature, arguments, allowed, refusal));
    }

    function _check(address target, string memory contractName) private {
        _checkComplete(contractName);
        for (uint256 i = 0; i < rows.length; ++i) {
            _checkRow(target, rows[i]);
        }
    }

    function _checkComplete(string memory contractName) private view {
        string memory path = string.concat("out/", contractName, ".sol/", contractName, ".json");
        string[] memory built = vm.parseJsonKeys(vm.readFile(path), ".methodIdentifiers");
        for (uint256 i = 0; i < built.length; ++i) {
            uint256 count;
            for (uint256 j = 0; j < rows.length; ++j) {
                if (keccak256(bytes(rows[j].signature)) == keccak256(bytes(built[i]))) ++count;
            }
            vm.assertEq(count, 1, built[i]);
        }
        vm.assertEq(rows.length, built.length, "a row for a function that is not there");
    }

    function _checkRow(address target, Row memory row) private {
        bytes memory data = bytes.concat(bytes4(keccak256(bytes(row.signature))), row.arguments);
        if (keccak256(bytes(row.signature)) == keccak256("unpause()")) _pause(target);

        (bool succeeded, bytes memory answer) = _callAs(STRANGER, target, data);
        if (row.allowed == ANYONE) {
            vm.assertTrue(succeeded, row.signature);
            return;
        }
        vm.assertFalse(succeeded, row.signature);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(row.refusal), row.signature);

        address other = row.allowed == NO_ONE ? address(this) : row.allowed;
        (succeeded,) = _callAs(other, target, data);
        vm.assertTrue(succeeded == (row.allowed != NO_ONE), row.signature);
    }

    /// @dev Calls and takes the effects back, so that every row meets the same state.
    function _callAs(address sender, address target, bytes memory data)
        private
        returns (bool succeeded, bytes memory answer)
    {
        uint256 state = vm.snapshotState();
        vm.prank(sender);
        (succeeded, answer) = target.call(data);
        vm.revertToState(state);
    }

    function _pause(address target) private {
        (bool succeeded,) = target.call(abi.encodeWithSignature("pause()"));
        vm.assertTrue(succeeded);
    }
}

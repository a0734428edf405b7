// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {TestToken, UniswapFixture} from "../base/Uniswap.sol";
import {PaymentHandler} from "./PaymentHandler.sol";

/// @dev What holds of jobs with a price after any sequence of what people can do. Jobs are priced in
/// ALEPH, in a token with 6 decimals on Uniswap V3, or cost nothing.
contract PaymentInvariants is UniswapFixture {
    PaymentHandler private handler;
    TestToken private token;

    function setUp() public override {
        super.setUp();
        token = _token(6, true);
        _swappable(token, 10_000_000);
        delegations.setDelegated(OTHER_NODE, true);
        handler = new PaymentHandler(
            PaymentHandler.World({
                jobs: jobs,
                payments: payments,
                aleph: aleph,
                token: token,
                scheduler: SCHEDULER,
                slaManager: SLA_MANAGER,
                marketplace: MARKETPLACE,
                nodes: [NODE, OTHER_NODE],
                owners: [OWNER, OTHER_OWNER],
                operators: [OPERATOR, OTHER_OPERATOR],
                buyer: BUYER,
                seller: SELLER,
                treasury: TREASURY
            })
        );
        aleph.transfer(address(handler), 100_000_000 ether);
        token.transfer(address(handler), 100_000_000e6);
        // Three jobs at work from the start: a random sequence alone seldom gets that far.
        for (uint256 i = 0; i < 3; ++i) {
            handler.give(i << 8, 90 ether);
            handler.give((i << 8) + 1, 90e6);
        }
        for (uint256 kind = 1; kind <= 3; ++kind) {
            handler.createJob(kind << 128, 50 ether + 50e6);
            vm.prank(SCHEDULER);
            jobs.assignJob(kind, kind == 2 ? OTHER_NODE : NODE);
            vm.prank(kind == 2 ? OTHER_OPERATOR : OPERATOR);
            jobs.startJob(kind);
        }
        vm.assertEq(jobs.jobCount(), 3);
    }

    /// @dev forge calls random functions of these contracts only.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev The contract holds exactly what it owes, in every token.
    function invariant_every_token_is_somebodys() external view {
        IERC20[2] memory tokens = [IERC20(aleph), IERC20(token)];
        address[] memory people = handler.people();
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 owed;
            for (uint256 j = 0; j < people.length; ++j) {
                owed += payments.withdrawable(address(tokens[i]), people[j]);
            }
            vm.assertEq(payments.totalWithdrawable(address(tokens[i])), owed);
            vm.assertEq(tokens[i].balanceOf(address(payments)), owed);
        }
    }

    /// @dev What a customer has lost is what its own jobs have paid.
    function invariant_customers_pay_for_their_own_jobs_only() external view {
        IERC20[2] memory tokens = [IERC20(aleph), IERC20(token)];
        for (uint256 i = 0; i < tokens.length; ++i) {
            for (uint256 c = 0; c < handler.CUSTOMERS(); ++c) {
                address customer = handler.customer(c);
                uint256 paid;
                for (uint256 jobId = 1; jobId <= jobs.jobCount(); ++jobId) {
                    IJobManager.Billing memory billing = jobs.getBilling(jobId);
                    if (billing.customer != customer || billing.token != address(tokens[i])) {
                        continue;
                    }
                    paid += payments.getAccount(jobId).paid;
                }
                vm.assertEq(
                    handler.given(address(tokens[i]), customer) - tokens[i].balanceOf(customer),
                    paid
                );
            }
        }
    }

    /// @dev Every settled second is paid, credited or forgiven, to the unit, and none is settled
    /// that is not proven.
    function invariant_what_is_paid_is_what_is_owed() external view {
        for (uint256 jobId = 1; jobId <= jobs.jobCount(); ++jobId) {
            IPaymentManager.Account memory account = payments.getAccount(jobId);
            uint256 price = jobs.getBilling(jobId).pricePerHour;
            uint256 creditUsed = handler.credited(jobId) - account.credit;
            vm.assertEq(
                account.paid + creditUsed + handler.forgiven(jobId),
                price * account.settledSeconds / 3600
            );
            uint256 proven = _proven(jobId);
            vm.assertLe(account.settledSeconds, proven);
            vm.assertLe(account.segmentStart, account.settledSeconds);
            vm.assertLe(account.paid, price * proven / 3600);
        }
    }

    /// @dev Nodes prove no more time than passes in a job's life.
    function invariant_proven_time_has_passed() external view {
        for (uint256 jobId = 1; jobId <= jobs.jobCount(); ++jobId) {
            IJobManager.Job memory job = jobs.getJob(jobId);
            uint256 until = job.endedAt == 0 ? block.timestamp : job.endedAt;
            if (job.stoppedAt != 0) until = job.stoppedAt;
            vm.assertLe(_proven(jobId), until - job.createdAt);
        }
    }

    /// @dev Whoever pokes a job finds it paid, in a grace that runs, or stopping.
    function invariant_no_job_runs_unpaid_past_its_grace() external {
        uint256 state = vm.snapshotState();
        vm.startPrank(STRANGER);
        for (uint256 jobId = 1; jobId <= jobs.jobCount(); ++jobId) {
            payments.settleJob(jobId);
            IJobManager.JobStatus status = _jobStatus(jobId);
            bool goesOn =
                status == IJobManager.JobStatus.Assigned || status == IJobManager.JobStatus.Running;
            uint64 graceUntil = payments.getAccount(jobId).graceUntil;
            // A few units are left until a swap is worth its fee.
            bool unpaid = payments.dueOf(jobId) >= 100;
            if (goesOn && unpaid) vm.assertTrue(graceUntil > block.timestamp, "past its grace");
            if (!unpaid) vm.assertEq(graceUntil, 0, "paid and in grace");
        }
        vm.stopPrank();
        vm.revertToState(state);
    }

    /// @dev With its node and the scheduler gone for good, a customer and a stranger can end every
    /// job, and with the customer's money pay all that is owed for it.
    function invariant_every_job_can_end_and_be_paid() external {
        uint256 state = vm.snapshotState();
        for (uint256 jobId = 1; jobId <= jobs.jobCount(); ++jobId) {
            if (_jobStatus(jobId) == IJobManager.JobStatus.Created) {
                vm.prank(jobs.getJob(jobId).customer);
                jobs.stopJob(jobId);
            }
        }
        vm.warp(block.timestamp + jobs.getParameters().expireAfter);
        for (uint256 jobId = 1; jobId <= jobs.jobCount(); ++jobId) {
            if (jobs.getJob(jobId).endedAt == 0) {
                vm.prank(STRANGER);
                jobs.expireJob(jobId);
            }
            IJobManager.Billing memory billing = jobs.getBilling(jobId);
            if (billing.pricePerHour != 0) {
                _approve(IERC20(billing.token), billing.customer, payments.dueOf(jobId));
            }
            vm.prank(STRANGER);
            IPaymentManager.SettleResult result = payments.settleJob(jobId);
            vm.assertTrue(
                result == IPaymentManager.SettleResult.Settled
                    || result == IPaymentManager.SettleResult.NothingDue
            );
            vm.assertEq(payments.dueOf(jobId), 0);
            vm.assertEq(payments.getAccount(jobId).settledSeconds, _proven(jobId));
            vm.assertEq(payments.getAccount(jobId).segment, billing.segments);
        }
        vm.revertToState(state);
    }

    function _proven(uint256 jobId) private view returns (uint256 proven) {
        uint256 segments = jobs.getBilling(jobId).segments;
        for (uint256 i = 0; i < segments; ++i) {
            proven += jobs.getSegment(jobId, i).accruedSeconds;
        }
    }
}

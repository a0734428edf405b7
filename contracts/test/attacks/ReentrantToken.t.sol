// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {vm} from "../../script/Vm.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {CallingToken} from "../base/HostileTokens.sol";
import {UniswapFixture} from "../base/Uniswap.sol";

/// @dev A token that was allowed calls back while it is moved. Every function that moves tokens or
/// changes what is owed is closed to it; what it may do elsewhere gains nothing.
contract ReentrantTokenAttack is UniswapFixture {
    CallingToken private token;
    uint256 private jobId;

    function setUp() public override {
        super.setUp();
        do {
            token = new CallingToken();
        } while (address(token) > address(aleph));
        _remember(_pool(token, 1e6 ether, 5e6 ether));
        payments.setPool(address(token), factory.getPool(address(token), address(aleph), FEE_PIPS));
        payments.addAllowedToken(address(token));
        _approve(token, CUSTOMER, 1e6 ether);
        jobId = _paidJob(CUSTOMER, address(token), 100 ether);
        _prove(jobId, 1 hours);
        // Even if it held the roles.
        payments.grantRole(Roles.SLA_MANAGER, address(token));
        payments.grantRole(Roles.MARKETPLACE, address(token));
    }

    function test_no_function_that_moves_tokens_can_be_entered_again() public {
        uint256[] memory jobIds = new uint256[](1);
        jobIds[0] = jobId;
        bytes[] memory calls = new bytes[](8);
        calls[0] = abi.encodeCall(IPaymentManager.settleJob, (jobId));
        calls[1] = abi.encodeCall(IPaymentManager.settleJobUpTo, (jobId, 1));
        calls[2] = abi.encodeCall(IPaymentManager.settleJobs, (jobIds));
        calls[3] = abi.encodeCall(IPaymentManager.withdraw, (address(token)));
        calls[4] = abi.encodeCall(IPaymentManager.agreeFinal, (jobId, 0));
        calls[5] = abi.encodeCall(IPaymentManager.credit, (jobId, 1));
        calls[6] = abi.encodeCall(
            IPaymentManager.collectSale, (address(token), CUSTOMER, address(token), 1)
        );
        calls[7] = abi.encodeCall(
            IPaymentManager.refundSale, (address(token), CUSTOMER, address(token), 1)
        );
        bytes memory refusal =
            abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        for (uint256 i = 0; i < calls.length; ++i) {
            uint256 state = vm.snapshotState();
            token.attack(address(payments), calls[i]);
            _assertResult(payments.settleJob(jobId), IPaymentManager.SettleResult.Settled);
            vm.assertFalse(token.succeeded());
            vm.assertEq(token.answer(), refusal);
            vm.assertEq(payments.getAccount(jobId).paid, 100 ether);
            _assertSolvent(token);
            _assertSolvent(aleph);
            vm.revertToState(state);
        }
    }

    function test_a_slice_is_closed_to_it_too() public {
        IPaymentManager.Slice memory slice;
        token.attack(address(payments), abi.encodeCall(IPaymentManager.paySlice, (slice)));
        payments.settleJob(jobId);
        vm.assertFalse(token.succeeded());
        vm.assertEq(
            token.answer(), abi.encodeWithSelector(IPaymentManager.NotSelf.selector, address(token))
        );
    }

    /// @dev The token is its own customer: it stops the job between the payment of one segment and
    /// the refusal of the next. What is to be stopped then has stopped already, and the batch that
    /// it is in goes on.
    function test_a_job_that_stops_itself_while_it_is_paid_does_not_end_the_batch() public {
        token.transfer(address(token), 1000 ether);
        token.approveAs(address(payments));
        uint256 own = abi.decode(
            token.callAs(
                address(jobs),
                abi.encodeCall(IJobManager.createJob, (_priced(address(token), 100 ether)))
            ),
            (uint256)
        );
        vm.prank(SCHEDULER);
        jobs.assignJob(own, NODE);
        vm.prank(OPERATOR);
        jobs.startJob(own);
        _prove(own, 1 hours);
        vm.warp(block.timestamp + 2 hours);
        _reassign(own, OTHER_NODE, OTHER_OPERATOR);
        _prove(own, OTHER_OPERATOR, 1 hours);

        // Enough for one hour, and the grace is over.
        vm.prank(address(token));
        token.approve(address(payments), 0);
        payments.settleJob(own);
        vm.warp(block.timestamp + GRACE_S);
        vm.prank(address(token));
        token.approve(address(payments), 100 ether);
        token.attack(address(jobs), abi.encodeCall(IJobManager.stopJob, (own)));

        uint256[] memory jobIds = new uint256[](2);
        (jobIds[0], jobIds[1]) = (own, jobId);
        IPaymentManager.SettleResult[] memory results = payments.settleJobs(jobIds);
        vm.assertTrue(token.succeeded());
        _assertResult(results[0], IPaymentManager.SettleResult.Refused);
        _assertResult(results[1], IPaymentManager.SettleResult.Settled);
        _assertStatus(own, IJobManager.JobStatus.Stopping);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev A running job with something due, a finished one, and OTHER_OWNER has a balance.
contract PaymentManagerAccessTest is AccessMatrix {
    uint256 private running;
    uint256 private finished;

    function setUp() public override {
        super.setUp();
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        finished = _runningJob(OTHER_NODE, OTHER_OPERATOR);
        running = _runningJob(OTHER_NODE, OTHER_OPERATOR);
        _pass(600);
        vm.prank(OTHER_OPERATOR);
        jobs.completeJob(finished);
        _beat(running, OTHER_OPERATOR);
        payments.settleJobUpTo(running, 60);
    }

    function test_payment_manager() public {
        _row("settleJob(uint256)", abi.encode(running));
        _row("settleJobUpTo(uint256,uint64)", abi.encode(running, 120));
        uint256[] memory jobIds = new uint256[](1);
        jobIds[0] = running;
        _row("settleJobs(uint256[])", abi.encode(jobIds));
        _row(
            "agreeFinal(uint256,uint256)",
            abi.encode(finished, 1),
            CUSTOMERS | OTHER_OWNERS,
            IPaymentManager.NotParty.selector
        );
        _row(
            "withdraw(address)",
            abi.encode(aleph),
            OTHER_OWNERS,
            IPaymentManager.NothingToWithdraw.selector
        );
        _row("credit(uint256,uint256)", abi.encode(running, 1), SLA_MANAGER);
        _row(
            "collectSale(address,address,address,uint256)",
            abi.encode(aleph, CUSTOMER, OWNER, 1 ether),
            MARKETPLACE
        );
        _row(
            "refundSale(address,address,address,uint256)",
            abi.encode(aleph, CUSTOMER, OTHER_OWNER, 1),
            MARKETPLACE
        );
        IPaymentManager.Slice memory slice;
        _row(
            "paySlice((uint256,address,address,bytes32,address,uint64,uint256,uint256))",
            abi.encode(slice),
            NO_ONE,
            IPaymentManager.NotSelf.selector
        );
        _row("addAllowedToken(address)", abi.encode(aleph), PARAMETER);
        _row("removeAllowedToken(address)", abi.encode(aleph), PARAMETER);
        _row("setPool(address,address)", abi.encode(STRANGER, address(0)), PARAMETER);
        _row(
            "setParameters((address,uint16,uint16,uint16,uint16,uint32,uint64))",
            abi.encode(payments.getParameters()),
            PARAMETER
        );
        _initializeRow(
            "initialize(address,(address,address,address,address),(address,uint16,uint16,uint16,uint16,uint32,uint64))"
        );
        _view("dueOf(uint256)");
        _view("getAccount(uint256)");
        _view("getParameters()");
        _view("getToken(address)");
        _view("getWiring()");
        _view("isAllowedToken(address)");
        _view("minimumOutput(address,uint256)");
        _view("totalWithdrawable(address)");
        _view("withdrawable(address,address)");
        _governedRows();
        _check(address(payments), "PaymentManager");
    }
}

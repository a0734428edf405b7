// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm, vm} from "../../script/Vm.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {BombToken, BurningToken, HostileToken} from "../base/HostileTokens.sol";
import {UniswapFixture} from "../base/Uniswap.sol";

/// @dev A token that was allowed reverts with a megabyte, or burns all gas that it gets, as one item
/// of a batch. The others are settled, the cost has a bound, and the reason is short.
contract ReturndataBombAttack is UniswapFixture {
    uint256 private constant GAS_PER_ITEM_MAX = 2_300_000;

    function test_a_huge_reason_is_cut() public {
        Vm.Log memory log = _settleBetweenGoodJobs(new BombToken(100_000));
        // Offset, length, and 256 bytes.
        vm.assertEq(log.data.length, 64 + 256);
    }

    function test_a_reason_beyond_all_gas_costs_no_more() public {
        Vm.Log memory log = _settleBetweenGoodJobs(new BombToken(100_000_000));
        vm.assertEq(log.data.length, 64);
    }

    function test_burning_all_gas_burns_the_items_own() public {
        Vm.Log memory log = _settleBetweenGoodJobs(new BurningToken());
        vm.assertEq(log.data.length, 64);
    }

    /// @dev The batch ⟨good, hostile, good⟩; returns what is said of the hostile one.
    function _settleBetweenGoodJobs(HostileToken token) private returns (Vm.Log memory) {
        _remember(_pool(token, 1e6 ether, 5e6 ether));
        payments.setPool(address(token), factory.getPool(address(token), address(aleph), FEE_PIPS));
        payments.addAllowedToken(address(token));
        _approve(token, CUSTOMER, 1e6 ether);
        uint256[] memory jobIds = new uint256[](3);
        jobIds[0] = _paidJob();
        jobIds[1] = _paidJob(CUSTOMER, address(token), 100 ether);
        jobIds[2] = _paidJob();
        vm.warp(block.timestamp + 1 hours);
        vm.prank(OPERATOR);
        jobs.heartbeat(jobIds);
        token.setHostile(true);

        vm.recordLogs();
        uint256 gasBefore = gasleft();
        IPaymentManager.SettleResult[] memory results = payments.settleJobs(jobIds);
        vm.assertLe(gasBefore - gasleft(), 3 * GAS_PER_ITEM_MAX);
        _assertResult(results[0], IPaymentManager.SettleResult.Settled);
        _assertResult(results[1], IPaymentManager.SettleResult.Refused);
        _assertResult(results[2], IPaymentManager.SettleResult.Settled);

        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IPaymentManager.JobPaymentRefused.selector) return logs[i];
        }
        revert("no refusal");
    }
}

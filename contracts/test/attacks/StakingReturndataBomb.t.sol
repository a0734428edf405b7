// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev Answers every call with as much as its gas pays for.
contract Bomb {
    fallback() external {
        assembly {
            revert(0, 1000000)
        }
    }
}

/// @dev Staking calls nobody that it does not have to trust: whoever is paid or slashed is an address in
/// the books, and a contract at that address is never asked.
contract StakingReturndataBombAttack is StakingFixture {
    function test_neither_reporter_nor_treasury_nor_delegator_is_called() public {
        address bomb = address(new Bomb());
        IStakingManager.Parameters memory parameters = _parameters();
        parameters.treasury = bomb;
        staking.setParameters(parameters);
        _fund(bomb);
        _delegate(bomb, 10 ether);

        vm.prank(SLASHER);
        uint256 gas = gasleft();
        staking.slash(NODE, MIN_TOTAL_STAKE + 1 ether, bomb, 1000, REASON);
        vm.assertLe(gas - gasleft(), 250_000);

        gas = gasleft();
        staking.sendSlashedTokens();
        vm.prank(bomb);
        staking.withdrawReporterReward();
        _undelegateAll(bomb);
        _thaw();
        vm.assertEq(_withdrawDelegation(bomb), 9 ether);
        vm.assertLe(gas - gasleft(), 400_000);
        _assertWhole();
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {vm} from "../../script/Vm.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {FlashBorrower, FlashLender} from "../base/FlashLender.sol";
import {StakingFixture} from "../base/StakingFixture.sol";

/// @dev Borrows, and does with the loan what it was told.
contract StakingBorrower is FlashBorrower {
    StakingManager private immutable STAKING;
    bytes32 private immutable NODE;
    function(uint256) internal private plan;

    constructor(FlashLender lender, StakingManager staking, bytes32 node) FlashBorrower(lender) {
        (STAKING, NODE) = (staking, node);
    }

    function stakeAndActivate(uint256 amount) external {
        plan = _stakeAndActivate;
        _borrow(amount);
    }

    function stakeAndTakeBack(uint256 amount) external {
        plan = _stakeAndTakeBack;
        _borrow(amount);
    }

    function delegateAroundReward(uint256 amount) external {
        plan = _delegateAroundReward;
        _borrow(amount);
    }

    function _use(uint256 amount) internal override {
        TOKEN.approve(address(STAKING), type(uint256).max);
        plan(amount);
    }

    function _stakeAndActivate(uint256 amount) private {
        STAKING.stake(NODE, amount);
        STAKING.activate(NODE);
    }

    function _stakeAndTakeBack(uint256 amount) private {
        STAKING.stake(NODE, amount);
        STAKING.unstake(NODE, amount);
        STAKING.withdraw(NODE);
    }

    /// @dev With nearly all shares, nearly all of a reward that is paid meanwhile.
    function _delegateAroundReward(uint256 amount) private {
        uint256 shares = STAKING.delegate(NODE, amount - 1 ether, 0);
        STAKING.addDelegationReward(NODE, 1 ether);
        STAKING.undelegate(NODE, shares);
        STAKING.withdrawDelegation(NODE);
    }
}

/// @dev Borrowed stake: whoever has the tokens for one transaction only gets nothing for them.
contract FlashLoanAttack is StakingFixture {
    uint256 private constant LOAN = 10_000 ether;

    StakingBorrower private attacker;
    FlashLender private lender;

    function setUp() public override {
        super.setUp();
        lender = new FlashLender(aleph);
        aleph.transfer(address(lender), LOAN);
        attacker = new StakingBorrower(lender, staking, OTHER_NODE);
        _register(OTHER_NODE, address(attacker), OTHER_OPERATOR);
    }

    function test_a_loan_activates_no_node() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IStakingManager.NotEnoughMaturedStake.selector, 0, MIN_TOTAL_STAKE
            )
        );
        attacker.stakeAndActivate(LOAN);
        vm.assertFalse(registry.isNodeActive(OTHER_NODE));
    }

    function test_staked_loans_do_not_come_back_in_time() public {
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        attacker.stakeAndTakeBack(LOAN);
    }

    function test_a_loan_earns_no_reward() public {
        vm.expectRevert(IStakingManager.NothingToWithdraw.selector);
        attacker.delegateAroundReward(LOAN);
    }

    function test_the_lender_lends() public {
        Spendthrift spendthrift = new Spendthrift(lender);
        vm.expectRevert(
            abi.encodeWithSelector(FlashLender.NotRepaid.selector, LOAN, LOAN - 1 ether)
        );
        spendthrift.spend(LOAN);
        vm.assertEq(IERC20(aleph).balanceOf(address(lender)), LOAN);
    }
}

/// @dev Does not pay all of it back.
contract Spendthrift is FlashBorrower {
    constructor(FlashLender lender) FlashBorrower(lender) {}

    function spend(uint256 amount) external {
        _borrow(amount);
    }

    function _use(uint256) internal override {
        TOKEN.transfer(address(1), 1 ether);
    }

    function _repay(uint256 amount) internal override {
        TOKEN.transfer(address(LENDER), amount - 1 ether);
    }
}

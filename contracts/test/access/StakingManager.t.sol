// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev NODE could be activated; its owner and a delegator have unbonded a part, OTHER_OWNER has
/// earned by reporting, CUSTOMER's reward is all of the first epoch's.
contract StakingManagerAccessTest is AccessMatrix {
    uint256 private constant REWARD = 100 ether;

    function setUp() public override {
        super.setUp();
        _register(NODE, OWNER, OPERATOR);
        _stake(NODE, OWNER, 3 * MINIMUM_STAKE);
        vm.prank(CUSTOMER);
        staking.delegate(NODE, 2000 ether, 0);
        _pass(staking.getParameters().minStakeDuration);
        vm.prank(OWNER);
        staking.unstake(NODE, MINIMUM_STAKE);
        vm.prank(CUSTOMER);
        staking.undelegate(NODE, 1e12);
        vm.prank(COMMITTEE);
        staking.slash(NODE, 1000 ether, OTHER_OWNER, 1000, keccak256("reason"));

        vm.prank(CUSTOMER);
        staking.fundRewards(REWARD);
        vm.prank(REPORTER_ACCOUNT);
        staking.submitRewardRoot(1, _leaf(CUSTOMER, REWARD), REWARD);
        _pass(staking.getParameters().unbondingPeriod);
    }

    /// @dev A tree of one leaf is its own root.
    function _leaf(address account, uint256 amount) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, amount))));
    }

    function test_staking_manager() public {
        bytes4 nothing = IStakingManager.NothingToWithdraw.selector;
        _row(
            "stake(bytes32,uint256)",
            abi.encode(NODE, 1),
            OWNERS,
            IStakingManager.NotNodeOwner.selector
        );
        _row(
            "unstake(bytes32,uint256)",
            abi.encode(NODE, 1),
            OWNERS,
            IStakingManager.NotEnoughStake.selector
        );
        _row("withdraw(bytes32)", abi.encode(NODE), OWNERS, nothing);
        _row("delegate(bytes32,uint256,uint256)", abi.encode(NODE, 1 ether, 0));
        _row(
            "undelegate(bytes32,uint256)",
            abi.encode(NODE, 1e12),
            CUSTOMERS,
            IStakingManager.NotEnoughShares.selector
        );
        _row("withdrawDelegation(bytes32)", abi.encode(NODE), CUSTOMERS, nothing);
        _row("withdrawReporterReward()", "", OTHER_OWNERS, nothing);
        _row("activate(bytes32)", abi.encode(NODE));
        _row("addDelegationReward(bytes32,uint256)", abi.encode(NODE, 1 ether));
        _row("sendSlashedTokens()", "");
        _row("fundRewards(uint256)", abi.encode(1 ether));
        _row(
            "claimRewards(address,uint256,bytes32[])",
            abi.encode(CUSTOMER, REWARD, new bytes32[](0))
        );
        _row(
            "submitRewardRoot(uint64,bytes32,uint256)",
            abi.encode(2, keccak256("root"), REWARD),
            REPORTER
        );
        _row(
            "slash(bytes32,uint256,address,uint16,bytes32)",
            abi.encode(NODE, 1 ether, address(0), 0, bytes32(0)),
            SLASHER
        );
        _row(
            "slashOwner(bytes32,address,uint256,address,uint16,bytes32)",
            abi.encode(NODE, OWNER, 1 ether, address(0), 0, bytes32(0)),
            SLASHER
        );
        _row(
            "setParameters((uint256,uint64,uint64,uint16,uint64,address,uint256))",
            abi.encode(staking.getParameters()),
            PARAMETER
        );
        _views();
        _governedRows();
        _check(address(staking), "StakingManager");
    }

    function _views() private {
        _initializeRow(
            "initialize(address,address,address,(uint256,uint64,uint64,uint16,uint64,address,uint256))"
        );
        _view("accountableOwner(bytes32)");
        _view("getClaimedRewards(address)");
        _view("getDelegation(bytes32,address)");
        _view("getParameters()");
        _view("getPool(bytes32)");
        _view("getRewardRoot(uint64)");
        _view("getRewardState()");
        _view("getStake(bytes32)");
        _view("getStakeOf(bytes32,address)");
        _view("getUndelegations(bytes32,address)");
        _view("getUnstakings(bytes32,address)");
        _view("heldTokens()");
        _view("reporterRewardOf(address)");
        _view("slashableStake(bytes32)");
        _view("slashedTokens()");
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {vm} from "../../script/Vm.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {ExactTransfer} from "../../src/libraries/ExactTransfer.sol";
import {StakingFixture} from "../base/StakingFixture.sol";
import {FeeToken} from "../base/Tokens.sol";

/// @dev Balances are parts of a sum that changes; a transfer rounds to whole parts.
contract RebasingToken {
    uint256 private constant PARTS = 1e24 + 7;
    uint256 private sum = 1e24;

    mapping(address => uint256) private parts;

    constructor() {
        parts[msg.sender] = PARTS;
    }

    function rebase(uint256 sum_) external {
        sum = sum_;
    }

    function balanceOf(address account) public view returns (uint256) {
        return parts[account] * sum / PARTS;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return transferFrom(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public returns (bool) {
        uint256 moved = amount * PARTS / sum;
        parts[from] -= moved;
        parts[to] += moved;
        return true;
    }
}

/// @dev Tokens that move other amounts than they say, or whose balances change by themselves.
contract StakingOddTokensAttack is StakingFixture {
    function test_a_fee_on_transfer_is_refused_everywhere() public {
        FeeToken token = new FeeToken();
        StakingManager other = _stakingOf(token);
        token.approve(address(other), type(uint256).max);
        bytes memory refusal = abi.encodeWithSelector(
            ExactTransfer.UnexpectedAmountReceived.selector, 100 ether, 99 ether
        );

        vm.expectRevert(refusal);
        other.fundRewards(100 ether);
        vm.expectRevert(refusal);
        other.delegate(NODE, 100 ether, 0);
        token.transfer(OWNER, 200 ether);
        vm.startPrank(OWNER);
        token.approve(address(other), type(uint256).max);
        vm.expectRevert(refusal);
        other.stake(NODE, 100 ether);
        vm.assertEq(other.heldTokens(), 0);
    }

    /// @dev It gives itself away at once: parts of units get lost in a transfer.
    function test_a_rebasing_token_is_refused_where_it_rounds() public {
        RebasingToken token = new RebasingToken();
        StakingManager other = _stakingOf(IERC20(address(token)));
        token.rebase(1.1e24);
        vm.expectRevert(
            abi.encodeWithSelector(
                ExactTransfer.UnexpectedAmountReceived.selector, 1 ether, 1 ether - 2
            )
        );
        other.delegate(NODE, 1 ether, 0);
    }

    /// @dev When balances have shrunk, nobody new pays for those who leave.
    function test_a_token_that_shrank_is_refused() public {
        RebasingToken token = new RebasingToken();
        token.rebase(1e24 + 7);
        StakingManager other = _stakingOf(IERC20(address(token)));
        other.delegate(NODE, 100 ether, 0);

        token.rebase(0.5e24);
        bytes memory refusal = abi.encodeWithSelector(
            IStakingManager.TokensMissing.selector, 100 ether, token.balanceOf(address(other))
        );
        vm.expectRevert(refusal);
        other.delegate(NODE, 1 ether, 0);
        vm.expectRevert(refusal);
        other.addDelegationReward(NODE, 1 ether);
        vm.expectRevert(refusal);
        other.fundRewards(1 ether);

        // Balances that grew do no harm.
        token.rebase(2 * (1e24 + 7));
        other.delegate(NODE, 2 ether, 0);
    }

    function _stakingOf(IERC20 token) private returns (StakingManager) {
        return StakingManager(
            address(
                new ERC1967Proxy(
                    address(new StakingManager()),
                    abi.encodeCall(
                        StakingManager.initialize, (address(this), token, registry, _parameters())
                    )
                )
            )
        );
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {vm} from "../../script/Vm.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {SharePools} from "../../src/libraries/SharePools.sol";

/// @dev A registry of one node, which is never active, and whose owner is whoever deployed it.
contract OneNode {
    address private immutable OWNER = msg.sender;

    function getNode(bytes32) external view returns (INodeRegistry.Node memory node) {
        node.owner = OWNER;
        node.status = INodeRegistry.NodeStatus.Inactive;
    }

    function isNodeActive(bytes32) external pure returns (bool) {
        return false;
    }
}

/// @dev What halmos proves for all values; forge runs nothing here.
contract StakingManagerProofs {
    bytes32 private constant NODE = bytes32(uint256(1));

    AlephToken private aleph;
    StakingManager private staking;

    function setUp() public {
        aleph = new AlephToken(address(this), 1e27);
        IStakingManager.Parameters memory parameters = IStakingManager.Parameters({
            minTotalStake: 1,
            minStakeDuration: 1,
            unbondingPeriod: 1,
            reporterBpsMax: 1000,
            rewardInterval: 1,
            treasury: address(0),
            rewardGrowthMax: 1e27
        });
        staking = StakingManager(
            address(
                new ERC1967Proxy(
                    address(new StakingManager()),
                    abi.encodeCall(
                        StakingManager.initialize,
                        (address(this), aleph, INodeRegistry(address(new OneNode())), parameters)
                    )
                )
            )
        );
        staking.grantRole(Roles.SLASHER, address(this));
        staking.grantRole(Roles.REPORTER, address(this));
        aleph.approve(address(staking), type(uint256).max);
    }

    /// @dev A split conserves, and takes from no part more than it has.
    function check_split_conserves(uint8 amount, uint8 first, uint8 second) external pure {
        vm.assume(amount <= uint256(first) + second);
        (uint256 fromFirst, uint256 fromSecond) = SharePools.split(amount, first, second);
        assert(fromFirst + fromSecond == amount);
        assert(fromFirst <= first);
        assert(fromSecond <= second);
    }

    /// @dev A slash is at most what was asked for and at most what there is; what there is loses
    /// exactly that; and the reporter gets a part of it.
    function check_slash_is_at_most_the_stake(uint96 staked, uint256 amount, uint16 bps) external {
        vm.assume(staked != 0 && staked <= 1e27);
        staking.stake(NODE, staked);
        vm.warp(block.timestamp + 1);
        vm.roll(block.number + 2);
        (uint256 slashed, uint256 reward) = staking.slash(NODE, amount, address(1), bps, 0);
        assert(slashed <= staked);
        assert(slashed <= amount);
        assert(slashed == amount || slashed == staked);
        assert(staking.slashableStake(NODE) == staked - slashed);
        assert(reward <= slashed);
        assert(staking.slashedTokens() + reward == slashed);
        assert(staking.heldTokens() == staked);
    }

    /// @dev Whatever tree was accepted and whatever is claimed, what an account has claimed only
    /// grows, it is paid the growth, and all claims stay within the total.
    function check_claims_are_cumulative(uint96 first, uint96 second, uint96 total) external {
        address account = address(0xA11CE);
        vm.assume(total != 0 && total <= 1e26);
        staking.fundRewards(total);
        staking.submitRewardRoot(1, _leaf(account, first), total);
        uint256 claimed = _claim(account, first);
        vm.warp(block.timestamp + 1);
        staking.submitRewardRoot(2, _leaf(account, second), total);
        uint256 claimedThen = _claim(account, second);

        assert(claimedThen >= claimed);
        assert(claimed == 0 || claimed == first);
        assert(claimedThen == claimed || claimedThen == second);
        assert(aleph.balanceOf(account) == claimedThen);
        assert(claimedThen <= total);
        assert(staking.getRewardState().claimed == claimedThen);
    }

    function _claim(address account, uint256 amount) private returns (uint256) {
        try staking.claimRewards(account, amount, new bytes32[](0)) {} catch {}
        return staking.getClaimedRewards(account);
    }

    function _leaf(address account, uint256 amount) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, amount))));
    }
}

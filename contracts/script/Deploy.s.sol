// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {Deployer} from "./Deployer.sol";
import {vm} from "./Vm.sol";

/// @title Deploys everything to a development chain and writes the address book
/// @notice The sender becomes the administrator and gets every role. The environment may set
/// ALEPH_ADDRESS_BOOK (path of the file to write), ALEPH_MIN_TOTAL_STAKE (in the token's units),
/// ALEPH_MIN_STAKE_DURATION_S and ALEPH_UNBONDING_PERIOD_S.
contract Deploy is Deployer {
    function run() external {
        IStakingManager.Parameters memory staking = IStakingManager.Parameters({
            minTotalStake: vm.envOr("ALEPH_MIN_TOTAL_STAKE", uint256(10_000 ether)),
            minStakeDuration: uint64(vm.envOr("ALEPH_MIN_STAKE_DURATION_S", uint256(5))),
            unbondingPeriod: uint64(vm.envOr("ALEPH_UNBONDING_PERIOD_S", uint256(60))),
            reporterBpsMax: 1000,
            rewardInterval: 1,
            treasury: address(0),
            rewardGrowthMax: 1_000_000 ether
        });

        vm.startBroadcast();
        Deployment memory all = _deploy(msg.sender, staking);
        vm.stopBroadcast();

        vm.writeJson(
            _addressBook(all), vm.envOr("ALEPH_ADDRESS_BOOK", string("deployments/devnet.json"))
        );
    }

    function _addressBook(Deployment memory all) private returns (string memory) {
        string memory book = "addressBook";
        vm.serializeUint(book, "chainId", block.chainid);
        vm.serializeAddress(book, "aleph", address(all.aleph));
        vm.serializeAddress(book, "nodeRegistry", address(all.nodeRegistry));
        vm.serializeAddress(book, "stakingManager", address(all.stakingManager));
        return vm.serializeAddress(book, "jobManager", address(all.jobManager));
    }
}

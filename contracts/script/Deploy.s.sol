// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Network} from "./Network.sol";
import {vm} from "./Vm.sol";

/// @title Deploys everything to a development chain and writes the address book
/// @notice The sender becomes the administrator and gets every role that an account can hold; the
/// beacon is one whose secret key everybody knows. The environment may set ALEPH_ADDRESS_BOOK (path
/// of the file to write), ALEPH_MIN_TOTAL_STAKE (in the token's units), ALEPH_MIN_STAKE_DURATION_S
/// and ALEPH_UNBONDING_PERIOD_S.
contract Deploy is Network {
    function run() external {
        Settings memory settings = _developmentSettings(msg.sender);
        settings.stakingManager.minTotalStake =
            vm.envOr("ALEPH_MIN_TOTAL_STAKE", settings.stakingManager.minTotalStake);
        settings.stakingManager.minStakeDuration = uint64(
            vm.envOr(
                "ALEPH_MIN_STAKE_DURATION_S", uint256(settings.stakingManager.minStakeDuration)
            )
        );
        settings.stakingManager.unbondingPeriod = uint64(
            vm.envOr("ALEPH_UNBONDING_PERIOD_S", uint256(settings.stakingManager.unbondingPeriod))
        );

        vm.startBroadcast();
        Deployment memory all = _deployDevelopment(msg.sender, settings);
        vm.stopBroadcast();

        vm.writeJson(
            _addressBook(all), vm.envOr("ALEPH_ADDRESS_BOOK", string("deployments/devnet.json"))
        );
    }
}

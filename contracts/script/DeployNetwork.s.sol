// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Beacons} from "./Beacons.sol";
import {Network} from "./Network.sol";
import {Parameters} from "./Parameters.sol";
import {vm} from "./Vm.sol";

/// @title Deploys a public network, from its one file of parameters
/// @notice The timelock governs from the first block on; the sender keeps no role. The environment may
/// set ALEPH_ADDRESS_BOOK.
///
///   forge script script/DeployNetwork.s.sol --target-contract DeployProduction …
///   forge script script/DeployNetwork.s.sol --target-contract DeployTestnet …
abstract contract DeployNetwork is Network {
    function _run(Settings memory settings, Parameters.Holders memory holders, string memory book)
        internal
    {
        vm.startBroadcast();
        Deployment memory all = _deployPublic(msg.sender, settings, holders, Beacons.evmnet());
        vm.stopBroadcast();

        vm.writeJson(_addressBook(all), vm.envOr("ALEPH_ADDRESS_BOOK", book));
    }
}

contract DeployProduction is DeployNetwork {
    function run() external {
        (Settings memory settings, Parameters.Holders memory holders) =
            Parameters.read("script/parameters/production.toml");
        Parameters.checkProduction(settings, holders);
        _run(settings, holders, "deployments/production.json");
    }
}

contract DeployTestnet is DeployNetwork {
    function run() external {
        (Settings memory settings, Parameters.Holders memory holders) =
            Parameters.read("script/parameters/testnet.toml");
        Parameters.checkOrder(settings);
        _fill(settings, holders, msg.sender);
        _run(settings, holders, "deployments/testnet.json");
    }

    /// @dev The zero address stands for the account that deploys.
    function _fill(Settings memory settings, Parameters.Holders memory holders, address account)
        private
        pure
    {
        if (settings.paymentManager.treasury == address(0)) {
            settings.paymentManager.treasury = account;
            settings.stakingManager.treasury = account;
        }
        if (holders.emergency == address(0)) holders.emergency = account;
        _fill(holders.slashers, account);
        _fill(holders.schedulers, account);
        _fill(holders.reporters, account);
        _fill(holders.verifiers, account);
        _fill(holders.witnesses, account);
        _fill(holders.dnsWitnesses, account);
    }

    function _fill(address[] memory accounts, address account) private pure {
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (accounts[i] == address(0)) accounts[i] = account;
        }
    }
}

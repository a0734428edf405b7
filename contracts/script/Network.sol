// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AlephGovernor} from "../src/AlephGovernor.sol";
import {DrandBeacon} from "../src/DrandBeacon.sol";
import {StorageFaultPolicy} from "../src/StorageFaultPolicy.sol";
import {Governed} from "../src/base/Governed.sol";
import {IDomainRegistry} from "../src/interfaces/IDomainRegistry.sol";
import {IImageMarketplace} from "../src/interfaces/IImageMarketplace.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IPaymentManager} from "../src/interfaces/IPaymentManager.sol";
import {ISLAManager} from "../src/interfaces/ISLAManager.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {IStorageRegistry} from "../src/interfaces/IStorageRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Beacons} from "./Beacons.sol";
import {Deployer} from "./Deployer.sol";
import {Parameters} from "./Parameters.sol";
import {vm} from "./Vm.sol";

/// @title The networks that there are, and their address book
abstract contract Network is Deployer {
    /// @notice The deployment is not what it should be.
    error RoleLeft(address target, bytes32 role, address account);

    // Development: one account is everything, and nobody waits.

    function _deployDevelopment(address admin, Settings memory settings)
        internal
        returns (Deployment memory all)
    {
        all = _create(admin, settings, Beacons.development(uint64(block.timestamp), 3));
        _wire(admin, all);
        Governed[] memory contracts = _governed(all);
        for (uint256 i = 0; i < contracts.length; ++i) {
            _govern(contracts[i], admin);
            contracts[i].grantRole(Roles.PAUSER, admin);
        }
        all.nodeRegistry.grantRole(Roles.VERIFIER, admin);
        all.stakingManager.grantRole(Roles.SLASHER, admin);
        all.stakingManager.grantRole(Roles.REPORTER, admin);
        all.jobManager.grantRole(Roles.SCHEDULER, admin);
        all.slaManager.grantRole(Roles.SLASHER, admin);
        all.slaManager.grantRole(Roles.WITNESS, admin);
        all.domainRegistry.grantRole(Roles.DNS_WITNESS, admin);
    }

    function _developmentSettings(address treasury)
        internal
        pure
        returns (Settings memory settings)
    {
        settings.timelockDelay = 10;
        settings.nodeRegistry = INodeRegistry.Parameters({
            verifierQuorum: 1,
            challengeValidity: 1 hours,
            enrolmentWindow: 1 days,
            minReleaseVersion: 0
        });
        settings.stakingManager = IStakingManager.Parameters({
            minTotalStake: 10_000 ether,
            minStakeDuration: 5,
            unbondingPeriod: 60,
            reporterBpsMax: 1000,
            rewardInterval: 1,
            treasury: treasury,
            rewardGrowthMax: 1_000_000 ether
        });
        settings.jobManager = IJobManager.Parameters({
            heartbeatGapMax: 5 minutes,
            reassignAfter: 10 minutes,
            expireAfter: 1 hours,
            minFundedHours: 1
        });
        settings.paymentManager = IPaymentManager.Parameters({
            treasury: treasury,
            treasuryBps: 500,
            rewardShareBps: 1500,
            saleFeeBps: 500,
            maxSlippageBps: 300,
            twapPeriod: 60,
            gracePeriod: 30
        });
        settings.storageRegistry = IStorageRegistry.Parameters({
            bond: 25 ether,
            period: 30,
            beaconDelay: 6,
            beaconGrace: 60,
            responseWindow: 30,
            positions: 4,
            openPerCommitmentMax: 4,
            openPerNodeMax: 64
        });
        settings.storageFloors = IStorageRegistry.Floors({beaconDelay: 1, responseWindow: 1});
        settings.storageFaults = StorageFaultPolicy.Prices({
            base: 500 ether, cooldown: 60, stakeBpsMax: 1000, challengerBps: 1000
        });
        settings.slaManager = ISLAManager.Parameters({
            witnessQuorum: 1,
            offerValidity: 1 hours,
            reportWindow: 1 hours,
            disputeWindow: 30,
            resolutionWindow: 1 hours,
            applyWindow: 1 hours,
            customerBpsMax: 2000,
            slashMax: 10_000 ether,
            disputeBond: 100 ether
        });
        settings.domainRegistry = IDomainRegistry.Parameters({
            witnessQuorum: 1,
            claimValidity: 1 hours,
            validityPeriod: 1 days,
            gracePeriod: 1 hours,
            contestPeriod: 1 hours
        });
        settings.imageMarketplace =
            IImageMarketplace.Parameters({refundPeriod: 1 days, claimPeriod: 1 days});
        settings.governor = AlephGovernor.Settings({
            votingDelay: 1, votingPeriod: 60, proposalThreshold: 1 ether, quorumPercent: 1
        });
    }

    // Public networks: the timelock governs, whoever deploys keeps nothing.

    function _deployPublic(
        address deployer,
        Settings memory settings,
        Parameters.Holders memory holders,
        DrandBeacon beacon
    ) internal returns (Deployment memory all) {
        all = _create(deployer, settings, beacon);
        _wire(deployer, all);
        for (uint256 i = 0; i < holders.tokens.length; ++i) {
            all.paymentManager.setPool(holders.tokens[i], holders.pools[i]);
            all.paymentManager.addAllowedToken(holders.tokens[i]);
        }

        Governed[] memory contracts = _governed(all);
        for (uint256 i = 0; i < contracts.length; ++i) {
            contracts[i].grantRole(Roles.PAUSER, holders.emergency);
        }
        all.timelock.grantRole(all.timelock.CANCELLER_ROLE(), holders.emergency);
        _grant(all.stakingManager, Roles.SLASHER, holders.slashers);
        _grant(all.slaManager, Roles.SLASHER, holders.slashers);
        _grant(all.stakingManager, Roles.REPORTER, holders.reporters);
        _grant(all.jobManager, Roles.SCHEDULER, holders.schedulers);
        _grant(all.nodeRegistry, Roles.VERIFIER, holders.verifiers);
        _grant(all.slaManager, Roles.WITNESS, holders.witnesses);
        _grant(all.domainRegistry, Roles.DNS_WITNESS, holders.dnsWitnesses);

        _leave(deployer, all);
        _checkNothingIsLeft(deployer, all);
    }

    function _grant(Governed target, bytes32 role, address[] memory accounts) private {
        for (uint256 i = 0; i < accounts.length; ++i) {
            target.grantRole(role, accounts[i]);
        }
    }

    /// @dev Of what governs. Whoever deploys a test network may well be its emergency account, too.
    function _checkNothingIsLeft(address deployer, Deployment memory all) private view {
        bytes32[3] memory powers = [bytes32(0), Roles.UPGRADER, Roles.PARAMETER];
        Governed[] memory contracts = _governed(all);
        for (uint256 i = 0; i < contracts.length; ++i) {
            for (uint256 j = 0; j < powers.length; ++j) {
                require(
                    !contracts[i].hasRole(powers[j], deployer),
                    RoleLeft(address(contracts[i]), powers[j], deployer)
                );
            }
        }
        require(
            !all.timelock.hasRole(all.timelock.DEFAULT_ADMIN_ROLE(), deployer),
            RoleLeft(address(all.timelock), 0, deployer)
        );
    }

    // The address book.

    function _addressBook(Deployment memory all) internal returns (string memory) {
        string memory book = "addressBook";
        vm.serializeUint(book, "chainId", block.chainid);
        vm.serializeAddress(book, "aleph", address(all.aleph));
        vm.serializeAddress(book, "nodeRegistry", address(all.nodeRegistry));
        vm.serializeAddress(book, "stakingManager", address(all.stakingManager));
        vm.serializeAddress(book, "jobManager", address(all.jobManager));
        vm.serializeAddress(book, "paymentManager", address(all.paymentManager));
        vm.serializeAddress(book, "beacon", address(all.beacon));
        vm.serializeAddress(book, "storageRegistry", address(all.storageRegistry));
        vm.serializeAddress(book, "storageFaultPolicy", address(all.storageFaultPolicy));
        vm.serializeAddress(book, "slaManager", address(all.slaManager));
        vm.serializeAddress(book, "domainRegistry", address(all.domainRegistry));
        vm.serializeAddress(book, "imageMarketplace", address(all.imageMarketplace));
        vm.serializeAddress(book, "timelock", address(all.timelock));
        return vm.serializeAddress(book, "governor", address(all.governor));
    }
}

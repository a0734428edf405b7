// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AlephGovernor} from "../src/AlephGovernor.sol";
import {StorageFaultPolicy} from "../src/StorageFaultPolicy.sol";
import {IDomainRegistry} from "../src/interfaces/IDomainRegistry.sol";
import {IImageMarketplace} from "../src/interfaces/IImageMarketplace.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IPaymentManager} from "../src/interfaces/IPaymentManager.sol";
import {ISLAManager} from "../src/interfaces/ISLAManager.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {IStorageRegistry} from "../src/interfaces/IStorageRegistry.sol";
import {Deployer} from "./Deployer.sol";
import {vm} from "./Vm.sol";

/// @title A network's parameters, from its one file in script/parameters
/// @dev Every key is required and no other is allowed, so that a slip of the pen is found here.
library Parameters {
    /// @notice Who gets which role, and which other tokens there are.
    struct Holders {
        address emergency;
        address[] slashers;
        address[] schedulers;
        address[] reporters;
        address[] verifiers;
        address[] witnesses;
        address[] dnsWitnesses;
        address[] tokens;
        address[] pools;
    }

    uint256 private constant OUTAGE_S = 24 hours;
    uint256 private constant TIMELOCK_DELAY_S_MIN = 48 hours;
    uint256 private constant RESPONSE_WINDOW_S_MIN = 24 hours;

    /// @notice A key of the file has no meaning, or stands in the wrong table.
    error UnknownKey(string table, uint256 found, uint256 expected);

    /// @notice A value does not fit its parameter.
    error TooLarge(string key, uint256 value);

    /// @notice An address that production needs is zero.
    error AddressMissing(string key);

    /// @notice Fewer accounts than the quorum that they are to form, or one of them twice.
    error QuorumOutOfReach(string key);

    /// @notice Stake could leave before everything that slashes it has had its time.
    error UnbondingTooShort(uint256 unbondingPeriod, uint256 longestWayToSlash);

    /// @notice The timelock leaves too little time.
    error TimelockTooShort(uint256 timelockDelay, uint256 min);

    /// @notice A node could not answer during an outage of the sequencer.
    error ResponseWindowTooShort(uint256 responseWindow, uint256 min);

    /// @notice Each token needs its pool.
    error PoolsDoNotMatch(uint256 tokens, uint256 pools);

    // Reading.

    function read(string memory path)
        internal
        view
        returns (Deployer.Settings memory settings, Holders memory holders)
    {
        string memory file = vm.readFile(path);
        _checkKeys(file);
        _readAddresses(file, settings, holders);
        settings.timelockDelay = _uint(file, ".governance.timelockDelay");
        settings.governor = _governor(file);
        settings.nodeRegistry = _nodeRegistry(file);
        settings.stakingManager = _stakingManager(file);
        settings.jobManager = _jobManager(file);
        settings.paymentManager = _paymentManager(file);
        settings.storageRegistry = _storageRegistry(file);
        settings.storageFloors = IStorageRegistry.Floors({
            beaconDelay: _uint64(file, ".storageRegistry.beaconDelayFloor"),
            responseWindow: _uint64(file, ".storageRegistry.responseWindowFloor")
        });
        settings.storageFaults = _storageFaults(file);
        settings.slaManager = _slaManager(file);
        settings.domainRegistry = _domainRegistry(file);
        settings.imageMarketplace = IImageMarketplace.Parameters({
            refundPeriod: _uint64(file, ".imageMarketplace.refundPeriod"),
            claimPeriod: _uint64(file, ".imageMarketplace.claimPeriod")
        });
        settings.stakingManager.treasury = vm.parseTomlAddress(file, ".addresses.treasury");
        settings.paymentManager.treasury = settings.stakingManager.treasury;
    }

    function _checkKeys(string memory file) private pure {
        _checkCount(file, ".addresses", 11);
        _checkCount(file, ".governance", 5);
        _checkCount(file, ".nodeRegistry", 4);
        _checkCount(file, ".stakingManager", 6);
        _checkCount(file, ".jobManager", 4);
        _checkCount(file, ".paymentManager", 6);
        _checkCount(file, ".storageRegistry", 10);
        _checkCount(file, ".storageFaults", 4);
        _checkCount(file, ".slaManager", 9);
        _checkCount(file, ".domainRegistry", 5);
        _checkCount(file, ".imageMarketplace", 2);
        _checkCount(file, ".tokens", 2);
        _checkCount(file, "$", 12);
    }

    /// @dev All that are expected are read, so as many keys as expected means no other one.
    function _checkCount(string memory file, string memory table, uint256 expected) private pure {
        uint256 found = vm.parseTomlKeys(file, table).length;
        require(found == expected, UnknownKey(table, found, expected));
    }

    function _readAddresses(
        string memory file,
        Deployer.Settings memory settings,
        Holders memory holders
    ) private pure {
        settings.aleph = vm.parseTomlAddress(file, ".addresses.aleph");
        settings.votes = vm.parseTomlAddress(file, ".addresses.votes");
        settings.router = vm.parseTomlAddress(file, ".addresses.router");
        holders.emergency = vm.parseTomlAddress(file, ".addresses.emergency");
        holders.slashers = vm.parseTomlAddressArray(file, ".addresses.slashers");
        holders.schedulers = vm.parseTomlAddressArray(file, ".addresses.schedulers");
        holders.reporters = vm.parseTomlAddressArray(file, ".addresses.reporters");
        holders.verifiers = vm.parseTomlAddressArray(file, ".addresses.verifiers");
        holders.witnesses = vm.parseTomlAddressArray(file, ".addresses.witnesses");
        holders.dnsWitnesses = vm.parseTomlAddressArray(file, ".addresses.dnsWitnesses");
        holders.tokens = vm.parseTomlAddressArray(file, ".tokens.tokens");
        holders.pools = vm.parseTomlAddressArray(file, ".tokens.pools");
        require(
            holders.tokens.length == holders.pools.length,
            PoolsDoNotMatch(holders.tokens.length, holders.pools.length)
        );
    }

    function _governor(string memory file) private pure returns (AlephGovernor.Settings memory) {
        return AlephGovernor.Settings({
            votingDelay: uint48(_atMost(file, ".governance.votingDelay", type(uint48).max)),
            votingPeriod: _uint32(file, ".governance.votingPeriod"),
            proposalThreshold: _uint(file, ".governance.proposalThreshold"),
            quorumPercent: _uint(file, ".governance.quorumPercent")
        });
    }

    function _nodeRegistry(string memory file)
        private
        pure
        returns (INodeRegistry.Parameters memory)
    {
        return INodeRegistry.Parameters({
            verifierQuorum: _uint16(file, ".nodeRegistry.verifierQuorum"),
            challengeValidity: _uint64(file, ".nodeRegistry.challengeValidity"),
            enrolmentWindow: _uint64(file, ".nodeRegistry.enrolmentWindow"),
            minReleaseVersion: _uint64(file, ".nodeRegistry.minReleaseVersion")
        });
    }

    function _stakingManager(string memory file)
        private
        pure
        returns (IStakingManager.Parameters memory)
    {
        return IStakingManager.Parameters({
            minTotalStake: _uint(file, ".stakingManager.minTotalStake"),
            minStakeDuration: _uint64(file, ".stakingManager.minStakeDuration"),
            unbondingPeriod: _uint64(file, ".stakingManager.unbondingPeriod"),
            reporterBpsMax: _uint16(file, ".stakingManager.reporterBpsMax"),
            rewardInterval: _uint64(file, ".stakingManager.rewardInterval"),
            treasury: address(0),
            rewardGrowthMax: _uint(file, ".stakingManager.rewardGrowthMax")
        });
    }

    function _jobManager(string memory file) private pure returns (IJobManager.Parameters memory) {
        return IJobManager.Parameters({
            heartbeatGapMax: _uint64(file, ".jobManager.heartbeatGapMax"),
            reassignAfter: _uint64(file, ".jobManager.reassignAfter"),
            expireAfter: _uint64(file, ".jobManager.expireAfter"),
            minFundedHours: _uint32(file, ".jobManager.minFundedHours")
        });
    }

    function _paymentManager(string memory file)
        private
        pure
        returns (IPaymentManager.Parameters memory)
    {
        return IPaymentManager.Parameters({
            treasury: address(0),
            treasuryBps: _uint16(file, ".paymentManager.treasuryBps"),
            rewardShareBps: _uint16(file, ".paymentManager.rewardShareBps"),
            saleFeeBps: _uint16(file, ".paymentManager.saleFeeBps"),
            maxSlippageBps: _uint16(file, ".paymentManager.maxSlippageBps"),
            twapPeriod: _uint32(file, ".paymentManager.twapPeriod"),
            gracePeriod: _uint64(file, ".paymentManager.gracePeriod")
        });
    }

    function _storageRegistry(string memory file)
        private
        pure
        returns (IStorageRegistry.Parameters memory)
    {
        return IStorageRegistry.Parameters({
            bond: _uint128(file, ".storageRegistry.bond"),
            period: _uint64(file, ".storageRegistry.period"),
            beaconDelay: _uint64(file, ".storageRegistry.beaconDelay"),
            beaconGrace: _uint64(file, ".storageRegistry.beaconGrace"),
            responseWindow: _uint64(file, ".storageRegistry.responseWindow"),
            positions: uint8(_atMost(file, ".storageRegistry.positions", type(uint8).max)),
            openPerCommitmentMax: uint8(
                _atMost(file, ".storageRegistry.openPerCommitmentMax", type(uint8).max)
            ),
            openPerNodeMax: _uint16(file, ".storageRegistry.openPerNodeMax")
        });
    }

    function _storageFaults(string memory file)
        private
        pure
        returns (StorageFaultPolicy.Prices memory)
    {
        return StorageFaultPolicy.Prices({
            base: _uint(file, ".storageFaults.base"),
            cooldown: _uint64(file, ".storageFaults.cooldown"),
            stakeBpsMax: _uint16(file, ".storageFaults.stakeBpsMax"),
            challengerBps: _uint16(file, ".storageFaults.challengerBps")
        });
    }

    function _slaManager(string memory file) private pure returns (ISLAManager.Parameters memory) {
        return ISLAManager.Parameters({
            witnessQuorum: _uint32(file, ".slaManager.witnessQuorum"),
            offerValidity: _uint64(file, ".slaManager.offerValidity"),
            reportWindow: _uint64(file, ".slaManager.reportWindow"),
            disputeWindow: _uint64(file, ".slaManager.disputeWindow"),
            resolutionWindow: _uint64(file, ".slaManager.resolutionWindow"),
            applyWindow: _uint64(file, ".slaManager.applyWindow"),
            customerBpsMax: _uint16(file, ".slaManager.customerBpsMax"),
            slashMax: _uint128(file, ".slaManager.slashMax"),
            disputeBond: _uint128(file, ".slaManager.disputeBond")
        });
    }

    function _domainRegistry(string memory file)
        private
        pure
        returns (IDomainRegistry.Parameters memory)
    {
        return IDomainRegistry.Parameters({
            witnessQuorum: _uint32(file, ".domainRegistry.witnessQuorum"),
            claimValidity: _uint64(file, ".domainRegistry.claimValidity"),
            validityPeriod: _uint64(file, ".domainRegistry.validityPeriod"),
            gracePeriod: _uint64(file, ".domainRegistry.gracePeriod"),
            contestPeriod: _uint64(file, ".domainRegistry.contestPeriod")
        });
    }

    function _uint(string memory file, string memory key) private pure returns (uint256) {
        return vm.parseTomlUint(file, key);
    }

    function _uint128(string memory file, string memory key) private pure returns (uint128) {
        return uint128(_atMost(file, key, type(uint128).max));
    }

    function _uint64(string memory file, string memory key) private pure returns (uint64) {
        return uint64(_atMost(file, key, type(uint64).max));
    }

    function _uint32(string memory file, string memory key) private pure returns (uint32) {
        return uint32(_atMost(file, key, type(uint32).max));
    }

    function _uint16(string memory file, string memory key) private pure returns (uint16) {
        return uint16(_atMost(file, key, type(uint16).max));
    }

    function _atMost(string memory file, string memory key, uint256 max)
        private
        pure
        returns (uint256 value)
    {
        value = vm.parseTomlUint(file, key);
        require(value <= max, TooLarge(key, value));
    }

    // Judging.

    /// @dev What must hold of a production network beyond the bounds in the contracts.
    function checkProduction(Deployer.Settings memory settings, Holders memory holders)
        internal
        pure
    {
        require(settings.aleph != address(0), AddressMissing("aleph"));
        require(settings.votes != address(0), AddressMissing("votes"));
        require(settings.paymentManager.treasury != address(0), AddressMissing("treasury"));
        require(holders.emergency != address(0), AddressMissing("emergency"));
        _checkQuorum(holders.slashers, 1, "slashers");
        _checkQuorum(holders.schedulers, 1, "schedulers");
        _checkQuorum(holders.reporters, 1, "reporters");
        _checkQuorum(holders.verifiers, settings.nodeRegistry.verifierQuorum, "verifiers");
        _checkQuorum(holders.witnesses, settings.slaManager.witnessQuorum, "witnesses");
        _checkQuorum(holders.dnsWitnesses, settings.domainRegistry.witnessQuorum, "dnsWitnesses");

        require(
            settings.timelockDelay >= TIMELOCK_DELAY_S_MIN,
            TimelockTooShort(settings.timelockDelay, TIMELOCK_DELAY_S_MIN)
        );
        uint256 floor = settings.storageFloors.responseWindow;
        require(floor > RESPONSE_WINDOW_S_MIN, ResponseWindowTooShort(floor, RESPONSE_WINDOW_S_MIN));
        checkOrder(settings);
    }

    /// @dev Whoever did wrong and unstakes at once must still be there when the slash comes: after
    /// a challenge and its answer's time, a report, a dispute and its decision, a decision that had
    /// to wait out the timelock, and a day without a sequencer.
    function checkOrder(Deployer.Settings memory settings) internal pure {
        IStorageRegistry.Parameters memory challenge = settings.storageRegistry;
        ISLAManager.Parameters memory report = settings.slaManager;
        uint256 longest = uint256(challenge.beaconDelay) + challenge.beaconGrace
            + challenge.responseWindow + report.reportWindow + report.disputeWindow
            + report.resolutionWindow + report.applyWindow + settings.timelockDelay + OUTAGE_S;
        uint256 unbonding = settings.stakingManager.unbondingPeriod;
        require(unbonding > longest, UnbondingTooShort(unbonding, longest));
    }

    function _checkQuorum(address[] memory accounts, uint256 quorum, string memory key)
        private
        pure
    {
        require(accounts.length >= quorum, QuorumOutOfReach(key));
        for (uint256 i = 0; i < accounts.length; ++i) {
            require(accounts[i] != address(0), AddressMissing(key));
            for (uint256 j = 0; j < i; ++j) {
                require(accounts[i] != accounts[j], QuorumOutOfReach(key));
            }
        }
    }
}

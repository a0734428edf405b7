// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

import {Beacons} from "../../script/Beacons.sol";
import {Network} from "../../script/Network.sol";
import {Parameters} from "../../script/Parameters.sol";
import {vm} from "../../script/Vm.sol";
import {AlephGovernor} from "../../src/AlephGovernor.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {DomainRegistry} from "../../src/DomainRegistry.sol";
import {DrandBeacon} from "../../src/DrandBeacon.sol";
import {ImageMarketplace} from "../../src/ImageMarketplace.sol";
import {JobManager} from "../../src/JobManager.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {PaymentManager} from "../../src/PaymentManager.sol";
import {SLAManager} from "../../src/SLAManager.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {StorageFaultPolicy} from "../../src/StorageFaultPolicy.sol";
import {StorageRegistry} from "../../src/StorageRegistry.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";

/// @title A whole network as the production script deploys it, and its people
/// @dev The parameters are those of script/parameters/production.toml, with addresses filled in; only
/// the beacon is one of our own. The timelock governs, and the test contract holds the tokens.
abstract contract NetworkFixture is Network {
    address internal constant OWNER = address(0xA1);
    address internal constant OPERATOR = address(0xA2);
    address internal constant OTHER_OWNER = address(0xB1);
    address internal constant OTHER_OPERATOR = address(0xB2);
    address internal constant CUSTOMER = address(0xC1);
    address internal constant DELEGATOR = address(0xC2);
    address internal constant CHALLENGER = address(0xC3);
    address internal constant STRANGER = address(0xE1);

    address internal constant SCHEDULER = address(0xD1);
    address internal constant REPORTER_ACCOUNT = address(0xD2);
    address internal constant COMMITTEE = address(0xD3);
    address internal constant EMERGENCY = address(0xD4);
    address internal constant TREASURY = address(0xD5);

    bytes32 internal constant NODE = keccak256("node");
    bytes32 internal constant OTHER_NODE = keccak256("other node");
    bytes32 internal constant MANIFEST = keccak256("manifest");

    uint64 internal constant BEACON_PERIOD_S = 3;
    uint256 internal constant MINIMUM_STAKE = 200_000 ether;
    uint128 internal constant PRICE_PER_HOUR = 3.6 ether;

    AlephToken internal aleph;
    NodeRegistry internal registry;
    StakingManager internal staking;
    JobManager internal jobs;
    PaymentManager internal payments;
    DrandBeacon internal beacon;
    StorageRegistry internal storages;
    StorageFaultPolicy internal faults;
    SLAManager internal slas;
    DomainRegistry internal domains;
    ImageMarketplace internal images;
    TimelockController internal timelock;
    AlephGovernor internal governor;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        aleph = new AlephToken(address(this), TOKEN_SUPPLY);
        (Settings memory settings, Parameters.Holders memory holders) =
            _productionParameters(address(aleph));
        beacon = Beacons.development(uint64(block.timestamp), BEACON_PERIOD_S);
        _adopt(_deployPublic(address(this), settings, holders, beacon));
        vm.assertEq(settings.stakingManager.minTotalStake, MINIMUM_STAKE);
    }

    /// @dev The reviewed file, with the addresses that it leaves open.
    function _productionParameters(address token)
        internal
        view
        returns (Settings memory settings, Parameters.Holders memory holders)
    {
        (settings, holders) = Parameters.read("script/parameters/production.toml");
        (settings.aleph, settings.votes) = (token, token);
        settings.paymentManager.treasury = TREASURY;
        settings.stakingManager.treasury = TREASURY;
        holders.emergency = EMERGENCY;
        holders.slashers = _one(COMMITTEE);
        holders.schedulers = _one(SCHEDULER);
        holders.reporters = _one(REPORTER_ACCOUNT);
        holders.verifiers = _people(0xF000, settings.nodeRegistry.verifierQuorum);
        holders.witnesses = _people(0xF100, settings.slaManager.witnessQuorum);
        holders.dnsWitnesses = _people(0xF200, settings.domainRegistry.witnessQuorum);
    }

    function _adopt(Deployment memory all) private {
        (registry, staking, jobs, payments) =
        (all.nodeRegistry, all.stakingManager, all.jobManager, all.paymentManager);
        (storages, faults, slas) = (all.storageRegistry, all.storageFaultPolicy, all.slaManager);
        (domains, images) = (all.domainRegistry, all.imageMarketplace);
        (timelock, governor) = (all.timelock, all.governor);
    }

    /// @dev Every contract behind a proxy but the governor.
    function _proxies() internal view returns (address[] memory proxies) {
        proxies = new address[](8);
        proxies[0] = address(registry);
        proxies[1] = address(staking);
        proxies[2] = address(jobs);
        proxies[3] = address(payments);
        proxies[4] = address(storages);
        proxies[5] = address(slas);
        proxies[6] = address(domains);
        proxies[7] = address(images);
    }

    function _one(address account) private pure returns (address[] memory accounts) {
        accounts = new address[](1);
        accounts[0] = account;
    }

    function _people(uint160 first, uint256 count) private pure returns (address[] memory people) {
        people = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            people[i] = address(first + uint160(i));
        }
    }

    function _verifier(uint256 i) internal pure returns (address) {
        return address(uint160(0xF000 + i));
    }

    function _witness(uint256 i) internal pure returns (address) {
        return address(uint160(0xF100 + i));
    }

    function _dnsWitness(uint256 i) internal pure returns (address) {
        return address(uint160(0xF200 + i));
    }

    // What people do.

    /// @dev Tokens, and everybody who takes any allowed to.
    function _fund(address account) internal {
        aleph.transfer(account, 1_000_000 ether);
        address[5] memory takers = [
            address(staking), address(payments), address(storages), address(slas), address(images)
        ];
        for (uint256 i = 0; i < takers.length; ++i) {
            vm.prank(account);
            aleph.approve(takers[i], type(uint256).max);
        }
    }

    /// @dev The generator of the P-256 curve: the simplest public key there is.
    function _key() internal pure returns (INodeRegistry.AttestationKey memory) {
        return INodeRegistry.AttestationKey(
            0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
            0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
        );
    }

    function _register(bytes32 nodeId, address owner, address operator) internal {
        vm.prank(operator);
        registry.registerNode(
            nodeId, owner, INodeRegistry.NodeType.Compute, _key(), "bafkmetadata", "eu-west"
        );
    }

    function _stake(bytes32 nodeId, address owner, uint256 amount) internal {
        vm.prank(owner);
        staking.stake(nodeId, amount);
    }

    function _pass(uint256 seconds_) internal {
        vm.warp(block.timestamp + seconds_);
        vm.roll(block.number + seconds_ / 12 + 2);
    }

    function _activeNode(bytes32 nodeId, address owner, address operator) internal {
        _register(nodeId, owner, operator);
        _stake(nodeId, owner, MINIMUM_STAKE);
        _pass(staking.getParameters().minStakeDuration);
        staking.activate(nodeId);
    }

    /// @dev A job that is paid in ALEPH and asks for no attestation.
    function _request() internal view returns (IJobManager.JobRequest memory) {
        return IJobManager.JobRequest({
            manifestHash: MANIFEST,
            resources: IJobManager.Resources({
                vcpus: 2, memoryMib: 2048, diskMib: 20_480, gpuModel: 0, gpuCount: 0
            }),
            token: address(aleph),
            pricePerHour: PRICE_PER_HOUR,
            attestedWithin: 0
        });
    }

    function _createJob() internal returns (uint256) {
        vm.prank(CUSTOMER);
        return jobs.createJob(_request());
    }

    function _assignedJob(bytes32 nodeId) internal returns (uint256 jobId) {
        jobId = _createJob();
        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, nodeId);
    }

    function _runningJob(bytes32 nodeId, address operator) internal returns (uint256 jobId) {
        jobId = _assignedJob(nodeId);
        vm.prank(operator);
        jobs.startJob(jobId);
    }

    function _beat(uint256 jobId, address operator) internal {
        uint256[] memory jobIds = new uint256[](1);
        jobIds[0] = jobId;
        vm.prank(operator);
        jobs.heartbeat(jobIds);
    }
}

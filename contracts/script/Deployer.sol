// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    TimelockControllerUpgradeable
} from "@openzeppelin/contracts-upgradeable/governance/TimelockControllerUpgradeable.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {AlephGovernor} from "../src/AlephGovernor.sol";
import {AlephToken} from "../src/AlephToken.sol";
import {DomainRegistry} from "../src/DomainRegistry.sol";
import {DrandBeacon} from "../src/DrandBeacon.sol";
import {ImageMarketplace} from "../src/ImageMarketplace.sol";
import {JobManager} from "../src/JobManager.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {PaymentManager} from "../src/PaymentManager.sol";
import {SLAManager} from "../src/SLAManager.sol";
import {StakingManager} from "../src/StakingManager.sol";
import {StorageFaultPolicy} from "../src/StorageFaultPolicy.sol";
import {StorageRegistry} from "../src/StorageRegistry.sol";
import {Governed} from "../src/base/Governed.sol";
import {IBilledJobs} from "../src/interfaces/IBilledJobs.sol";
import {ICredits} from "../src/interfaces/ICredits.sol";
import {IDomainRegistry} from "../src/interfaces/IDomainRegistry.sol";
import {IImageMarketplace} from "../src/interfaces/IImageMarketplace.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IPaymentManager} from "../src/interfaces/IPaymentManager.sol";
import {ISLAManager} from "../src/interfaces/ISLAManager.sol";
import {ISales} from "../src/interfaces/ISales.sol";
import {ISlashing} from "../src/interfaces/ISlashing.sol";
import {IStakeSlasher} from "../src/interfaces/IStakeSlasher.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {IStorageRegistry} from "../src/interfaces/IStorageRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";

/// @title How the contracts are put together; what the tests test is what the scripts deploy
/// @dev In three steps: `_create` makes the contracts, with the caller as their administrator;
/// `_wire` gives each contract the roles that it needs at the others, and the timelock those of
/// governance; `_leave` takes the caller's away. A development chain skips the last one.
abstract contract Deployer {
    /// @notice What differs from network to network.
    /// @param aleph The network's ALEPH, or zero to deploy a test token.
    /// @param votes The token whose holders govern: ALEPH, or what wraps it to count votes by time;
    /// zero for `aleph`.
    /// @param router Uniswap V3's router, or zero where every job is paid in ALEPH.
    /// @param timelockDelay In seconds.
    struct Settings {
        address aleph;
        address votes;
        address router;
        uint256 timelockDelay;
        INodeRegistry.Parameters nodeRegistry;
        IStakingManager.Parameters stakingManager;
        IJobManager.Parameters jobManager;
        IPaymentManager.Parameters paymentManager;
        IStorageRegistry.Parameters storageRegistry;
        IStorageRegistry.Floors storageFloors;
        StorageFaultPolicy.Prices storageFaults;
        ISLAManager.Parameters slaManager;
        IDomainRegistry.Parameters domainRegistry;
        IImageMarketplace.Parameters imageMarketplace;
        AlephGovernor.Settings governor;
    }

    /// @notice The contracts of one network.
    struct Deployment {
        AlephToken aleph;
        NodeRegistry nodeRegistry;
        StakingManager stakingManager;
        JobManager jobManager;
        PaymentManager paymentManager;
        DrandBeacon beacon;
        StorageRegistry storageRegistry;
        StorageFaultPolicy storageFaultPolicy;
        SLAManager slaManager;
        DomainRegistry domainRegistry;
        ImageMarketplace imageMarketplace;
        TimelockController timelock;
        AlephGovernor governor;
    }

    uint256 internal constant TOKEN_SUPPLY = 500_000_000 ether;

    /// @dev The caller becomes the administrator of all contracts, and holds the supply of a token
    /// that is deployed along with them.
    function _create(address caller, Settings memory settings, DrandBeacon beacon)
        internal
        returns (Deployment memory all)
    {
        all.beacon = beacon;
        all.aleph = settings.aleph == address(0)
            ? new AlephToken(caller, TOKEN_SUPPLY)
            : AlephToken(settings.aleph);
        _createNodes(caller, settings, all);
        _createJobs(caller, settings, all);
        _createStorage(caller, settings, all);
        _createServices(caller, settings, all);
        _createGovernance(caller, settings, all);
    }

    function _createNodes(address caller, Settings memory settings, Deployment memory all) private {
        all.nodeRegistry = NodeRegistry(
            _proxy(
                address(new NodeRegistry()),
                abi.encodeCall(NodeRegistry.initialize, (caller, settings.nodeRegistry))
            )
        );
        all.stakingManager = StakingManager(
            _proxy(
                address(new StakingManager()),
                abi.encodeCall(
                    StakingManager.initialize,
                    (caller, all.aleph, all.nodeRegistry, settings.stakingManager)
                )
            )
        );
    }

    function _createJobs(address caller, Settings memory settings, Deployment memory all) private {
        all.jobManager = JobManager(
            _proxy(
                address(new JobManager()),
                abi.encodeCall(
                    JobManager.initialize, (caller, all.nodeRegistry, settings.jobManager)
                )
            )
        );
        IPaymentManager.Wiring memory wiring = IPaymentManager.Wiring({
            aleph: address(all.aleph),
            jobs: address(all.jobManager),
            delegations: address(all.stakingManager),
            router: settings.router
        });
        all.paymentManager = PaymentManager(
            _proxy(
                address(new PaymentManager()),
                abi.encodeCall(PaymentManager.initialize, (caller, wiring, settings.paymentManager))
            )
        );
    }

    function _createStorage(address caller, Settings memory settings, Deployment memory all)
        private
    {
        all.storageRegistry = StorageRegistry(
            _proxy(
                address(new StorageRegistry()),
                abi.encodeCall(
                    StorageRegistry.initialize,
                    (
                        caller,
                        all.aleph,
                        all.nodeRegistry,
                        IStakeSlasher(address(all.stakingManager)),
                        all.beacon,
                        settings.storageRegistry,
                        settings.storageFloors
                    )
                )
            )
        );
        all.storageFaultPolicy = new StorageFaultPolicy(
            all.storageRegistry, IStakeSlasher(address(all.stakingManager)), settings.storageFaults
        );
    }

    function _createServices(address caller, Settings memory settings, Deployment memory all)
        private
    {
        ISLAManager.Contracts memory contracts = ISLAManager.Contracts({
            token: all.aleph,
            staking: ISlashing(address(all.stakingManager)),
            jobs: IBilledJobs(address(all.jobManager)),
            payments: ICredits(address(all.paymentManager))
        });
        all.slaManager = SLAManager(
            _proxy(
                address(new SLAManager()),
                abi.encodeCall(SLAManager.initialize, (caller, contracts, settings.slaManager))
            )
        );
        all.domainRegistry = DomainRegistry(
            _proxy(
                address(new DomainRegistry()),
                abi.encodeCall(DomainRegistry.initialize, (caller, settings.domainRegistry))
            )
        );
        all.imageMarketplace = ImageMarketplace(
            _proxy(
                address(new ImageMarketplace()),
                abi.encodeCall(
                    ImageMarketplace.initialize,
                    (caller, ISales(address(all.paymentManager)), settings.imageMarketplace)
                )
            )
        );
    }

    /// @dev Anyone may execute what has waited out its delay: nothing good or bad hangs on who does.
    function _createGovernance(address caller, Settings memory settings, Deployment memory all)
        private
    {
        address[] memory anyone = new address[](1);
        all.timelock =
            new TimelockController(settings.timelockDelay, new address[](0), anyone, caller);
        all.governor = AlephGovernor(
            payable(_proxy(
                    address(new AlephGovernor()),
                    abi.encodeCall(
                        AlephGovernor.initialize,
                        (
                            settings.votes == address(0) ? all.aleph : IVotes(settings.votes),
                            TimelockControllerUpgradeable(payable(address(all.timelock))),
                            settings.governor
                        )
                    )
                ))
        );
    }

    /// @dev `caller` administers all contracts. What it needs for itself it is given, and keeps.
    function _wire(address caller, Deployment memory all) internal {
        all.nodeRegistry.grantRole(Roles.STAKING_MANAGER, address(all.stakingManager));
        all.stakingManager.grantRole(Roles.SLASHER, address(all.storageRegistry));
        all.stakingManager.grantRole(Roles.SLASHER, address(all.slaManager));
        all.jobManager.grantRole(Roles.PAYMENT_MANAGER, address(all.paymentManager));
        all.paymentManager.grantRole(Roles.SLA_MANAGER, address(all.slaManager));
        all.paymentManager.grantRole(Roles.MARKETPLACE, address(all.imageMarketplace));

        Governed[] memory contracts = _governed(all);
        for (uint256 i = 0; i < contracts.length; ++i) {
            _govern(contracts[i], address(all.timelock));
            contracts[i].grantRole(Roles.PARAMETER, caller);
        }
        all.jobManager.setPaymentManager(all.paymentManager);
        all.storageRegistry.setFaultPolicy(all.storageFaultPolicy);

        all.timelock.grantRole(all.timelock.PROPOSER_ROLE(), address(all.governor));
        all.timelock.grantRole(all.timelock.CANCELLER_ROLE(), address(all.governor));
    }

    /// @dev Gives an account what governance has: the timelock, and on a development chain whoever
    /// deploys.
    function _govern(Governed target, address account) internal {
        target.grantRole(target.DEFAULT_ADMIN_ROLE(), account);
        target.grantRole(Roles.UPGRADER, account);
        target.grantRole(Roles.PARAMETER, account);
    }

    /// @dev From here on only the timelock governs.
    function _leave(address caller, Deployment memory all) internal {
        Governed[] memory contracts = _governed(all);
        for (uint256 i = 0; i < contracts.length; ++i) {
            contracts[i].renounceRole(Roles.PARAMETER, caller);
            contracts[i].renounceRole(contracts[i].DEFAULT_ADMIN_ROLE(), caller);
        }
        all.timelock.renounceRole(all.timelock.DEFAULT_ADMIN_ROLE(), caller);
    }

    /// @dev The contracts with roles of ours. The governor has none: it is its own.
    function _governed(Deployment memory all) internal pure returns (Governed[] memory contracts) {
        contracts = new Governed[](8);
        contracts[0] = all.nodeRegistry;
        contracts[1] = all.stakingManager;
        contracts[2] = all.jobManager;
        contracts[3] = all.paymentManager;
        contracts[4] = all.storageRegistry;
        contracts[5] = all.slaManager;
        contracts[6] = all.domainRegistry;
        contracts[7] = all.imageMarketplace;
    }

    function _proxy(address implementation, bytes memory initialization)
        internal
        returns (address)
    {
        return address(new ERC1967Proxy(implementation, initialization));
    }
}

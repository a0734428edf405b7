// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {AlephToken} from "../../src/AlephToken.sol";
import {JobManager} from "../../src/JobManager.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {StakingManager} from "../../src/StakingManager.sol";
import {Governed} from "../../src/base/Governed.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";

/// @title The contracts that the tests of single contracts build upon
/// @dev Whole networks, as the scripts deploy them, are in {NetworkFixture}.
abstract contract CoreDeployer {
    /// @notice The contracts that work without any other.
    struct Core {
        AlephToken aleph;
        NodeRegistry nodeRegistry;
        StakingManager stakingManager;
        JobManager jobManager;
    }

    uint256 internal constant TOKEN_SUPPLY = 500_000_000 ether;

    /// @dev `admin` must be the caller of the contracts: it wires them, and gets the whole token
    /// supply and every role that an account can hold.
    function _deploy(address admin, IStakingManager.Parameters memory staking)
        internal
        returns (Core memory all)
    {
        all.aleph = new AlephToken(admin, TOKEN_SUPPLY);
        all.nodeRegistry = NodeRegistry(
            _proxy(
                address(new NodeRegistry()),
                abi.encodeCall(NodeRegistry.initialize, (admin, _registryParameters()))
            )
        );
        all.stakingManager = StakingManager(
            _proxy(
                address(new StakingManager()),
                abi.encodeCall(
                    StakingManager.initialize, (admin, all.aleph, all.nodeRegistry, staking)
                )
            )
        );
        all.jobManager = JobManager(
            _proxy(
                address(new JobManager()),
                abi.encodeCall(JobManager.initialize, (admin, all.nodeRegistry, _jobParameters()))
            )
        );

        all.nodeRegistry.grantRole(Roles.STAKING_MANAGER, address(all.stakingManager));
        all.nodeRegistry.grantRole(Roles.PARAMETER, admin);
        all.nodeRegistry.grantRole(Roles.VERIFIER, admin);
        all.stakingManager.grantRole(Roles.PARAMETER, admin);
        all.jobManager.grantRole(Roles.SCHEDULER, admin);
        all.jobManager.grantRole(Roles.PARAMETER, admin);
        _grantCommonRoles(all.nodeRegistry, admin);
        _grantCommonRoles(all.stakingManager, admin);
        _grantCommonRoles(all.jobManager, admin);
    }

    function _registryParameters() internal pure returns (INodeRegistry.Parameters memory) {
        return INodeRegistry.Parameters({
            verifierQuorum: 1,
            challengeValidity: 1 hours,
            enrolmentWindow: 1 days,
            minReleaseVersion: 0
        });
    }

    function _jobParameters() internal pure returns (IJobManager.Parameters memory) {
        return IJobManager.Parameters({
            heartbeatGapMax: 15 minutes,
            reassignAfter: 1 hours,
            expireAfter: 1 days,
            minFundedHours: 24
        });
    }

    function _proxy(address implementation, bytes memory initialization)
        internal
        returns (address)
    {
        return address(new ERC1967Proxy(implementation, initialization));
    }

    function _grantCommonRoles(Governed target, address admin) internal {
        target.grantRole(Roles.UPGRADER, admin);
        target.grantRole(Roles.PAUSER, admin);
    }
}

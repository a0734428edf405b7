// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";

import {vm} from "../script/Vm.sol";
import {JobManager} from "../src/JobManager.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {StakingManager} from "../src/StakingManager.sol";
import {Governed} from "../src/base/Governed.sol";
import {IJobManager} from "../src/interfaces/IJobManager.sol";
import {INodeRegistry} from "../src/interfaces/INodeRegistry.sol";
import {IStakingManager} from "../src/interfaces/IStakingManager.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {Fixture} from "./base/Fixture.sol";

/// @dev What a registry's next version might be.
contract NextNodeRegistry is NodeRegistry {
    function version() external pure returns (uint256) {
        return 2;
    }
}

contract ProxiesTest is Fixture {
    uint256 private constant CODE_BYTES_MAX = 24_576;
    bytes32 private constant IMPLEMENTATION_SLOT =
        bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1);

    /// @dev The compiler does not compare the slot in the code with the namespace in the comment;
    /// this looks for a value that each contract keeps where the namespace says.
    function test_storage_is_in_its_namespace() public {
        _register(NODE, OWNER, OPERATOR);
        _createJob();

        // Slot 4 of the registry's storage: mapping, mapping, set (two slots), count.
        vm.assertEq(uint256(_word(address(registry), "aleph.storage.NodeRegistry", 4)), 1);
        vm.assertEq(
            uint256(_word(address(staking), "aleph.storage.StakingManager", 0)),
            uint160(address(aleph))
        );
        vm.assertEq(
            uint256(_word(address(staking), "aleph.storage.StakingManager", 7)), MIN_TOTAL_STAKE
        );
        vm.assertEq(
            uint256(_word(address(jobs), "aleph.storage.JobManager", 0)), uint160(address(registry))
        );
        vm.assertEq(uint256(_word(address(jobs), "aleph.storage.JobManager", 1)), 1);
    }

    function test_nothing_lies_outside_namespaces() public {
        _activeNode(NODE, OWNER, OPERATOR);
        _runningJob(NODE, OPERATOR);
        address[3] memory proxies = [address(registry), address(staking), address(jobs)];
        for (uint256 i = 0; i < proxies.length; ++i) {
            for (uint256 slot = 0; slot < 16; ++slot) {
                vm.assertEq(vm.load(proxies[i], bytes32(slot)), 0);
            }
        }
    }

    function test_an_upgrade_keeps_state() public {
        _activeNode(NODE, OWNER, OPERATOR);
        bytes memory before = abi.encode(registry.getNode(NODE));

        registry.upgradeToAndCall(address(new NextNodeRegistry()), "");
        vm.assertEq(NextNodeRegistry(address(registry)).version(), 2);
        vm.assertEq(abi.encode(registry.getNode(NODE)), before);
        vm.assertEq(registry.getActiveNodes(0, 1)[0], NODE);
        vm.assertTrue(registry.hasRole(Roles.STAKING_MANAGER, address(staking)));
    }

    function test_an_administrator_is_no_upgrader_by_itself() public {
        registry.revokeRole(Roles.UPGRADER, address(this));
        address next = address(new NextNodeRegistry());
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector,
                address(this),
                Roles.UPGRADER
            )
        );
        registry.upgradeToAndCall(next, "");
    }

    function test_an_implementation_cannot_be_initialized() public {
        address[3] memory proxies = [address(registry), address(staking), address(jobs)];
        bytes[3] memory initializations = [
            abi.encodeCall(NodeRegistry.initialize, (STRANGER, _registryParameters())),
            abi.encodeCall(StakingManager.initialize, (STRANGER, aleph, registry, _parameters())),
            abi.encodeCall(JobManager.initialize, (STRANGER, registry, _jobParameters()))
        ];
        for (uint256 i = 0; i < proxies.length; ++i) {
            address implementation =
                address(uint160(uint256(vm.load(proxies[i], IMPLEMENTATION_SLOT))));
            vm.assertTrue(implementation.code.length != 0);
            vm.assertLe(implementation.code.length, CODE_BYTES_MAX);

            (bool succeeded, bytes memory answer) = implementation.call(initializations[i]);
            vm.assertFalse(succeeded);
            vm.assertEq(
                answer, abi.encodeWithSelector(Initializable.InvalidInitialization.selector)
            );
        }
    }

    function test_initialization_refuses_zero_addresses() public {
        address implementation = address(new NodeRegistry());
        vm.expectRevert(Governed.ZeroAdmin.selector);
        new ERC1967Proxy(
            implementation,
            abi.encodeCall(NodeRegistry.initialize, (address(0), _registryParameters()))
        );

        implementation = address(new StakingManager());
        vm.expectRevert(IStakingManager.ZeroAddress.selector);
        new ERC1967Proxy(
            implementation,
            abi.encodeCall(
                StakingManager.initialize,
                (address(this), aleph, INodeRegistry(address(0)), _parameters())
            )
        );

        implementation = address(new JobManager());
        vm.expectRevert(IJobManager.ZeroAddress.selector);
        new ERC1967Proxy(
            implementation,
            abi.encodeCall(
                JobManager.initialize, (address(this), INodeRegistry(address(0)), _jobParameters())
            )
        );
    }

    function _word(address target, string memory namespace, uint256 offset)
        private
        view
        returns (bytes32)
    {
        uint256 start = uint256(SlotDerivation.erc7201Slot(namespace));
        return vm.load(target, bytes32(start + offset));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";

import {vm} from "../script/Vm.sol";
import {NodeRegistry} from "../src/NodeRegistry.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {NetworkFixture} from "./base/NetworkFixture.sol";

/// @dev What a registry's next version might be.
contract NextNodeRegistry is NodeRegistry {
    function version() external pure returns (uint256) {
        return 2;
    }
}

contract ProxiesTest is NetworkFixture {
    uint256 private constant CODE_BYTES_MAX = 24_576;
    bytes32 private constant IMPLEMENTATION_SLOT =
        bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1);

    /// @dev In the order of `_proxies`, and the governor.
    function _names() private pure returns (string[9] memory) {
        return [
            "NodeRegistry",
            "StakingManager",
            "JobManager",
            "PaymentManager",
            "StorageRegistry",
            "SLAManager",
            "DomainRegistry",
            "ImageMarketplace",
            "AlephGovernor"
        ];
    }

    function _withGovernor() private view returns (address[9] memory all) {
        address[] memory proxies = _proxies();
        for (uint256 i = 0; i < proxies.length; ++i) {
            all[i] = proxies[i];
        }
        all[8] = address(governor);
    }

    /// @dev The compiler does not compare the slot in the code with the namespace in the comment:
    /// each contract keeps something where ERC-7201 says that its namespace is.
    function test_storage_is_in_its_namespace() public {
        _fund(OWNER);
        _activeNode(NODE, OWNER, OPERATOR);
        address[] memory proxies = _proxies();
        for (uint256 i = 0; i < proxies.length; ++i) {
            string memory namespace = string.concat("aleph.storage.", _names()[i]);
            uint256 start = uint256(SlotDerivation.erc7201Slot(namespace));
            bytes32 found;
            for (uint256 slot = 0; slot < 32; ++slot) {
                found |= vm.load(proxies[i], bytes32(start + slot));
            }
            vm.assertTrue(found != 0, namespace);
        }
    }

    function test_nothing_lies_outside_namespaces() public {
        _fund(OWNER);
        _fund(CUSTOMER);
        _activeNode(NODE, OWNER, OPERATOR);
        _runningJob(NODE, OPERATOR);
        address[9] memory proxies = _withGovernor();
        for (uint256 i = 0; i < proxies.length; ++i) {
            for (uint256 slot = 0; slot < 32; ++slot) {
                vm.assertEq(vm.load(proxies[i], bytes32(slot)), 0);
            }
        }
    }

    function test_an_upgrade_keeps_state() public {
        _fund(OWNER);
        _activeNode(NODE, OWNER, OPERATOR);
        bytes memory before = abi.encode(registry.getNode(NODE));

        NextNodeRegistry next = new NextNodeRegistry();
        vm.prank(address(timelock));
        registry.upgradeToAndCall(address(next), "");
        vm.assertEq(NextNodeRegistry(address(registry)).version(), 2);
        vm.assertEq(abi.encode(registry.getNode(NODE)), before);
        vm.assertEq(registry.getActiveNodes(0, 1)[0], NODE);
        vm.assertTrue(registry.hasRole(Roles.STAKING_MANAGER, address(staking)));
    }

    /// @dev Neither a stranger nor whoever deployed it makes an implementation its own.
    function test_implementations_cannot_be_initialized() public {
        address[9] memory proxies = _withGovernor();
        for (uint256 i = 0; i < proxies.length; ++i) {
            address implementation =
                address(uint160(uint256(vm.load(proxies[i], IMPLEMENTATION_SLOT))));
            vm.assertTrue(implementation.code.length != 0);
            vm.assertLe(implementation.code.length, CODE_BYTES_MAX);

            (bool succeeded, bytes memory answer) = implementation.call(_initialization(i));
            vm.assertFalse(succeeded);
            vm.assertEq(
                answer, abi.encodeWithSelector(Initializable.InvalidInitialization.selector)
            );
            (succeeded, answer) = proxies[i].call(_initialization(i));
            vm.assertEq(
                answer, abi.encodeWithSelector(Initializable.InvalidInitialization.selector)
            );
        }
    }

    /// @dev A call of `initialize`, as the build has it, with nothing in it.
    function _initialization(uint256 contractIndex) private view returns (bytes memory) {
        string memory name = _names()[contractIndex];
        string memory path = string.concat("out/", name, ".sol/", name, ".json");
        string[] memory built = vm.parseJsonKeys(vm.readFile(path), ".methodIdentifiers");
        for (uint256 i = 0; i < built.length; ++i) {
            bytes memory signature = bytes(built[i]);
            if (signature.length > 11 && bytes11(bytes(built[i])) == bytes11("initialize(")) {
                return bytes.concat(bytes4(keccak256(signature)), new bytes(1024));
            }
        }
        revert("no initialize");
    }
}

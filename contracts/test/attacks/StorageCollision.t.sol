// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";

import {vm} from "../../script/Vm.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {NetworkFixture} from "../base/NetworkFixture.sol";

/// @dev A next version by somebody who has not read how storage is kept here: plain variables.
contract CarelessNodeRegistry is NodeRegistry {
    uint256[256] private scribbles;

    function scribble() external {
        for (uint256 i = 0; i < scribbles.length; ++i) {
            scribbles[i] = type(uint256).max;
        }
    }
}

/// @dev Nothing that another contract, OpenZeppelin's parts or a careless next version keeps meets
/// what a contract keeps here. That fields keep their places from version to version is what
/// tools/layout.mjs checks.
contract StorageCollisionAttack is NetworkFixture {
    function test_plain_variables_of_a_next_version_meet_nothing() public {
        _fund(OWNER);
        _activeNode(NODE, OWNER, OPERATOR);
        bytes memory before = _state();

        CarelessNodeRegistry next = new CarelessNodeRegistry();
        vm.prank(address(timelock));
        registry.upgradeToAndCall(address(next), "");
        CarelessNodeRegistry(address(registry)).scribble();
        vm.assertEq(_state(), before);
    }

    function _state() private view returns (bytes memory) {
        return abi.encode(
            registry.getNode(NODE),
            registry.getParameters(),
            registry.getActiveNodes(0, 256),
            registry.nodeOfOperator(OPERATOR),
            registry.hasRole(0, address(timelock)),
            registry.paused()
        );
    }

    /// @dev Mappings and arrays hash away from their slots; what lies side by side has 2^32 slots of
    /// room between any two namespaces.
    function test_namespaces_are_far_apart() public pure {
        string[13] memory namespaces = [
            "aleph.storage.NodeRegistry",
            "aleph.storage.StakingManager",
            "aleph.storage.RewardRoots",
            "aleph.storage.JobManager",
            "aleph.storage.PaymentManager",
            "aleph.storage.StorageRegistry",
            "aleph.storage.SLAManager",
            "aleph.storage.DomainRegistry",
            "aleph.storage.ImageMarketplace",
            "openzeppelin.storage.AccessControl",
            "openzeppelin.storage.Initializable",
            "openzeppelin.storage.Pausable",
            "openzeppelin.storage.Governor"
        ];
        for (uint256 i = 0; i < namespaces.length; ++i) {
            uint256 slot = uint256(SlotDerivation.erc7201Slot(namespaces[i]));
            vm.assertGe(slot, 1 << 32);
            for (uint256 j = 0; j < i; ++j) {
                uint256 other = uint256(SlotDerivation.erc7201Slot(namespaces[j]));
                vm.assertGe(slot > other ? slot - other : other - slot, 1 << 32);
            }
        }
    }
}

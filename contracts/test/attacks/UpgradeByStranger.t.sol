// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {ERC1967Utils} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {NetworkFixture} from "../base/NetworkFixture.sol";

/// @dev Hands everything to whoever asks.
contract Thief is UUPSUpgradeable {
    function _authorizeUpgrade(address) internal override {}
}

/// @dev No proxy can ever be upgraded again from here.
contract DeadEnd {
    function version() external pure returns (uint256) {
        return 2;
    }
}

/// @dev Nobody but the timelock puts other code behind a proxy, and it puts no code there that
/// could not be replaced in turn.
contract UpgradeByStrangerAttack is NetworkFixture {
    bytes32 private constant IMPLEMENTATION_SLOT = ERC1967Utils.IMPLEMENTATION_SLOT;

    function test_nobody_else_upgrades_anything() public {
        address thief = address(new Thief());
        address[7] memory accounts = [
            STRANGER,
            address(this),
            EMERGENCY,
            COMMITTEE,
            SCHEDULER,
            address(governor),
            address(staking)
        ];
        address[] memory proxies = _proxies();
        for (uint256 i = 0; i < proxies.length; ++i) {
            for (uint256 j = 0; j < accounts.length; ++j) {
                bytes memory refusal = abi.encodeWithSelector(
                    IAccessControl.AccessControlUnauthorizedAccount.selector,
                    accounts[j],
                    Roles.UPGRADER
                );
                vm.prank(accounts[j]);
                vm.expectRevert(refusal);
                UUPSUpgradeable(proxies[i]).upgradeToAndCall(thief, "");
            }
        }
    }

    /// @dev Even the timelock upgrades the governor by a vote only.
    function test_nobody_upgrades_the_governor_without_a_vote() public {
        address thief = address(new Thief());
        vm.prank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorOnlyExecutor.selector, STRANGER));
        governor.upgradeToAndCall(thief, "");

        vm.prank(address(timelock));
        (bool succeeded,) =
            address(governor).call(abi.encodeCall(UUPSUpgradeable.upgradeToAndCall, (thief, "")));
        vm.assertFalse(succeeded);
    }

    /// @dev An implementation is nobody's, and upgrades nothing by itself.
    function test_an_implementation_by_itself_upgrades_nothing() public {
        address[] memory proxies = _proxies();
        address thief = address(new Thief());
        for (uint256 i = 0; i < proxies.length; ++i) {
            address implementation =
                address(uint160(uint256(vm.load(proxies[i], IMPLEMENTATION_SLOT))));
            vm.expectRevert(UUPSUpgradeable.UUPSUnauthorizedCallContext.selector);
            UUPSUpgradeable(implementation).upgradeToAndCall(thief, "");
        }
    }

    /// @dev What is no implementation of UUPS would lock the proxy for ever.
    function test_the_timelock_cannot_lock_a_proxy() public {
        address deadEnd = address(new DeadEnd());
        address[] memory proxies = _proxies();
        for (uint256 i = 0; i < proxies.length; ++i) {
            vm.prank(address(timelock));
            vm.expectRevert(
                abi.encodeWithSelector(ERC1967Utils.ERC1967InvalidImplementation.selector, deadEnd)
            );
            UUPSUpgradeable(proxies[i]).upgradeToAndCall(deadEnd, "");
        }
    }

    /// @dev Administration alone is no right to upgrade, but the right to give it.
    function test_an_administrator_is_no_upgrader_by_itself() public {
        NodeRegistry next = new NodeRegistry();
        vm.startPrank(address(timelock));
        registry.revokeRole(Roles.UPGRADER, address(timelock));
        vm.expectRevert(
            abi.encodeWithSelector(
                IAccessControl.AccessControlUnauthorizedAccount.selector,
                address(timelock),
                Roles.UPGRADER
            )
        );
        registry.upgradeToAndCall(address(next), "");
        vm.stopPrank();
    }
}

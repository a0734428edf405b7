// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {vm} from "../../script/Vm.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {NetworkFixture} from "../base/NetworkFixture.sol";

/// @title Who may call what
/// @dev One table a contract, with a row for every external function that the build has, no more
/// and no less. The very same call is made by a stranger, by a holder of each role and by everybody
/// whom the contracts know: it succeeds for those in the row, and is refused to all others for the
/// reason in the row. Each call meets the same state, in which only who calls decides. A view need
/// not succeed, but must answer all alike.
abstract contract AccessMatrix is NetworkFixture {
    uint256 internal constant NO_ONE = 0;
    uint256 internal constant ANYONE = type(uint256).max;
    uint256 private constant VIEW = 1 << 255;

    // Each holds one role on every contract, and nothing else.
    uint256 internal constant ADMIN = 1 << 0;
    uint256 internal constant UPGRADER = 1 << 1;
    uint256 internal constant PARAMETER = 1 << 2;
    uint256 internal constant PAUSER = 1 << 3;
    uint256 internal constant SCHEDULERS = 1 << 4;
    uint256 internal constant REPORTER = 1 << 5;
    uint256 internal constant VERIFIER = 1 << 6;
    uint256 internal constant WITNESS = 1 << 7;
    uint256 internal constant DNS_WITNESS = 1 << 8;
    uint256 internal constant SLASHER = 1 << 9;
    uint256 internal constant STAKING_MANAGER = 1 << 10;
    uint256 internal constant PAYMENT_MANAGER = 1 << 11;
    uint256 internal constant SLA_MANAGER = 1 << 12;
    uint256 internal constant MARKETPLACE = 1 << 13;
    uint256 internal constant ROLES = 14;

    // People without a role.
    uint256 internal constant STRANGERS = 1 << 14;
    uint256 internal constant OWNERS = 1 << 15;
    uint256 internal constant OPERATORS = 1 << 16;
    uint256 internal constant OTHER_OWNERS = 1 << 17;
    uint256 internal constant OTHER_OPERATORS = 1 << 18;
    uint256 internal constant CUSTOMERS = 1 << 19;
    uint256 private constant ACTORS = 20;

    struct Row {
        string signature;
        bytes arguments;
        uint256 allowed;
        bytes4 refusal;
    }

    Row[] private rows;

    function setUp() public virtual override {
        super.setUp();
        address[] memory proxies = _proxies();
        for (uint256 i = 0; i < ROLES; ++i) {
            for (uint256 j = 0; j < proxies.length; ++j) {
                vm.prank(address(timelock));
                IAccessControl(proxies[j]).grantRole(_roles()[i], _actor(i));
            }
        }
        for (uint256 i = 0; i < ACTORS; ++i) {
            _fund(_actor(i));
        }
    }

    function _roles() internal pure returns (bytes32[ROLES] memory) {
        return [
            bytes32(0),
            Roles.UPGRADER,
            Roles.PARAMETER,
            Roles.PAUSER,
            Roles.SCHEDULER,
            Roles.REPORTER,
            Roles.VERIFIER,
            Roles.WITNESS,
            Roles.DNS_WITNESS,
            Roles.SLASHER,
            Roles.STAKING_MANAGER,
            Roles.PAYMENT_MANAGER,
            Roles.SLA_MANAGER,
            Roles.MARKETPLACE
        ];
    }

    function _actor(uint256 i) internal pure returns (address) {
        if (i < ROLES) return address(uint160(0xACC0 + i));
        return [STRANGER, OWNER, OPERATOR, OTHER_OWNER, OTHER_OPERATOR, CUSTOMER][i - ROLES];
    }

    // Rows.

    /// @dev Anyone may.
    function _row(string memory signature, bytes memory arguments) internal {
        _row(signature, arguments, ANYONE, 0);
    }

    /// @dev Who has a role may.
    function _row(string memory signature, bytes memory arguments, uint256 allowed) internal {
        _row(
            signature, arguments, allowed, IAccessControl.AccessControlUnauthorizedAccount.selector
        );
    }

    function _row(string memory signature, bytes memory arguments, uint256 allowed, bytes4 refusal)
        internal
    {
        rows.push(Row(signature, arguments, allowed, refusal));
    }

    function _initializeRow(string memory signature) internal {
        _row(signature, new bytes(1024), NO_ONE, Initializable.InvalidInitialization.selector);
    }

    /// @dev Changes nothing and answers all alike, whatever it is asked.
    function _view(string memory signature) internal {
        _row(signature, new bytes(1024), VIEW, 0);
    }

    /// @dev What every contract behind a proxy has.
    function _governedRows() internal {
        bytes32 role = keccak256("some role");
        address next = address(new NodeRegistry());
        _view("DEFAULT_ADMIN_ROLE()");
        _view("UPGRADE_INTERFACE_VERSION()");
        _view("getRoleAdmin(bytes32)");
        _view("hasRole(bytes32,address)");
        _view("supportsInterface(bytes4)");
        _row(
            "renounceRole(bytes32,address)",
            abi.encode(role, STRANGER),
            STRANGERS,
            IAccessControl.AccessControlBadConfirmation.selector
        );
        _row("grantRole(bytes32,address)", abi.encode(role, STRANGER), ADMIN);
        _row("revokeRole(bytes32,address)", abi.encode(role, STRANGER), ADMIN);
        _view("paused()");
        _row("pause()", "", PAUSER);
        _row("unpause()", "", PAUSER);
        _row("upgradeToAndCall(address,bytes)", abi.encode(next, ""), UPGRADER);
        _row("proxiableUUID()", "", NO_ONE, UUPSUpgradeable.UUPSUnauthorizedCallContext.selector);
    }

    // Checks.

    function _check(address target, string memory contractName) internal {
        _checkComplete(contractName);
        for (uint256 i = 0; i < rows.length; ++i) {
            _checkRow(target, rows[i]);
        }
    }

    function _checkComplete(string memory contractName) private view {
        string memory path = string.concat("out/", contractName, ".sol/", contractName, ".json");
        string[] memory built = vm.parseJsonKeys(vm.readFile(path), ".methodIdentifiers");
        for (uint256 i = 0; i < built.length; ++i) {
            uint256 count;
            for (uint256 j = 0; j < rows.length; ++j) {
                if (keccak256(bytes(rows[j].signature)) == keccak256(bytes(built[i]))) ++count;
            }
            vm.assertEq(count, 1, string.concat("rows for ", contractName, ".", built[i]));
        }
        vm.assertEq(rows.length, built.length, "a row for a function that is not there");
    }

    function _checkRow(address target, Row memory row) private {
        bytes memory data = bytes.concat(bytes4(keccak256(bytes(row.signature))), row.arguments);
        if (keccak256(bytes(row.signature)) == keccak256("unpause()")) _pause(target);

        bytes32 first;
        for (uint256 i = 0; i < ACTORS; ++i) {
            string memory who =
                string.concat(row.signature, " called by actor ", vm.toString(_actor(i)));
            uint256 state = vm.snapshotState();
            vm.prank(_actor(i));
            (bool succeeded, bytes memory answer) = target.call(data);
            vm.revertToStateAndDelete(state);
            if (row.allowed == VIEW) {
                bytes32 outcome = keccak256(abi.encode(succeeded, answer));
                if (i == 0) first = outcome;
                vm.assertEq(outcome, first, who);
            } else if (row.allowed & (1 << i) != 0) {
                vm.assertTrue(succeeded, string.concat(who, ": ", vm.toString(answer)));
            } else {
                vm.assertFalse(succeeded, who);
                vm.assertEq(bytes32(bytes4(answer)), bytes32(row.refusal), who);
            }
        }
    }

    function _pause(address target) private {
        vm.prank(_actor(3));
        (bool succeeded,) = target.call(abi.encodeWithSignature("pause()"));
        vm.assertTrue(succeeded);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    AccessControlUpgradeable
} from "@openzeppelin/contracts-upgradeable/access/AccessControlUpgradeable.sol";
import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {Roles} from "../libraries/Roles.sol";

/// @title What every contract behind a proxy shares: roles, upgrades, a pause
/// @dev Holds no storage of its own; OpenZeppelin's parts keep theirs in ERC-7201 namespaces.
abstract contract Governed is AccessControlUpgradeable, PausableUpgradeable, UUPSUpgradeable {
    /// @notice The first administrator is the zero address.
    error ZeroAdmin();

    /// @dev An implementation is never used but through a proxy.
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice Stops intake; nothing that pays out, closes or reports ever stops.
    function pause() external onlyRole(Roles.PAUSER) {
        _pause();
    }

    /// @notice Lets intake go on.
    function unpause() external onlyRole(Roles.PAUSER) {
        _unpause();
    }

    function __Governed_init(address admin) internal onlyInitializing {
        require(admin != address(0), ZeroAdmin());
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
    }

    function _authorizeUpgrade(address) internal view override onlyRole(Roles.UPGRADER) {}
}

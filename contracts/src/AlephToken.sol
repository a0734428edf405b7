// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title Stand-in for ALEPH on development chains
/// @notice The real token exists already and is not ours to deploy or to upgrade, so this one has
/// neither proxy nor privileged function: all there will ever be goes to one account at the start.
contract AlephToken is ERC20 {
    constructor(address holder, uint256 supply) ERC20("Aleph (test)", "ALEPH") {
        _mint(holder, supply);
    }
}

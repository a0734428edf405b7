// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {ERC6372Utils} from "@openzeppelin/contracts/utils/ERC6372Utils.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

/// @title Stand-in for ALEPH on development chains
/// @notice The real token exists already and is not ours to deploy or to upgrade, so this one has
/// neither proxy nor privileged function: all there will ever be goes to one account at the start.
/// Tokens vote for the account that their holder names with `delegate`, and for none before.
/// @dev Votes are counted by time: on Arbitrum, block numbers are an estimate of another chain's.
contract AlephToken is ERC20, ERC20Permit, ERC20Votes {
    constructor(address holder, uint256 supply)
        ERC20("Aleph (test)", "ALEPH")
        ERC20Permit("Aleph (test)")
    {
        _mint(holder, supply);
    }

    /// @notice The time by which votes are counted: Unix time in seconds.
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    /// @notice Says that the clock is time, as ERC-6372 has it.
    function CLOCK_MODE() public view override returns (string memory) {
        return ERC6372Utils.timestampClockMode(clock);
    }

    /// @notice The number that the account's next signed permit or delegation must bear.
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 amount)
        internal
        override(ERC20, ERC20Votes)
    {
        super._update(from, to, amount);
    }
}

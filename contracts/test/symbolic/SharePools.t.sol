// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {SharePools} from "../../src/libraries/SharePools.sol";

/// @dev What halmos proves, for all values, of the arithmetic below all stake.
contract SharePoolsProofs {
    /// @dev A split conserves, and takes from no part more than it has.
    function check_split_conserves(uint128 amount, uint128 first, uint128 second) external pure {
        vm.assume(amount <= uint256(first) + second);
        (uint256 fromFirst, uint256 fromSecond) = SharePools.split(amount, first, second);
        assert(fromFirst + fromSecond == amount);
        assert(fromFirst <= first);
        assert(fromSecond <= second);
    }
}

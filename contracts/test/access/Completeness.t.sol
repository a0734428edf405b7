// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm, vm} from "../../script/Vm.sol";

/// @dev A contract without a table fails here, as a function without a row does in its table.
contract AccessCompletenessTest {
    function test_every_contract_has_a_table() public {
        string memory tables;
        Vm.DirEntry[] memory files = vm.readDir("test/access");
        for (uint256 i = 0; i < files.length; ++i) {
            tables = string.concat(tables, vm.readFile(files[i].path));
        }
        Vm.DirEntry[] memory sources = vm.readDir("src");
        uint256 checked;
        for (uint256 i = 0; i < sources.length; ++i) {
            if (sources[i].isDir) continue;
            string[] memory parts = vm.split(sources[i].path, "/");
            string memory name = vm.replace(parts[parts.length - 1], ".sol", "");
            string memory call = string.concat(', "', name, '");');
            vm.assertTrue(vm.contains(tables, call), string.concat("no table for ", name));
            ++checked;
        }
        vm.assertGe(checked, 12);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BeaconSigner} from "../base/BeaconSigner.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev The contracts of storage that nobody governs.
contract StorageOraclesAccessTest is AccessMatrix {
    function test_drand_beacon() public {
        _row("submit(uint64,bytes)", abi.encode(1, BeaconSigner.sign(1)));
        _view("GENESIS()");
        _view("PERIOD()");
        _view("postedAt(uint64)");
        _view("publicKey()");
        _view("randomness(uint64)");
        _view("roundAt(uint64)");
        _check(address(beacon), "DrandBeacon");
    }

    function test_storage_fault_policy() public {
        _view("REGISTRY()");
        _view("STAKING()");
        _view("faultCost(bytes32,bytes32)");
        _view("getPrices()");
        _check(address(faults), "StorageFaultPolicy");
    }
}

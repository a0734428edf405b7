// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DrandBeacon} from "../src/DrandBeacon.sol";

/// @title The beacons that there are
library Beacons {
    /// @dev drand's evmnet, chain 04f1e9062b8a81f848fded9c12306733282b2727ecced50032187751166ec8c3.
    function evmnet() internal returns (DrandBeacon) {
        return new DrandBeacon({
            key: [
                0x07e1d1d335df83fa98462005690372c643340060d205306a9aa8106b6bd0b382,
                0x0557ec32c2ad488e4d4f6008f89a346f18492092ccc0d594610de2732c8b808f,
                0x0095685ae3a85ba243747b1b2f426049010f6b73a0cf1d389351d5aaaa1047f6,
                0x297d3a4f9749b33eb2d904c9d9ebf17224150ddd7abd7567a9bec6c74480ee0b
            ],
            genesis: 1_727_521_075,
            period: 3
        });
    }

    /// @dev For chains that cannot wait for drand. Everyone knows the secret key, and signs with
    /// `tools/beacon.mjs`.
    function development(uint64 genesis, uint64 period) internal returns (DrandBeacon) {
        return new DrandBeacon({
            key: [
                0x2ecbfb239d134b09d6950a850f34104de8f4777a555d5d3d03daa553d801f630,
                0x29ad483530387a6228d0e3ded27b85b595ce258fb4b60ea42d4f04b9f53af4ca,
                0x2b45829ddeb3c36a30417111193559cd7537dca9a60ac94851031e77cc7ee574,
                0x2dcb84e281e9e4ca3b3387fbcc2d2ec4b3407fa43849eec66e5a0f51bb436892
            ],
            genesis: genesis,
            period: period
        });
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BlsBn254} from "../../src/libraries/BlsBn254.sol";

/// @title Signs rounds as the development beacon does
library BeaconSigner {
    /// @dev The order of the curve's group.
    uint256 private constant ORDER =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    function sign(uint64 round) internal view returns (bytes memory signature) {
        (uint256 x, uint256 y) =
            BlsBn254.hashToPoint(abi.encodePacked(keccak256(abi.encodePacked(round))));
        uint256 secret = uint256(sha256("aleph development beacon")) % ORDER;
        bool answered;
        (answered, signature) = address(7).staticcall(abi.encode(x, y, secret));
        require(answered);
    }
}

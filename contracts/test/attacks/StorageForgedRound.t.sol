// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IBeacon} from "../../src/interfaces/IBeacon.sol";
import {BlsBn254} from "../../src/libraries/BlsBn254.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {StorageFixture} from "../base/StorageFixture.sol";

/// @dev Someone posts a round of its own making, to choose what is asked.
contract StorageForgedRoundTest is StorageFixture {
    uint256 private constant ORDER =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    function testFuzz_no_other_key_signs(uint256 secret) public {
        secret = 1 + secret % (ORDER - 1);
        vm.assume(secret != uint256(sha256("aleph development beacon")) % ORDER);
        uint64 round = store.getChallenge(_issue(_committed())).round;
        (uint256 x, uint256 y) =
            BlsBn254.hashToPoint(abi.encodePacked(keccak256(abi.encodePacked(round))));
        (, bytes memory forged) = address(7).staticcall(abi.encode(x, y, secret));
        _refused(round, forged);
    }

    /// @dev Rounds that are known do not add up to one that is not.
    function test_signatures_of_other_rounds_are_of_no_use() public {
        uint64 round = store.getChallenge(_issue(_committed())).round;
        bytes memory before = BeaconSigner.sign(round - 1);
        bytes memory next = BeaconSigner.sign(round + 1);
        _refused(round, before);
        _refused(round, next);
        (, bytes memory sum) = address(6).staticcall(bytes.concat(before, next));
        _refused(round, sum);
    }

    /// @dev The number of a round is a hash of its signature, of which there is one: the other
    /// point that has its x, and the same point written otherwise, are refused.
    function test_a_round_has_one_number() public {
        uint64 round = store.getChallenge(_issue(_committed())).round;
        (uint256 x, uint256 y) = abi.decode(BeaconSigner.sign(round), (uint256, uint256));
        _refused(round, abi.encode(x, BlsBn254.P - y));
        _refused(round, abi.encode(x + BlsBn254.P, y));
        _refused(round, abi.encode(x, y + BlsBn254.P));
        _refused(round, bytes.concat(abi.encode(x, y), hex"00"));
        beacon.submit(round, abi.encode(x, y));
        // And is never another one afterwards.
        bytes32 randomness = beacon.randomness(round);
        beacon.submit(round, BeaconSigner.sign(round + 1));
        vm.assertEq(beacon.randomness(round), randomness);
    }

    function _refused(uint64 round, bytes memory signature) private {
        vm.expectRevert(abi.encodeWithSelector(IBeacon.InvalidSignature.selector, round));
        beacon.submit(round, signature);
        vm.assertEq(beacon.randomness(round), bytes32(0));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Beacons} from "../script/Beacons.sol";
import {vm} from "../script/Vm.sol";
import {DrandBeacon} from "../src/DrandBeacon.sol";
import {IBeacon} from "../src/interfaces/IBeacon.sol";
import {BlsBn254} from "../src/libraries/BlsBn254.sol";

/// @dev Calls the library from outside, so that its reverts can be expected and its gas limited.
contract Bls {
    function verify(uint256[4] memory key, bytes memory message, uint256 x, uint256 y)
        external
        view
        returns (bool)
    {
        return BlsBn254.verify(key, message, x, y);
    }

    function isValidKey(uint256[4] memory key) external view returns (bool) {
        return BlsBn254.isValidKey(key);
    }

    function hashToPoint(bytes memory message) external view returns (uint256, uint256) {
        return BlsBn254.hashToPoint(message);
    }

    function mapToPoint(uint256 u) external view returns (uint256, uint256) {
        return BlsBn254.mapToPoint(u);
    }
}

contract DrandBeaconTest {
    uint64 private constant GENESIS = 1_727_521_075;

    DrandBeacon private evmnet;
    DrandBeacon private development;
    Bls private bls;
    string private real;
    string private own;

    function setUp() public {
        vm.warp(1_800_000_000);
        evmnet = Beacons.evmnet();
        development = Beacons.development(GENESIS, 3);
        bls = new Bls();
        real = vm.readFile("test/fixtures/drand-evmnet.json");
        own = vm.readFile("test/fixtures/beacon-development.json");
    }

    // Rounds that drand published.

    function test_real_rounds_are_accepted_with_drands_randomness() public {
        for (uint256 i = 0; i < 5; ++i) {
            (uint64 round, bytes memory signature) = _round(real, i);
            bytes32 randomness = vm.parseJsonBytes32(real, _key(i, ".randomness"));
            vm.assertEq(evmnet.randomness(round), bytes32(0));
            vm.assertEq(evmnet.postedAt(round), 0);

            vm.expectEmit(address(evmnet));
            emit IBeacon.RoundPosted(round, randomness);
            evmnet.submit(round, signature);

            vm.assertEq(evmnet.randomness(round), randomness);
            vm.assertEq(evmnet.postedAt(round), block.timestamp);
        }
    }

    function test_the_keys_are_those_of_the_fixtures() public view {
        uint256[] memory key = vm.parseJsonUintArray(real, ".publicKey");
        uint256[] memory ownKey = vm.parseJsonUintArray(own, ".publicKey");
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(evmnet.publicKey()[i], key[i]);
            vm.assertEq(development.publicKey()[i], ownKey[i]);
        }
        vm.assertEq(evmnet.GENESIS(), vm.parseJsonUint(real, ".genesis"));
        vm.assertEq(evmnet.PERIOD(), vm.parseJsonUint(real, ".period"));
    }

    function test_a_development_chain_signs_with_a_key_of_its_own() public {
        for (uint256 i = 0; i < 5; ++i) {
            (uint64 round, bytes memory signature) = _round(own, i);
            development.submit(round, signature);
            vm.assertEq(development.randomness(round), sha256(signature));
        }
    }

    function test_posting_twice_changes_nothing() public {
        (uint64 round, bytes memory signature) = _round(real, 0);
        evmnet.submit(round, signature);
        uint64 postedAt = evmnet.postedAt(round);

        vm.warp(block.timestamp + 1 days);
        vm.recordLogs();
        evmnet.submit(round, signature);
        evmnet.submit(round, "anything");

        vm.assertEq(vm.getRecordedLogs().length, 0);
        vm.assertEq(evmnet.postedAt(round), postedAt);
    }

    // What is refused.

    function test_a_round_has_its_own_signature() public {
        (, bytes memory signature) = _round(real, 0);
        _refused(evmnet, 2, signature);
        (, signature) = _round(own, 0);
        _refused(evmnet, 1, signature);
    }

    function test_no_point_of_another_kind_is_a_signature() public {
        (uint64 round, bytes memory signature) = _round(real, 0);
        (uint256 x, uint256 y) = abi.decode(signature, (uint256, uint256));
        uint256 p = BlsBn254.P;

        _refused(evmnet, round, abi.encode(uint256(0), uint256(0)));
        _refused(evmnet, round, abi.encode(x, p - y));
        _refused(evmnet, round, abi.encode(x + p, y));
        _refused(evmnet, round, abi.encode(x, y + p));
        _refused(evmnet, round, abi.encode(x, y ^ 1));
        _refused(evmnet, round, abi.encode(uint256(1), uint256(2)));
        _refused(evmnet, round, "");
        _refused(evmnet, round, bytes.concat(signature, hex"00"));
        _refused(evmnet, round, abi.encode(x));
    }

    function testFuzz_a_changed_signature_is_refused(uint256 at, uint8 change) public {
        vm.assume(change != 0);
        (uint64 round, bytes memory signature) = _round(real, 3);
        at %= signature.length;
        signature[at] = bytes1(uint8(signature[at]) ^ change);
        _refused(evmnet, round, signature);
    }

    function test_a_key_is_a_point_of_g2_and_not_infinity() public {
        uint256[4] memory key = evmnet.publicKey();
        vm.assertTrue(bls.isValidKey(key));
        vm.assertFalse(bls.isValidKey{gas: 1_000_000}([key[0], key[1], key[2], key[3] ^ 1]));
        vm.assertFalse(bls.isValidKey{gas: 1_000_000}([key[1], key[0], key[3], key[2]]));
        // On the twist, but not in the subgroup.
        vm.assertFalse(
            bls.isValidKey{gas: 1_000_000}(
                [
                    uint256(1),
                    2,
                    0x2b76c179599bb92a963dac85546a005a777f7c13f6a7b75d5918b6b5808f5fde,
                    0x101f7278419308b95099eca02dcee0c5381f4d26d1d62313f057167f064101ce
                ]
            )
        );

        vm.expectRevert(DrandBeacon.InvalidPublicKey.selector);
        new DrandBeacon([uint256(0), 0, 0, 0], GENESIS, 3);
        vm.expectRevert(DrandBeacon.ZeroPeriod.selector);
        new DrandBeacon(key, GENESIS, 0);
    }

    /// @dev With too little gas the answer is an error and never a verdict.
    function testFuzz_a_lack_of_gas_is_no_verdict(uint256 gas_) public view {
        (uint64 round, bytes memory signature) = _round(real, 0);
        (uint256 x, uint256 y) = abi.decode(signature, (uint256, uint256));
        bytes memory message = abi.encodePacked(keccak256(abi.encodePacked(round)));
        gas_ %= 200_000;
        try bls.verify{gas: gas_}(evmnet.publicKey(), message, x, y) returns (bool verdict) {
            vm.assertTrue(verdict);
        } catch {}
    }

    function test_gas_of_a_verification() public {
        (uint64 round, bytes memory signature) = _round(real, 0);
        (uint256 x, uint256 y) = abi.decode(signature, (uint256, uint256));
        bytes memory message = abi.encodePacked(keccak256(abi.encodePacked(round)));
        bls.verify(evmnet.publicKey(), message, x, y);
        vm.snapshotGasLastCall("BlsBn254.verify");
    }

    // Hashing to the curve, against other implementations.

    function test_messages_hash_to_the_points_of_other_implementations() public view {
        (uint256 x, uint256 y) = bls.hashToPoint(vm.parseJsonBytes(real, ".hashToPoint.message"));
        vm.assertEq(x, vm.parseJsonUint(real, ".hashToPoint.x"));
        vm.assertEq(y, vm.parseJsonUint(real, ".hashToPoint.y"));
    }

    function test_the_map_at_its_odd_ends() public view {
        for (uint256 i = 0; i < 11; ++i) {
            string memory item = string.concat(".map[", vm.toString(i), "]");
            (uint256 x, uint256 y) =
                bls.mapToPoint(vm.parseJsonUint(own, string.concat(item, ".u")));
            vm.assertEq(x, vm.parseJsonUint(own, string.concat(item, ".x")));
            vm.assertEq(y, vm.parseJsonUint(own, string.concat(item, ".y")));
        }
    }

    function testFuzz_everything_maps_to_the_curve(uint256 u) public view {
        u %= BlsBn254.P;
        (uint256 x, uint256 y) = bls.mapToPoint(u);
        vm.assertTrue(BlsBn254.isOnCurve(x, y));
        vm.assertEq(u & 1, y & 1);
    }

    // When rounds are due.

    function test_the_first_round_at_a_time() public view {
        vm.assertEq(evmnet.roundAt(0), 1);
        vm.assertEq(evmnet.roundAt(GENESIS), 1);
        vm.assertEq(evmnet.roundAt(GENESIS + 1), 2);
        vm.assertEq(evmnet.roundAt(GENESIS + 3), 2);
        vm.assertEq(evmnet.roundAt(GENESIS + 4), 3);
    }

    function testFuzz_the_first_round_at_a_time(uint64 genesis, uint64 period, uint64 at) public {
        (genesis, period) = (genesis % 2 ** 40, 1 + period % 2 ** 32);
        at %= 2 ** 50;
        uint256 round = Beacons.development(genesis, period).roundAt(at);
        uint256 dueAt = genesis + (round - 1) * period;
        vm.assertGe(dueAt, at);
        if (round > 1) vm.assertTrue(dueAt - period < at);
    }

    function _refused(DrandBeacon beacon, uint64 round, bytes memory signature) private {
        vm.expectRevert(abi.encodeWithSelector(IBeacon.InvalidSignature.selector, round));
        beacon.submit(round, signature);
    }

    function _round(string memory fixture, uint256 i)
        private
        pure
        returns (uint64 round, bytes memory signature)
    {
        round = uint64(vm.parseJsonUint(fixture, _key(i, ".round")));
        signature = vm.parseJsonBytes(fixture, _key(i, ".signature"));
    }

    function _key(uint256 i, string memory field) private pure returns (string memory) {
        return string.concat(".rounds[", vm.toString(i), "]", field);
    }
}

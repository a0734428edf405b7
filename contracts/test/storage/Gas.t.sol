// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {StorageFixture} from "../base/StorageFixture.sol";

/// @dev What each step of a commitment's and a challenge's life costs, each as a transaction of its
/// own. Kept in snapshots/, as test/Gas.t.sol says.
contract StorageGasTest is StorageFixture {
    /// forge-config: default.isolate = true
    function test_gas_of_each_step() public {
        IStorageRegistry.Offer memory offer = _offer();
        bytes32 commitmentId = _commit(CONTENT, offer);
        vm.snapshotGasLastCall("StorageRegistry.commit");
        vm.prank(OTHER_OPERATOR);
        bytes32 otherId = store.commit(OTHER_NODE, CONTENT, offer);
        _toBorder();
        _issue(commitmentId);
        vm.snapshotGasLastCall("StorageRegistry.issueChallenge");
        uint256 failed = _issue(commitmentId);

        vm.warp(block.timestamp + BEACON_DELAY_S + 3);
        uint256 unasked = _issue(otherId);
        uint64 round = store.getChallenge(1).round;
        bytes memory signature = BeaconSigner.sign(round);
        beacon.submit(round, signature);
        vm.snapshotGasLastCall("DrandBeacon.submit");
        store.respond(1, _answer(1));
        vm.snapshotGasLastCall("StorageRegistry.respond, 5 of 12 leaves");
        vm.prank(OWNER);
        store.withdraw();
        vm.snapshotGasLastCall("StorageRegistry.withdraw");

        vm.prank(OPERATOR);
        store.renew(commitmentId, offer);
        vm.snapshotGasLastCall("StorageRegistry.renew");
        vm.prank(OPERATOR);
        store.remove(commitmentId);
        vm.snapshotGasLastCall("StorageRegistry.remove");
        vm.warp(_respondBy(failed) + 1);
        store.resolveChallenge(failed);
        vm.snapshotGasLastCall("StorageRegistry.resolveChallenge, fault");
        store.resolveChallenge(unasked);
        vm.snapshotGasLastCall("StorageRegistry.resolveChallenge, refund");
        store.close(commitmentId);
        vm.snapshotGasLastCall("StorageRegistry.close");
    }

    /// @dev The dearest answer there is but for larger contents.
    /// forge-config: default.isolate = true
    function test_gas_of_twenty_leaves_of_a_tebibyte() public {
        IStorageRegistry.Parameters memory parameters = _parameters();
        parameters.positions = 20;
        store.setParameters(parameters);
        // All leaves are the same, so that each level has one hash and every path is the same.
        bytes memory leaf = new bytes(512);
        for (uint256 i = 0; i < 512; ++i) {
            leaf[i] = 0x5a;
        }
        bytes memory one = leaf;
        bytes32 hash = sha256(bytes.concat(hex"00", leaf));
        for (uint256 level = 0; level < 31; ++level) {
            one = bytes.concat(one, hash);
            hash = sha256(bytes.concat(hex"01", hash, hash));
        }
        IStorageRegistry.Offer memory offer = _offer();
        (offer.root, offer.size) = (hash, 1 << 40);
        bytes32 commitmentId = _commit(CONTENT, offer);
        _toBorder();
        uint256 challengeId = _issue(commitmentId);
        _post(challengeId);
        bytes memory proof;
        for (uint256 i = 0; i < 20; ++i) {
            proof = bytes.concat(proof, one);
        }
        store.respond(challengeId, proof);
        vm.snapshotGasLastCall("StorageRegistry.respond, 20 leaves of 1 TiB");
    }
}

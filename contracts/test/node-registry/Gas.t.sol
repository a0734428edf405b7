// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev What a node's proof costs, each step a transaction of its own, with P256VERIFY as on Arbitrum
/// One. Kept in snapshots/, as test/Gas.t.sol says.
contract RegistryGasTest is RegistryFixture {
    /// forge-config: default.isolate = true
    /// forge-config: default.evm_version = "osaka"
    function test_gas_of_attestation() public {
        registry.approveRelease(_pcrDigest(), VERSION);
        vm.snapshotGasLastCall("NodeRegistry.approveRelease");
        _vote(0, nodeId, OPERATOR, _realKey());
        vm.snapshotGasLastCall("NodeRegistry.enrolKey, first voice");
        _vote(1, nodeId, OPERATOR, _realKey());
        vm.snapshotGasLastCall("NodeRegistry.enrolKey, last voice");
        _register(nodeId, OWNER, OPERATOR, _realKey());
        _requestChosen(".challenge");
        vm.snapshotGasLastCall("NodeRegistry.requestChallenge");
        _attest(nodeId, _realStatement("good"));
        vm.snapshotGasLastCall("NodeRegistry.attest, first time");
        _requestChosen(".nextChallenge");
        _attest(nodeId, _realStatement("next"));
        vm.snapshotGasLastCall("NodeRegistry.attest");
    }

    /// forge-config: default.isolate = true
    function test_gas_of_attestation_without_the_precompile() public {
        _realNode();
        _attest(nodeId, _realStatement("good"));
        vm.snapshotGasLastCall("NodeRegistry.attest, first time, without P256VERIFY");
    }
}

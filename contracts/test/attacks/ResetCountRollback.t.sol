// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A TPM's state is put back to what it was (a virtual machine's snapshot, a copied software TPM),
/// or a quote of an earlier boot is shown: the count of resets gives it away.
contract ResetCountRollbackAttack is RegistryFixture {
    function test_a_quote_of_an_earlier_boot_is_refused() public {
        _realNode();
        _requestChosen(".nextChallenge");
        _attest(nodeId, _realStatement("afterReset"));

        _requestChosen(".nextChallenge");
        Statement memory earlier = _realStatement("next");
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ResetCountWentBack.selector, 1, 2));
        _attest(nodeId, earlier);
        _attest(nodeId, _realStatement("afterReset"));
    }

    function testFuzz_the_count_never_falls(uint32 first, uint32 second) public {
        _madeNode();
        _madeAttestation(RELEASE, first);
        bytes32 challenge = _request(nodeId, OPERATOR);
        Statement memory statement = _answer(nodeId, challenge, RELEASE, second, SECRET);
        if (second < first) {
            vm.expectRevert(
                abi.encodeWithSelector(INodeRegistry.ResetCountWentBack.selector, second, first)
            );
        }
        _attest(nodeId, statement);
        uint256 kept = registry.getEnrolment(nodeId).resetCount;
        vm.assertEq(kept, second < first ? first : second);
    }

    /// @dev Registering anew does not make the registry forget; only a quorum can.
    function test_only_an_enrolment_forgets_the_count() public {
        _madeNode();
        _madeAttestation(RELEASE, 9);
        vm.prank(OWNER);
        registry.deregisterNode(nodeId);
        _register(nodeId, OWNER, OPERATOR, _keyOf(SECRET));
        Statement memory cleared = _answer(nodeId, _request(nodeId, OPERATOR), RELEASE, 0, SECRET);
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.ResetCountWentBack.selector, 0, 9));
        _attest(nodeId, cleared);

        _enrol(nodeId, OPERATOR, _keyOf(SECRET));
        _madeAttestation(RELEASE, 0);
        vm.assertTrue(registry.isAttested(nodeId, 0));
    }
}

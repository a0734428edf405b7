// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {TpmQuote} from "../../src/libraries/TpmQuote.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A real answer with anything changed in it.
contract MutatedQuoteAttack is RegistryFixture {
    Statement private good;

    function setUp() public override {
        super.setUp();
        _realNode();
        good = _realStatement("good");
    }

    function test_every_byte_counts() public {
        Statement memory statement = good;
        for (uint256 at = 0; at < statement.quote.length; ++at) {
            statement.quote[at] ^= bytes1(uint8(1 << (at % 8)));
            _refused(statement);
            statement.quote[at] ^= bytes1(uint8(1 << (at % 8)));
        }
        for (uint256 at = 0; at < 32; ++at) {
            bytes32 flip = bytes32(uint256(1) << (8 * at + at % 8));
            _refused(Statement(statement.quote, statement.r ^ flip, statement.s));
            _refused(Statement(statement.quote, statement.r, statement.s ^ flip));
        }
        // Unchanged, it is good.
        _attest(nodeId, statement);
    }

    function test_every_length_counts() public {
        bytes memory longer = bytes.concat(good.quote, new bytes(20));
        for (uint256 length = 0; length <= longer.length; ++length) {
            if (length == good.quote.length) continue;
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                cut[i] = longer[i];
            }
            _refused(Statement(cut, good.r, good.s));
        }
    }

    function testFuzz_random_bytes_are_refused(bytes calldata noise, bytes32 r, bytes32 s) public {
        _refused(Statement(noise, r, s));
    }

    function testFuzz_several_changes_are_refused(uint256 places, uint256 values) public {
        Statement memory statement = good;
        for (uint256 i = 0; i < 4; ++i) {
            statement.quote[uint8(places >> (8 * i)) % 145] = bytes1(uint8(values >> (8 * i)));
        }
        if (keccak256(statement.quote) != keccak256(good.quote)) _refused(statement);
    }

    /// @dev Refused, for one of the reasons that the registry has, and without a trace.
    function _refused(Statement memory statement) private {
        bytes memory call = abi.encodeCall(
            INodeRegistry.attest, (nodeId, statement.quote, statement.r, statement.s)
        );
        (bool taken, bytes memory answer) = address(registry).call(call);
        vm.assertFalse(taken);
        vm.assertTrue(_isOurs(bytes4(answer)));
        vm.assertFalse(registry.isAttested(nodeId, type(uint64).max));
    }

    function _isOurs(bytes4 selector) private pure returns (bool) {
        return selector == INodeRegistry.WrongExtraData.selector
            || selector == INodeRegistry.ReleaseNotApproved.selector
            || selector == INodeRegistry.InvalidQuoteSignature.selector
            || selector == TpmQuote.WrongQuoteSize.selector
            || selector == TpmQuote.NotGeneratedByTpm.selector
            || selector == TpmQuote.NotAQuote.selector
            || selector == TpmQuote.WrongFieldSize.selector
            || selector == TpmQuote.WrongNameAlgorithm.selector
            || selector == TpmQuote.NeitherYesNorNo.selector
            || selector == TpmQuote.WrongPcrSelection.selector;
    }
}

/// @dev The same with the precompile.
/// forge-config: default.evm_version = "osaka"
contract MutatedQuoteByPrecompileAttack is MutatedQuoteAttack {}

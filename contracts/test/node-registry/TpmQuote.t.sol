// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {TpmQuote} from "../../src/libraries/TpmQuote.sol";
import {RegistryFixture} from "../base/RegistryFixture.sol";

/// @dev A call into the library that can be caught.
contract Parser {
    function parse(bytes calldata quote) external pure returns (TpmQuote.Quote memory) {
        return TpmQuote.parse(quote);
    }
}

/// @dev The parser of quotes: what a TPM made, right and wrong, and what nobody made.
contract TpmQuoteTest is RegistryFixture {
    Parser private parser;

    function setUp() public override {
        super.setUp();
        parser = new Parser();
    }

    function test_real_quotes_are_read() public view {
        TpmQuote.Quote memory quote = parser.parse(_realStatement("good").quote);
        vm.assertEq(quote.extraData, vm.parseJsonBytes32(json, ".extraData"));
        vm.assertEq(quote.pcrDigest, _pcrDigest());
        vm.assertEq(uint256(quote.resetCount), 1);

        quote = parser.parse(_realStatement("afterReset").quote);
        vm.assertEq(quote.pcrDigest, _pcrDigest());
        vm.assertEq(uint256(quote.resetCount), 2);

        quote = parser.parse(_realStatement("otherRelease").quote);
        vm.assertEq(quote.pcrDigest, vm.parseJsonBytes32(json, ".otherPcrDigest"));
    }

    /// @dev All of these a TPM signs with the very same key.
    function test_other_real_statements_are_refused() public {
        _refusedReal("time", abi.encodeWithSelector(TpmQuote.WrongQuoteSize.selector, 134));
        _refusedReal(
            "certification", abi.encodeWithSelector(TpmQuote.NotAQuote.selector, bytes2(0x8017))
        );
        _refusedReal("twoBanks", abi.encodeWithSelector(TpmQuote.WrongQuoteSize.selector, 151));
        _refusedReal(
            "shortExtraData", abi.encodeWithSelector(TpmQuote.WrongQuoteSize.selector, 144)
        );
        _refusedReal(
            "otherPcrs",
            abi.encodeWithSelector(
                TpmQuote.WrongPcrSelection.selector, bytes10(0x00000001000b03951a00)
            )
        );
        _refusedReal(
            "otherBank",
            abi.encodeWithSelector(
                TpmQuote.WrongPcrSelection.selector, bytes10(0x00000001000403101a00)
            )
        );
    }

    function test_every_fixed_byte_is_compared() public view {
        bytes memory quote = _realStatement("good").quote;
        _refused(_with(quote, 0, 0x00), TpmQuote.NotGeneratedByTpm.selector);
        _refused(_with(quote, 3, 0x48), TpmQuote.NotGeneratedByTpm.selector);
        _refused(_with(quote, 5, 0x19), TpmQuote.NotAQuote.selector);
        _refused(_with(quote, 6, 0x01), TpmQuote.WrongFieldSize.selector);
        _refused(_with(quote, 7, 0x24), TpmQuote.WrongFieldSize.selector);
        _refused(_with(quote, 9, 0x0c), TpmQuote.WrongNameAlgorithm.selector);
        _refused(_with(quote, 43, 0x1f), TpmQuote.WrongFieldSize.selector);
        _refused(_with(quote, 92, 0x02), TpmQuote.NeitherYesNorNo.selector);
        _refused(_with(quote, 104, 0x02), TpmQuote.WrongPcrSelection.selector);
        _refused(_with(quote, 106, 0x04), TpmQuote.WrongPcrSelection.selector);
        _refused(_with(quote, 107, 0x04), TpmQuote.WrongPcrSelection.selector);
        _refused(_with(quote, 110, 0x80), TpmQuote.WrongPcrSelection.selector);
        _refused(_with(quote, 112, 0x30), TpmQuote.WrongFieldSize.selector);
        parser.parse(_with(quote, 92, 0x00));
    }

    /// @dev Every value of every byte: the parser takes exactly those that leave the form intact, and
    /// reads from them exactly what they say.
    function test_every_mutation_of_every_byte() public view {
        bytes memory quote = _realStatement("good").quote;
        for (uint256 at = 0; at < quote.length; ++at) {
            // Calls of their own, for memory is never given back within one.
            this.checkEveryValueOf(quote, at);
        }
    }

    function checkEveryValueOf(bytes memory quote, uint256 at) external view {
        bytes1 before = quote[at];
        for (uint256 flip = 1; flip < 256; ++flip) {
            quote[at] = before ^ bytes1(uint8(flip));
            _checkAgainstTheTable(quote);
        }
    }

    function test_every_length_but_one_is_refused() public {
        bytes memory quote = bytes.concat(_realStatement("good").quote, new bytes(400));
        for (uint256 length = 0; length <= 512; ++length) {
            if (length == 145) continue;
            _refused(
                _first(quote, length),
                abi.encodeWithSelector(TpmQuote.WrongQuoteSize.selector, length)
            );
        }
    }

    function testFuzz_random_bytes_are_refused_by_name(bytes calldata noise) public view {
        _refusedByName(noise);
    }

    /// @dev Of the right length, so that the later checks have their turn.
    function testFuzz_noise_of_the_right_length(bytes32[5] memory noise, uint256 keep) public view {
        bytes memory quote = _first(abi.encodePacked(noise), 145);
        bytes memory real = _realStatement("good").quote;
        // A true beginning of any length, then noise.
        for (uint256 i = 0; i < keep % 101; ++i) {
            quote[i] = real[i];
        }
        _refusedByName(quote);
    }

    /// @dev Noise in all the fields that may hold anything: read as it stands.
    function testFuzz_any_values_are_read_back(
        bytes32 extraData,
        bytes32 pcrDigest,
        uint32 resetCount
    ) public view {
        TpmQuote.Quote memory quote = parser.parse(_quote(extraData, pcrDigest, resetCount));
        vm.assertEq(quote.extraData, extraData);
        vm.assertEq(quote.pcrDigest, pcrDigest);
        vm.assertEq(uint256(quote.resetCount), resetCount);
    }

    /// @dev Several bytes of a real quote at once.
    function testFuzz_mutated_quotes_follow_the_table(uint256 places, uint256 values) public view {
        bytes memory quote = _realStatement("good").quote;
        for (uint256 i = 0; i < 8; ++i) {
            quote[uint8(places >> (8 * i)) % 145] = bytes1(uint8(values >> (8 * i)));
        }
        _checkAgainstTheTable(quote);
    }

    /// @dev The table of the library's documentation, once more, as a template and a mask.
    function _checkAgainstTheTable(bytes memory quote) private view {
        (bool taken, bytes memory answer) =
            address(parser).staticcall(abi.encodeCall(Parser.parse, (quote)));
        vm.assertTrue(taken == _hasTheForm(quote));
        if (!taken) {
            vm.assertTrue(_isOurs(bytes4(answer)));
            return;
        }
        TpmQuote.Quote memory read = abi.decode(answer, (TpmQuote.Quote));
        vm.assertEq(read.extraData, _wordAt(quote, 44));
        vm.assertEq(read.pcrDigest, _wordAt(quote, 113));
        vm.assertEq(uint256(read.resetCount), uint256(_wordAt(quote, 84)) >> 224);
    }

    function _hasTheForm(bytes memory quote) private pure returns (bool) {
        bytes32 start = _wordAt(quote, 0);
        bytes32 tail = _wordAt(quote, 92);
        return bytes10(start) == bytes10(0xff54434780180022000b)
            && bytes2(_wordAt(quote, 42)) == 0x0020 && uint8(bytes1(tail)) <= 1
            && bytes12(tail << 72) == bytes12(0x00000001000b03101a000020);
    }

    function _wordAt(bytes memory quote, uint256 offset) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(quote, 32), offset))
        }
    }

    function _refusedByName(bytes memory noise) private view {
        (bool taken, bytes memory answer) =
            address(parser).staticcall(abi.encodeCall(Parser.parse, (noise)));
        vm.assertFalse(taken);
        vm.assertTrue(_isOurs(bytes4(answer)));
    }

    function _isOurs(bytes4 selector) private pure returns (bool) {
        return selector == TpmQuote.WrongQuoteSize.selector
            || selector == TpmQuote.NotGeneratedByTpm.selector
            || selector == TpmQuote.NotAQuote.selector
            || selector == TpmQuote.WrongFieldSize.selector
            || selector == TpmQuote.WrongNameAlgorithm.selector
            || selector == TpmQuote.NeitherYesNorNo.selector
            || selector == TpmQuote.WrongPcrSelection.selector;
    }

    function _refusedReal(string memory name, bytes memory error) private {
        _refused(_realStatement(name).quote, error);
    }

    function _refused(bytes memory quote, bytes memory error) private {
        vm.expectRevert(error);
        parser.parse(quote);
    }

    function _refused(bytes memory quote, bytes4 selector) private view {
        (bool taken, bytes memory answer) =
            address(parser).staticcall(abi.encodeCall(Parser.parse, (quote)));
        vm.assertFalse(taken);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(selector));
    }

    function _with(bytes memory quote, uint256 at, uint8 value)
        private
        pure
        returns (bytes memory changed)
    {
        changed = bytes.concat(quote);
        changed[at] = bytes1(value);
    }

    function _first(bytes memory all, uint256 length) private pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i = 0; i < length; ++i) {
            part[i] = all[i];
        }
    }
}

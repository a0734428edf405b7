// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../script/Vm.sol";
import {DomainName} from "../src/libraries/DomainName.sol";

/// @dev The parser reads a name once, byte by byte. The other one here takes it apart into labels
/// and asks each rule of its own, so that the two have no line in common.
contract DomainNameTest {
    string private constant ALPHABET = "abz019--..xnAZ_ /\xc3\xa9\x00`{@[:";

    function test_names() public view {
        _assertValid("a.b", true);
        _assertValid("example.org", true);
        _assertValid("sub.example.org", true);
        _assertValid("xn--mnchen-3ya.de", true);
        _assertValid("example.xn--p1ai", true);
        _assertValid("1.2.3.4a", true);
        _assertValid("1and1.com", true);
        _assertValid("a--b.org", true);
        _assertValid(string.concat(_repeat("a", 63), ".org"), true);
    }

    function test_what_is_no_name() public view {
        _assertValid("", false);
        _assertValid("org", false);
        _assertValid(".", false);
        _assertValid("..", false);
        _assertValid(".org", false);
        _assertValid("example.org.", false);
        _assertValid("example..org", false);
        _assertValid("Example.org", false);
        _assertValid("example.ORG", false);
        _assertValid("-example.org", false);
        _assertValid("example-.org", false);
        _assertValid("example.-org", false);
        _assertValid("example.org-", false);
        _assertValid("_aleph.example.org", false);
        _assertValid("*.example.org", false);
        _assertValid("exa mple.org", false);
        _assertValid(" example.org", false);
        _assertValid("example.org\x00", false);
        _assertValid("example.org\n", false);
        _assertValid("m\xc3\xbcnchen.de", false);
        _assertValid("127.0.0.1", false);
        _assertValid("example.1-2", false);
        _assertValid(string.concat(_repeat("a", 64), ".org"), false);
    }

    /// @dev Four labels of 62 and a last one: 252 + 1, then one more.
    function test_a_name_has_253_bytes_at_most() public view {
        string memory label = string.concat(_repeat("a", 62), ".");
        string memory name = string.concat(label, label, label, label, "b");
        vm.assertEq(bytes(name).length, 253);
        _assertValid(name, true);
        _assertValid(string.concat(name, "c"), false);
    }

    /// @dev Any bytes at all: nearly always no name.
    function testFuzz_any_bytes(bytes calldata text) public pure {
        vm.assertTrue(_parse(text) == _isNameOtherwise(text));
    }

    /// @dev Bytes of which many are of names: about as often a name as not.
    function testFuzz_nearly_names(bytes32 seed, uint8 sizeBytes) public view {
        bytes memory text = new bytes(sizeBytes % 12);
        bytes memory alphabet = bytes(ALPHABET);
        for (uint256 i = 0; i < text.length; ++i) {
            // Half of the time from the first eleven, which are of names.
            uint256 index = uint8(seed[i]);
            text[i] = alphabet[index % (index < 200 ? 11 : alphabet.length)];
        }
        vm.assertTrue(this.parse(text) == this.isNameOtherwise(text), string(text));
    }

    /// @dev Names made of labels of any sizes, around the bounds.
    function testFuzz_sizes(uint8[5] calldata sizes, uint256 labels) public view {
        string memory name = _repeat("a", sizes[0] % 66);
        for (uint256 i = 1; i < labels % 6; ++i) {
            name = string.concat(name, ".", _repeat("b", sizes[i] % 66));
        }
        vm.assertTrue(this.parse(bytes(name)) == this.isNameOtherwise(bytes(name)), name);
    }

    /// @dev What is accepted has one spelling: no other case, no dot at its end.
    function testFuzz_one_spelling(bytes32 seed, uint8 position) public view {
        bytes memory name = "some-name.example.org";
        uint256 at = position % name.length;
        bytes1 char = seed[0];
        if (char == name[at]) return;
        name[at] = char;
        bool isValid = this.parse(name);
        if (char >= "A" && char <= "Z") vm.assertFalse(isValid);
        if (char >= "a" && char <= "z") vm.assertTrue(isValid);
        vm.assertFalse(this.parse(bytes.concat(name, ".")));
    }

    function parse(bytes calldata text) external pure returns (bool) {
        return _parse(text);
    }

    function isNameOtherwise(bytes calldata text) external pure returns (bool) {
        return _isNameOtherwise(text);
    }

    function _parse(bytes calldata text) private pure returns (bool) {
        return DomainName.isValid(text);
    }

    function _isNameOtherwise(bytes calldata text) private pure returns (bool) {
        if (text.length == 0 || text.length > 253) return false;
        uint256 dots;
        for (uint256 i = 0; i < text.length; ++i) {
            if (text[i] == 0x2e) ++dots;
        }
        if (dots == 0) return false;
        uint256 from;
        for (uint256 label = 0; label <= dots; ++label) {
            uint256 until = from;
            while (until < text.length && text[until] != 0x2e) ++until;
            if (!_isLabel(text[from:until])) return false;
            if (label == dots) return _hasAny(text[from:until], "abcdefghijklmnopqrstuvwxyz");
            from = until + 1;
        }
        return false;
    }

    function _isLabel(bytes calldata label) private pure returns (bool) {
        if (label.length < 1 || label.length > 63) return false;
        if (label[0] == 0x2d || label[label.length - 1] == 0x2d) return false;
        for (uint256 i = 0; i < label.length; ++i) {
            if (!_hasAny(label[i:i + 1], "abcdefghijklmnopqrstuvwxyz0123456789-")) return false;
        }
        return true;
    }

    function _hasAny(bytes calldata text, bytes memory wanted) private pure returns (bool) {
        for (uint256 i = 0; i < text.length; ++i) {
            for (uint256 j = 0; j < wanted.length; ++j) {
                if (text[i] == wanted[j]) return true;
            }
        }
        return false;
    }

    function _assertValid(string memory name, bool expected) private view {
        vm.assertTrue(this.parse(bytes(name)) == expected, name);
        vm.assertTrue(this.isNameOtherwise(bytes(name)) == expected, name);
    }

    function _repeat(string memory char, uint256 count) private pure returns (string memory all) {
        for (uint256 i = 0; i < count; ++i) {
            all = string.concat(all, char);
        }
    }
}

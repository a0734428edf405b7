// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The one spelling of a domain name
/// @dev Names are compared by their hash, so each has exactly one spelling: lower case, no dot at
/// the end, labels of letters, digits and hyphens. International names come as punycode; whether
/// that decodes to something sensible, or looks like another name, is not for the chain to say.
library DomainName {
    uint256 private constant NAME_BYTES_MAX = 253;
    uint256 private constant LABEL_BYTES_MAX = 63;

    /// @dev Two labels at least, none begins or ends with a hyphen, and the last has a letter, or
    /// an IPv4 address would be a name.
    function isValid(bytes calldata name) internal pure returns (bool) {
        if (name.length > NAME_BYTES_MAX) return false;
        bool hasDot;
        bool hasLetter;
        uint256 labelBytes;
        bytes1 last = ".";
        for (uint256 i = 0; i < name.length; ++i) {
            bytes1 char = name[i];
            if (char == ".") {
                if (last == "." || last == "-") return false;
                hasDot = true;
                hasLetter = false;
                labelBytes = 0;
            } else {
                if (!_isLetter(char) && !_isDigit(char) && (char != "-" || last == ".")) {
                    return false;
                }
                if (++labelBytes > LABEL_BYTES_MAX) return false;
                hasLetter = hasLetter || _isLetter(char);
            }
            last = char;
        }
        return hasDot && hasLetter && last != "-";
    }

    function _isLetter(bytes1 char) private pure returns (bool) {
        return char >= "a" && char <= "z";
    }

    function _isDigit(bytes1 char) private pure returns (bool) {
        return char >= "0" && char <= "9";
    }
}

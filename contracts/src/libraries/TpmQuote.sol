// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Reading what a TPM says about its PCRs
/// @notice A quote is a TPMS_ATTEST (Trusted Platform Module Library, Part 2, section 10.12) that a
/// TPM makes and signs itself. In general most of its fields vary in size. Of the quotes that this
/// network takes, none does: the key that signs is named by SHA-256, the caller's data and the PCR
/// digest are SHA-256, and one bank of 24 PCRs is selected. So there is one layout and one length:
///
/// | offset | bytes | field | taken |
/// |---|---|---|---|
/// | 0 | 4 | magic | TPM_GENERATED_VALUE, which a TPM lets no one else sign |
/// | 4 | 2 | type | TPM_ST_ATTEST_QUOTE |
/// | 6 | 2 + 34 | qualifiedSigner | a name by SHA-256, any |
/// | 42 | 2 + 32 | extraData | any: returned |
/// | 76 | 8 | clockInfo.clock | any |
/// | 84 | 4 | clockInfo.resetCount | any: returned |
/// | 88 | 4 | clockInfo.restartCount | any |
/// | 92 | 1 | clockInfo.safe | 0 or 1 |
/// | 93 | 8 | firmwareVersion | any |
/// | 101 | 4 + 6 | attested.quote.pcrSelect | PCRs 4, 9, 11 and 12 of the SHA-256 bank |
/// | 111 | 2 + 32 | attested.quote.pcrDigest | any: returned |
///
/// Numbers are big-endian; a field in two parts begins with its size (for the selection, the count).
/// @dev The name of the signer is not compared: the signature itself says whose key it was.
library TpmQuote {
    /// @notice The length of every quote that is taken.
    uint256 internal constant SIZE_BYTES = 145;

    /// @dev TPM_GENERATED_VALUE: 0xff and "TCG".
    bytes4 private constant GENERATED = 0xff544347;

    /// @dev TPM_ST_ATTEST_QUOTE.
    bytes2 private constant ATTEST_QUOTE = 0x8018;

    /// @dev TPM_ALG_SHA256, the algorithm that a name begins with.
    bytes2 private constant SHA256 = 0x000b;

    uint256 private constant NAME_BYTES = 34;
    uint256 private constant DIGEST_BYTES = 32;

    /// @dev One TPMS_PCR_SELECTION: count 1, TPM_ALG_SHA256, three bytes of select, and in them, least
    /// significant bit first, PCR 4 | PCRs 9, 11, 12 | nothing.
    bytes10 private constant SELECTION = 0x00000001000b03101a00;

    /// @notice What is read from a quote.
    /// @param extraData What the caller had the TPM sign along.
    /// @param pcrDigest SHA-256 over the values of the selected PCRs in ascending order.
    /// @param resetCount How often the TPM was reset. True for keys of the endorsement hierarchy; for
    /// others the TPM disguises it.
    struct Quote {
        bytes32 extraData;
        bytes32 pcrDigest;
        uint32 resetCount;
    }

    /// @notice No quote of this network has this length.
    error WrongQuoteSize(uint256 sizeBytes);

    /// @notice The bytes do not begin with the mark of a TPM's own statements.
    error NotGeneratedByTpm(bytes4 magic);

    /// @notice A TPM made it, but it is another statement than a quote.
    error NotAQuote(bytes2 statementType);

    /// @notice A field has another size than this network's quotes.
    error WrongFieldSize(uint256 offset, uint256 sizeBytes);

    /// @notice The key that signed is named by another algorithm than SHA-256.
    error WrongNameAlgorithm(bytes2 algorithm);

    /// @notice A yes-or-no field is neither.
    error NeitherYesNorNo(uint8 value);

    /// @notice Other PCRs, or other banks, are selected.
    error WrongPcrSelection(bytes10 selection);

    /// @notice Reads a quote; reverts for whatever is not exactly one.
    /// @dev Whether it is genuine is for its signature to say.
    function parse(bytes calldata quote) internal pure returns (Quote memory) {
        require(quote.length == SIZE_BYTES, WrongQuoteSize(quote.length));
        require(bytes4(quote[0:4]) == GENERATED, NotGeneratedByTpm(bytes4(quote[0:4])));
        require(bytes2(quote[4:6]) == ATTEST_QUOTE, NotAQuote(bytes2(quote[4:6])));
        _checkSize(quote, 6, NAME_BYTES);
        require(bytes2(quote[8:10]) == SHA256, WrongNameAlgorithm(bytes2(quote[8:10])));
        _checkSize(quote, 42, DIGEST_BYTES);
        require(uint8(quote[92]) <= 1, NeitherYesNorNo(uint8(quote[92])));
        bytes10 selection = bytes10(quote[101:111]);
        require(selection == SELECTION, WrongPcrSelection(selection));
        _checkSize(quote, 111, DIGEST_BYTES);

        return Quote({
            extraData: bytes32(quote[44:76]),
            pcrDigest: bytes32(quote[113:145]),
            resetCount: uint32(bytes4(quote[84:88]))
        });
    }

    function _checkSize(bytes calldata quote, uint256 offset, uint256 sizeBytes) private pure {
        uint256 found = uint16(bytes2(quote[offset:offset + 2]));
        require(found == sizeBytes, WrongFieldSize(offset, found));
    }
}

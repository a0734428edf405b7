// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title BLS signatures on BN254, with signatures in G1 and public keys in G2
/// @notice The scheme that drand calls `bls-bn254-unchained-on-g1`. Messages are hashed to G1 as
/// RFC 9380 says: expand_message_xmd with Keccak-256, then the map of Shallue and van de Woestijne,
/// both in section 6.6.1 and appendix F.1.
/// @dev A point of G1 is x, y. A point of G2 is four words in the order of EIP-197: the imaginary
/// part of x, its real part, then y likewise. This is how drand serialises them, too.
library BlsBn254 {
    /// @notice A precompile did not answer: too little gas was left for it.
    error PrecompileFailed(uint256 precompile);

    /// @dev The field's prime.
    uint256 internal constant P =
        0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;

    bytes32 private constant DST_HEAD = "BLS_SIG_BN254G1_XMD:KECCAK-256_S";
    bytes11 private constant DST_TAIL = "VDW_RO_NUL_";
    uint8 private constant DST_BYTES = 43;
    /// @dev What expand_message_xmd makes: 48 bytes for each of two field elements.
    uint16 private constant EXPANDED_BYTES = 96;

    uint256 private constant TWO_128 = 1 << 128;
    /// @dev 2^256 modulo the prime.
    uint256 private constant TWO_256 =
        0x0e0a77c19a07df2f666ea36f7879462c0a78eb28f5c70b3dd35d438dc58f0d9d;
    /// @dev (P + 1) / 4: this power of a square is its root, since P is 3 modulo 4.
    uint256 private constant ROOT_EXPONENT =
        0x0c19139cb84c680a6e14116da060561765e05aa45a1c72a34f082305b61f3f52;

    // The map's constants for y^2 = x^3 + 3 with Z = 1; g(Z) = 4.

    uint256 private constant C1 = 4;
    /// @dev -Z / 2
    uint256 private constant C2 =
        0x183227397098d014dc2822db40c0ac2ecbc0b548b438e5469e10460b6c3e7ea3;
    /// @dev The even root of -g(Z) * 3 * Z^2.
    uint256 private constant C3 = 0x16789af3a83522eb353c98fc6b36d713d5d8d1cc5dffffffa;
    /// @dev -4 * g(Z) / (3 * Z^2)
    uint256 private constant C4 =
        0x10216f7ba065e00de81ac1e7808072c9dd2b2385cd7b438469602eb24829a9bd;

    // The generator of G2, and the negative of its y.

    uint256 private constant G2_X_IM =
        0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2;
    uint256 private constant G2_X_RE =
        0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed;
    uint256 private constant G2_NEG_Y_IM =
        0x275dc4a288d1afb3cbb1ac09187524c7db36395df7be3b99e673b13a075a65ec;
    uint256 private constant G2_NEG_Y_RE =
        0x1d9befcd05a5323e6da4d435f3b617cdb3af83285c2df711ef39c01571827f9d;

    /// @dev Whether (x, y) is the key's signature of this message. The key must be a valid one.
    function verify(uint256[4] memory key, bytes memory message, uint256 x, uint256 y)
        internal
        view
        returns (bool)
    {
        // G1 has a prime order and no cofactor: each point of the curve but infinity is good.
        if (!isOnCurve(x, y)) return false;
        (uint256 hashX, uint256 hashY) = hashToPoint(message);
        (bool answered, bool isOne) = _pairing(
            [x, y, G2_X_IM, G2_X_RE, G2_NEG_Y_IM, G2_NEG_Y_RE],
            [hashX, hashY, key[0], key[1], key[2], key[3]]
        );
        // All points are known to be good, so only gas can have been missing.
        require(answered, PrecompileFailed(8));
        return isOne;
    }

    /// @dev Whether this is a point of G2 other than infinity. The precompile checks curve and
    /// subgroup; it takes all the gas that it is given when they are wrong, so this is for
    /// constructors.
    function isValidKey(uint256[4] memory key) internal view returns (bool) {
        if (key[0] | key[1] | key[2] | key[3] == 0) return false;
        // A pair of opposite factors is 1 for every point.
        (bool answered, bool isOne) = _pairing(
            [1, 2, key[0], key[1], key[2], key[3]], [1, P - 2, key[0], key[1], key[2], key[3]]
        );
        return answered && isOne;
    }

    /// @dev False for infinity and for coordinates that are not reduced.
    function isOnCurve(uint256 x, uint256 y) internal pure returns (bool) {
        return x < P && y < P && mulmod(y, y, P) == _curve(x);
    }

    /// @dev RFC 9380's hash_to_curve.
    function hashToPoint(bytes memory message) internal view returns (uint256 x, uint256 y) {
        (uint256 u0, uint256 u1) = _hashToField(message);
        uint256[4] memory input;
        (input[0], input[1]) = mapToPoint(u0);
        (input[2], input[3]) = mapToPoint(u1);

        bool answered;
        assembly ("memory-safe") {
            answered := staticcall(gas(), 6, input, 0x80, input, 0x40)
        }
        require(answered, PrecompileFailed(6));
        return (input[0], input[1]);
    }

    /// @dev RFC 9380's map_to_curve, appendix F.1. The names of its steps are the RFC's. A value is
    /// a square if the square of its supposed root is the value, so the root comes for free.
    function mapToPoint(uint256 u) internal view returns (uint256 x, uint256 y) {
        uint256 tv1 = mulmod(mulmod(u, u, P), C1, P);
        uint256 tv2 = addmod(1, tv1, P);
        tv1 = addmod(1, P - tv1, P);
        uint256 tv3 = _power(mulmod(tv1, tv2, P), P - 2);
        uint256 tv4 = mulmod(mulmod(mulmod(u, tv1, P), tv3, P), C3, P);

        bool isSquare;
        x = addmod(C2, P - tv4, P);
        (y, isSquare) = _root(_curve(x));
        if (!isSquare) {
            x = addmod(C2, tv4, P);
            (y, isSquare) = _root(_curve(x));
        }
        if (!isSquare) {
            x = mulmod(mulmod(tv2, tv2, P), tv3, P);
            x = addmod(mulmod(mulmod(x, x, P), C4, P), 1, P);
            // One of the three is a square, whatever u is.
            (y,) = _root(_curve(x));
        }
        // No point of the curve has y = 0: its order is odd.
        if (u & 1 != y & 1) y = P - y;
    }

    /// @dev RFC 9380's hash_to_field for two elements. Keccak-256 absorbs 136 bytes at a time.
    function _hashToField(bytes memory message) private pure returns (uint256 u0, uint256 u1) {
        bytes memory suffix = abi.encodePacked(DST_HEAD, DST_TAIL, DST_BYTES);
        bytes32 b0 =
            keccak256(abi.encodePacked(new bytes(136), message, EXPANDED_BYTES, uint8(0), suffix));
        bytes32 b1 = keccak256(abi.encodePacked(b0, uint8(1), suffix));
        bytes32 b2 = keccak256(abi.encodePacked(b0 ^ b1, uint8(2), suffix));
        bytes32 b3 = keccak256(abi.encodePacked(b0 ^ b2, uint8(3), suffix));
        // The second block's halves end the first element and begin the second.
        u0 = addmod(mulmod(uint256(b1), TWO_128, P), uint256(b2) >> 128, P);
        u1 = addmod(mulmod(uint256(b2) % TWO_128, TWO_256, P), uint256(b3), P);
    }

    /// @dev x^3 + 3
    function _curve(uint256 x) private pure returns (uint256) {
        return addmod(mulmod(mulmod(x, x, P), x, P), 3, P);
    }

    function _root(uint256 square) private view returns (uint256 root, bool isSquare) {
        root = _power(square, ROOT_EXPONENT);
        isSquare = mulmod(root, root, P) == square;
    }

    function _power(uint256 base, uint256 exponent) private view returns (uint256 result) {
        bool answered;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, 0x20)
            mstore(add(input, 0x20), 0x20)
            mstore(add(input, 0x40), 0x20)
            mstore(add(input, 0x60), base)
            mstore(add(input, 0x80), exponent)
            mstore(add(input, 0xa0), P)
            answered := staticcall(gas(), 5, input, 0xc0, 0, 0x20)
            result := mload(0)
        }
        require(answered, PrecompileFailed(5));
    }

    /// @dev Whether the product of two pairings is one; unanswered for bad points and lack of gas.
    function _pairing(uint256[6] memory first, uint256[6] memory second)
        private
        view
        returns (bool answered, bool isOne)
    {
        uint256[12] memory input;
        for (uint256 i = 0; i < 6; ++i) {
            input[i] = first[i];
            input[i + 6] = second[i];
        }
        assembly ("memory-safe") {
            answered := staticcall(gas(), 8, input, 0x180, 0, 0x20)
            isOne := and(answered, eq(mload(0), 1))
        }
    }
}

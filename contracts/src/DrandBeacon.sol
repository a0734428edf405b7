// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBeacon} from "./interfaces/IBeacon.sol";
import {BlsBn254} from "./libraries/BlsBn254.sol";

/// @title DrandBeacon
/// @notice See {IBeacon}. Verifies rounds of drand's `evmnet`, or of any beacon of that scheme.
/// @dev Belongs to nobody and never changes: who wants another beacon deploys another contract.
/// A round's message is the Keccak-256 of its number (8 bytes, big-endian); its randomness is the
/// SHA-256 of the signature, as drand publishes it.
contract DrandBeacon is IBeacon {
    /// @dev `postedAt` is Unix time in seconds.
    struct Posted {
        bytes32 randomness;
        uint64 postedAt;
    }

    /// @notice When round 1 is due, Unix time in seconds.
    uint64 public immutable GENESIS;

    /// @notice How long after a round the next one is due, in seconds.
    uint64 public immutable PERIOD;

    uint256 private immutable KEY_X_IM;
    uint256 private immutable KEY_X_RE;
    uint256 private immutable KEY_Y_IM;
    uint256 private immutable KEY_Y_RE;

    mapping(uint64 round => Posted) private _rounds;

    /// @notice The public key is no point of G2.
    error InvalidPublicKey();

    /// @notice Rounds need time between them.
    error ZeroPeriod();

    /// @param key The beacon's public key in G2: x and y, the imaginary part first, as drand's
    /// `public_key` has them.
    /// @param genesis When round 1 is due, Unix time in seconds.
    /// @param period Seconds between rounds.
    constructor(uint256[4] memory key, uint64 genesis, uint64 period) {
        require(BlsBn254.isValidKey(key), InvalidPublicKey());
        require(period != 0, ZeroPeriod());
        (KEY_X_IM, KEY_X_RE, KEY_Y_IM, KEY_Y_RE) = (key[0], key[1], key[2], key[3]);
        (GENESIS, PERIOD) = (genesis, period);
    }

    /// @inheritdoc IBeacon
    function submit(uint64 round, bytes calldata signature) external {
        Posted storage posted = _rounds[round];
        // Posters race, and all but the first should lose little.
        if (posted.postedAt != 0) return;
        require(_isSignature(round, signature), InvalidSignature(round));

        posted.randomness = sha256(signature);
        posted.postedAt = uint64(block.timestamp);

        emit RoundPosted(round, posted.randomness);
    }

    /// @inheritdoc IBeacon
    function randomness(uint64 round) external view returns (bytes32) {
        return _rounds[round].randomness;
    }

    /// @inheritdoc IBeacon
    function postedAt(uint64 round) external view returns (uint64) {
        return _rounds[round].postedAt;
    }

    /// @inheritdoc IBeacon
    function roundAt(uint64 timestamp) external view returns (uint64) {
        if (timestamp <= GENESIS) return 1;
        return (timestamp - GENESIS - 1) / PERIOD + 2;
    }

    /// @notice The beacon's public key, in the order in which the constructor takes it.
    function publicKey() public view returns (uint256[4] memory) {
        return [KEY_X_IM, KEY_X_RE, KEY_Y_IM, KEY_Y_RE];
    }

    function _isSignature(uint64 round, bytes calldata signature) private view returns (bool) {
        if (signature.length != 64) return false;
        (uint256 x, uint256 y) = abi.decode(signature, (uint256, uint256));
        bytes memory message = abi.encodePacked(keccak256(abi.encodePacked(round)));
        return BlsBn254.verify(publicKey(), message, x, y);
    }
}

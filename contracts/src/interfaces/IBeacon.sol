// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A public source of randomness that nobody in the game controls
/// @notice The beacon publishes a number for each round, at a time that is known beforehand. Anyone
/// posts a round here; it is checked once and kept for everyone. A number cannot be known before
/// its round is due, and there is only one that passes the check.
interface IBeacon {
    /// @notice A round was posted.
    event RoundPosted(uint64 indexed round, bytes32 randomness);

    /// @notice The signature is not the beacon's for this round.
    error InvalidSignature(uint64 round);

    /// @notice Posts a round. Anyone may call; a round that is there already is left as it is.
    /// @param signature The beacon's signature: a point of G1, x and y, 32 bytes each.
    function submit(uint64 round, bytes calldata signature) external;

    /// @notice The round's number, as the beacon publishes it; 0 while it is not posted.
    function randomness(uint64 round) external view returns (bytes32);

    /// @notice When the round was posted here, Unix time in seconds; 0 while it is not.
    function postedAt(uint64 round) external view returns (uint64);

    /// @notice The first round that is due at this time (Unix, in seconds) or later.
    function roundAt(uint64 timestamp) external view returns (uint64);
}

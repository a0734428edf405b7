// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What others ask the registry about attestation
interface IAttestations {
    /// @notice Whether the node's last accepted attestation is at most this old and still stands.
    function isAttested(bytes32 nodeId, uint64 withinSeconds) external view returns (bool);
}

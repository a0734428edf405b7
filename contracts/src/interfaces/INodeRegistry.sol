// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Who the nodes of the network are, and which of them may take work
/// @notice A node is known by its id: the SHA-256 of its TPM endorsement key (SubjectPublicKeyInfo,
/// DER). Two accounts speak for it: the `operator`, whose key lives on the machine and which
/// registers it and sends heartbeats, and the `owner`, which stakes for it and can take it away.
///
/// ```
///   None ───registerNode──▶ Inactive ──activateNode──▶ Active
///                              │                       ▲    │
///                              │          activateNode │    │ deactivateNode
///                              ▼                       │    ▼
///   Deregistered ◀──────deregisterNode─────────────── Unbonding
/// ```
/// A deregistered id is free: `registerNode` makes it `Inactive` again.
interface INodeRegistry {
    /// @notice What a node is for.
    enum NodeType {
        Compute,
        Storage,
        Coordinator
    }

    /// @notice Where a node is in its life.
    /// `Inactive`: registered, never had enough stake. `Unbonding`: was active, then its stake fell
    /// below the minimum. `Deregistered`: given up by its owner; the id can be registered again.
    enum NodeStatus {
        None,
        Inactive,
        Active,
        Unbonding,
        Deregistered
    }

    /// @notice A P-256 public key: the TPM key that signs the node's quotes.
    struct AttestationKey {
        bytes32 x;
        bytes32 y;
    }

    /// @notice All that the chain knows of a node.
    /// @param owner Stakes for the node and may deregister it.
    /// @param operator The account whose key is on the machine.
    /// @param registeredAt Unix time in seconds.
    /// @param lastHeartbeat Unix time in seconds, 0 before the first one.
    /// @param attestationKey The key that signs the node's quotes.
    /// @param metadata CID of a JSON document that describes the node.
    /// @param region Where the node says it is.
    struct Node {
        address owner;
        address operator;
        NodeType nodeType;
        NodeStatus status;
        uint64 registeredAt;
        uint64 lastHeartbeat;
        AttestationKey attestationKey;
        string metadata;
        string region;
    }

    /// @notice A node joined the registry.
    event NodeRegistered(
        bytes32 indexed nodeId,
        address indexed owner,
        address indexed operator,
        NodeType nodeType,
        string metadata
    );

    /// @notice A node's description changed.
    event NodeMetadataUpdated(bytes32 indexed nodeId, string metadata, string region);

    /// @notice A node said that it is alive. `statusHash` is the hash of the status it serves.
    event NodeHeartbeat(bytes32 indexed nodeId, bytes32 statusHash, uint64 timestamp);

    /// @notice A node may take work from now on.
    event NodeActivated(bytes32 indexed nodeId);

    /// @notice A node takes no new work: its stake fell below the minimum.
    event NodeDeactivated(bytes32 indexed nodeId);

    /// @notice A node's owner gave it up.
    event NodeDeregistered(bytes32 indexed nodeId);

    /// @notice The node id is zero.
    error ZeroNodeId();

    /// @notice The owner is the zero address.
    error ZeroOwner();

    /// @notice The attestation key is not a point of the P-256 curve.
    error InvalidAttestationKey();

    /// @notice The id belongs to a node that has not been deregistered.
    error NodeAlreadyRegistered(bytes32 nodeId);

    /// @notice The account already speaks for another node; an operator has one node.
    error OperatorTaken(address operator, bytes32 nodeId);

    /// @notice No node has this id, or it has been deregistered.
    error NodeNotRegistered(bytes32 nodeId);

    /// @notice Only the node's operator may do this.
    error NotNodeOperator(bytes32 nodeId, address account);

    /// @notice Only the node's owner may do this.
    error NotNodeOwner(bytes32 nodeId, address account);

    /// @notice The node's status does not allow this.
    error WrongNodeStatus(bytes32 nodeId, NodeStatus status);

    /// @notice A text is longer than the registry keeps.
    error TextTooLong(uint256 sizeBytes, uint256 sizeBytesMax);

    /// @notice Registers a node; the sender becomes its operator.
    /// @dev Taking in: stops while paused. An id is free when it was never registered or has been
    /// deregistered, so that hardware can change hands.
    /// @param nodeId SHA-256 of the endorsement key's SubjectPublicKeyInfo.
    /// @param owner The account that stakes for the node.
    /// @param nodeType What the node is for.
    /// @param key The TPM key that signs the node's quotes.
    /// @param metadata CID of the node's description, at most 128 bytes.
    /// @param region Where the node says it is, at most 64 bytes.
    function registerNode(
        bytes32 nodeId,
        address owner,
        NodeType nodeType,
        AttestationKey calldata key,
        string calldata metadata,
        string calldata region
    ) external;

    /// @notice Replaces a node's description. Operator or owner.
    function updateMetadata(bytes32 nodeId, string calldata metadata, string calldata region)
        external;

    /// @notice Says that the node is alive. Operator only.
    /// @param statusHash Hash of the status document that the node serves.
    function heartbeat(bytes32 nodeId, bytes32 statusHash) external;

    /// @notice Lets a node take work. StakingManager only.
    function activateNode(bytes32 nodeId) external;

    /// @notice Stops a node from taking new work. StakingManager only.
    function deactivateNode(bytes32 nodeId) external;

    /// @notice Gives a node up. Owner only, and not while the node is active: unstake first.
    /// @dev The operator stays on record, so that it can close the jobs it still has.
    function deregisterNode(bytes32 nodeId) external;

    /// @notice The node with this id; all zero when it was never registered.
    function getNode(bytes32 nodeId) external view returns (Node memory);

    /// @notice Whether the node may take work.
    function isNodeActive(bytes32 nodeId) external view returns (bool);

    /// @notice How many nodes are registered now.
    function nodeCount() external view returns (uint256);

    /// @notice A page of the active nodes' ids, at most 256.
    /// @dev The order changes when a node leaves: read all pages at one block.
    function getActiveNodes(uint256 offset, uint256 limit) external view returns (bytes32[] memory);

    /// @notice The node that this account operates, or zero.
    /// @dev A deregistered node stays with its operator until either is registered anew.
    function nodeOfOperator(address operator) external view returns (bytes32);
}

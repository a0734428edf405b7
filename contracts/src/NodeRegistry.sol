// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {Governed} from "./base/Governed.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {Paging} from "./libraries/Paging.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title NodeRegistry
/// @notice See {INodeRegistry}.
contract NodeRegistry is INodeRegistry, Governed {
    using EnumerableSet for EnumerableSet.Bytes32Set;
    using Paging for EnumerableSet.Bytes32Set;

    uint256 private constant METADATA_BYTES_MAX = 128;
    uint256 private constant REGION_BYTES_MAX = 64;

    /// @custom:storage-location erc7201:aleph.storage.NodeRegistry
    struct NodeRegistryStorage {
        mapping(bytes32 nodeId => Node) nodes;
        mapping(address operator => bytes32 nodeId) nodeOfOperator;
        EnumerableSet.Bytes32Set active;
        uint256 registeredCount;
    }

    bytes32 private constant STORAGE_SLOT =
        0x90dfcd99588bc2b926df83afb978783c0216f8b0aaca9cb1f4166a26d8e08900;

    function initialize(address admin) external initializer {
        __Governed_init(admin);
    }

    // Operators and owners.

    /// @inheritdoc INodeRegistry
    function registerNode(
        bytes32 nodeId,
        address owner,
        NodeType nodeType,
        AttestationKey calldata key,
        string calldata metadata,
        string calldata region
    ) external whenNotPaused {
        require(nodeId != 0, ZeroNodeId());
        require(owner != address(0), ZeroOwner());
        require(P256.isValidPublicKey(key.x, key.y), InvalidAttestationKey());
        _checkTexts(metadata, region);

        NodeRegistryStorage storage $ = _storage();
        Node storage node = $.nodes[nodeId];
        require(!_isRegistered(node), NodeAlreadyRegistered(nodeId));
        _claimOperator($, nodeId, node.operator);

        node.owner = owner;
        node.operator = msg.sender;
        node.nodeType = nodeType;
        node.status = NodeStatus.Inactive;
        node.registeredAt = uint64(block.timestamp);
        node.lastHeartbeat = 0;
        node.attestationKey = key;
        node.metadata = metadata;
        node.region = region;
        ++$.registeredCount;

        emit NodeRegistered(nodeId, owner, msg.sender, nodeType, metadata);
    }

    /// @inheritdoc INodeRegistry
    function updateMetadata(bytes32 nodeId, string calldata metadata, string calldata region)
        external
    {
        Node storage node = _registered(nodeId);
        require(
            msg.sender == node.operator || msg.sender == node.owner,
            NotNodeOperator(nodeId, msg.sender)
        );
        _checkTexts(metadata, region);

        node.metadata = metadata;
        node.region = region;

        emit NodeMetadataUpdated(nodeId, metadata, region);
    }

    /// @inheritdoc INodeRegistry
    function heartbeat(bytes32 nodeId, bytes32 statusHash) external {
        Node storage node = _registered(nodeId);
        require(msg.sender == node.operator, NotNodeOperator(nodeId, msg.sender));

        node.lastHeartbeat = uint64(block.timestamp);

        emit NodeHeartbeat(nodeId, statusHash, uint64(block.timestamp));
    }

    /// @inheritdoc INodeRegistry
    function deregisterNode(bytes32 nodeId) external {
        Node storage node = _registered(nodeId);
        require(msg.sender == node.owner, NotNodeOwner(nodeId, msg.sender));
        require(node.status != NodeStatus.Active, WrongNodeStatus(nodeId, node.status));

        node.status = NodeStatus.Deregistered;
        --_storage().registeredCount;

        emit NodeDeregistered(nodeId);
    }

    // StakingManager.

    /// @inheritdoc INodeRegistry
    function activateNode(bytes32 nodeId) external onlyRole(Roles.STAKING_MANAGER) {
        Node storage node = _registered(nodeId);
        require(node.status != NodeStatus.Active, WrongNodeStatus(nodeId, node.status));

        node.status = NodeStatus.Active;
        _storage().active.add(nodeId);

        emit NodeActivated(nodeId);
    }

    /// @inheritdoc INodeRegistry
    function deactivateNode(bytes32 nodeId) external onlyRole(Roles.STAKING_MANAGER) {
        Node storage node = _registered(nodeId);
        require(node.status == NodeStatus.Active, WrongNodeStatus(nodeId, node.status));

        node.status = NodeStatus.Unbonding;
        _storage().active.remove(nodeId);

        emit NodeDeactivated(nodeId);
    }

    // Views.

    /// @inheritdoc INodeRegistry
    function getNode(bytes32 nodeId) external view returns (Node memory) {
        return _storage().nodes[nodeId];
    }

    /// @inheritdoc INodeRegistry
    function isNodeActive(bytes32 nodeId) external view returns (bool) {
        return _storage().nodes[nodeId].status == NodeStatus.Active;
    }

    /// @inheritdoc INodeRegistry
    function nodeCount() external view returns (uint256) {
        return _storage().registeredCount;
    }

    /// @inheritdoc INodeRegistry
    function getActiveNodes(uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory)
    {
        return _storage().active.page(offset, limit);
    }

    /// @inheritdoc INodeRegistry
    function nodeOfOperator(address operator) external view returns (bytes32) {
        return _storage().nodeOfOperator[operator];
    }

    // Inside.

    /// @dev Makes the sender the operator of `nodeId` and forgets a deregistered node's former one.
    function _claimOperator(NodeRegistryStorage storage $, bytes32 nodeId, address formerOperator)
        private
    {
        bytes32 presentNodeId = $.nodeOfOperator[msg.sender];
        require(
            presentNodeId == 0 || !_isRegistered($.nodes[presentNodeId]),
            OperatorTaken(msg.sender, presentNodeId)
        );
        // A former operator may have gone on to a node of its own.
        if ($.nodeOfOperator[formerOperator] == nodeId) {
            delete $.nodeOfOperator[formerOperator];
        }
        $.nodeOfOperator[msg.sender] = nodeId;
    }

    function _registered(bytes32 nodeId) private view returns (Node storage node) {
        node = _storage().nodes[nodeId];
        require(_isRegistered(node), NodeNotRegistered(nodeId));
    }

    function _isRegistered(Node storage node) private view returns (bool) {
        return node.status != NodeStatus.None && node.status != NodeStatus.Deregistered;
    }

    function _checkTexts(string calldata metadata, string calldata region) private pure {
        uint256 metadataBytes = bytes(metadata).length;
        uint256 regionBytes = bytes(region).length;
        require(metadataBytes <= METADATA_BYTES_MAX, TextTooLong(metadataBytes, METADATA_BYTES_MAX));
        require(regionBytes <= REGION_BYTES_MAX, TextTooLong(regionBytes, REGION_BYTES_MAX));
    }

    function _storage() private pure returns (NodeRegistryStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {Governed} from "./base/Governed.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Paging} from "./libraries/Paging.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {Roles} from "./libraries/Roles.sol";
import {TpmQuote} from "./libraries/TpmQuote.sol";

/// @title NodeRegistry
/// @notice See {INodeRegistry}.
contract NodeRegistry is INodeRegistry, Governed {
    using EnumerableSet for EnumerableSet.Bytes32Set;
    using Paging for EnumerableSet.Bytes32Set;
    using Quorum for Quorum.Ballots;

    uint256 private constant METADATA_BYTES_MAX = 128;
    uint256 private constant REGION_BYTES_MAX = 64;
    uint256 private constant GPU_TYPES_MAX = 16;

    uint256 private constant VERIFIER_QUORUM_MIN = 1;
    uint256 private constant VERIFIER_QUORUM_MAX = 64;
    uint256 private constant CHALLENGE_VALIDITY_S_MIN = 1 minutes;
    uint256 private constant CHALLENGE_VALIDITY_S_MAX = 1 days;
    uint256 private constant ENROLMENT_WINDOW_S_MIN = 1 hours;
    uint256 private constant ENROLMENT_WINDOW_S_MAX = 30 days;

    /// @dev Begins what a node's TPM signs, so that no other quote of it can be taken for an answer.
    string private constant ATTEST_DOMAIN = "aleph/attest/chain/v1";

    /// @dev The voices on one node that count together: those since `startedAt` (Unix time in
    /// seconds, 0 when the next voice starts a new round).
    struct EnrolmentRound {
        uint64 number;
        uint64 startedAt;
    }

    /// @custom:storage-location erc7201:aleph.storage.NodeRegistry
    struct NodeRegistryStorage {
        mapping(bytes32 nodeId => Node) nodes;
        mapping(address operator => bytes32 nodeId) nodeOfOperator;
        EnumerableSet.Bytes32Set active;
        uint256 registeredCount;
        Parameters parameters;
        mapping(bytes32 nodeId => bytes32[]) gpuTypes;
        mapping(bytes32 nodeId => Enrolment) enrolments;
        mapping(bytes32 nodeId => EnrolmentRound) rounds;
        Quorum.Ballots ballots;
        uint256 verifierGeneration;
        mapping(bytes32 pcrDigest => uint64) releaseVersions;
        uint64 newestReleaseVersion;
        mapping(bytes32 nodeId => Challenge) challenges;
        bytes32 lastChallenge;
        mapping(bytes32 nodeId => Attestation) attestations;
    }

    bytes32 private constant STORAGE_SLOT =
        0x90dfcd99588bc2b926df83afb978783c0216f8b0aaca9cb1f4166a26d8e08900;

    function initialize(address admin, Parameters calldata parameters) external initializer {
        __Governed_init(admin);
        _setParameters(parameters);
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
        _checkEnrolment($.enrolments[nodeId], nodeId, key);
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
        delete $.gpuTypes[nodeId];
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
    function setGpuTypes(bytes32 nodeId, bytes32[] calldata gpuTypes) external {
        _operated(nodeId);
        uint256 count = gpuTypes.length;
        require(count <= GPU_TYPES_MAX, TooManyGpuTypes(count, GPU_TYPES_MAX));
        bytes32 previous;
        for (uint256 i = 0; i < count; ++i) {
            require(gpuTypes[i] > previous, GpuTypesNotAscending(i));
            previous = gpuTypes[i];
        }

        _storage().gpuTypes[nodeId] = gpuTypes;

        emit GpuTypesSet(nodeId, gpuTypes);
    }

    /// @inheritdoc INodeRegistry
    function heartbeat(bytes32 nodeId, bytes32 statusHash) external {
        Node storage node = _operated(nodeId);

        node.lastHeartbeat = uint64(block.timestamp);

        emit NodeHeartbeat(nodeId, statusHash, uint64(block.timestamp));
    }

    /// @inheritdoc INodeRegistry
    function deregisterNode(bytes32 nodeId) external {
        Node storage node = _registered(nodeId);
        require(msg.sender == node.owner, NotNodeOwner(nodeId, msg.sender));
        require(node.status != NodeStatus.Active, WrongNodeStatus(nodeId, node.status));

        _leave(nodeId, node);

        emit NodeDeregistered(nodeId);
    }

    /// @inheritdoc INodeRegistry
    function requestChallenge(bytes32 nodeId) external returns (bytes32 challenge) {
        _operated(nodeId);
        NodeRegistryStorage storage $ = _storage();
        require($.enrolments[nodeId].operator != address(0), NotEnrolled(nodeId));

        challenge = _newChallenge(nodeId);
        uint64 expiresAt = uint64(block.timestamp) + $.parameters.challengeValidity;
        $.lastChallenge = challenge;
        $.challenges[nodeId] = Challenge(challenge, expiresAt);

        emit ChallengeRequested(nodeId, challenge, expiresAt);
    }

    // Anyone.

    /// @inheritdoc INodeRegistry
    function attest(bytes32 nodeId, bytes calldata quote, bytes32 r, bytes32 s) external {
        NodeRegistryStorage storage $ = _storage();
        TpmQuote.Quote memory said = TpmQuote.parse(quote);
        _checkAnswer($.challenges[nodeId], nodeId, said.extraData);
        uint64 version = _countingVersion($, said.pcrDigest);
        // An open challenge means that the node is registered and enrolled.
        Enrolment storage enrolment = $.enrolments[nodeId];
        require(
            said.resetCount >= enrolment.resetCount,
            ResetCountWentBack(said.resetCount, enrolment.resetCount)
        );
        AttestationKey storage key = enrolment.key;
        require(P256.verify(sha256(quote), r, s, key.x, key.y), InvalidQuoteSignature(nodeId));

        delete $.challenges[nodeId];
        enrolment.resetCount = said.resetCount;
        $.attestations[nodeId] = Attestation(uint64(block.timestamp), said.pcrDigest);

        emit NodeAttested(nodeId, said.pcrDigest, version, said.resetCount);
    }

    // Verifiers.

    /// @inheritdoc INodeRegistry
    function enrolKey(bytes32 nodeId, address operator, AttestationKey calldata key)
        external
        onlyRole(Roles.VERIFIER)
        whenNotPaused
    {
        require(nodeId != 0, ZeroNodeId());
        require(operator != address(0), ZeroOperator());
        require(P256.isValidPublicKey(key.x, key.y), InvalidAttestationKey());

        NodeRegistryStorage storage $ = _storage();
        EnrolmentRound storage round = $.rounds[nodeId];
        if (!_isOpen($, round)) {
            ++round.number;
            round.startedAt = uint64(block.timestamp);
        }
        bytes32 statement = _enrolmentStatement($, round.number, nodeId, operator, key);
        uint256 votes = $.ballots.vote(statement, msg.sender);

        emit KeyEnrolmentVoted(nodeId, msg.sender, operator, key, votes);
        if (votes >= $.parameters.verifierQuorum) _enrol($, nodeId, operator, key);
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

    // Governance.

    /// @inheritdoc INodeRegistry
    function revokeKey(bytes32 nodeId) external {
        NodeRegistryStorage storage $ = _storage();
        Node storage node = $.nodes[nodeId];
        // Whoever owned the id before it was deregistered or evicted has no say in it.
        require(
            hasRole(Roles.PARAMETER, msg.sender)
                || (_isRegistered(node) && msg.sender == node.owner),
            NotNodeOwner(nodeId, msg.sender)
        );
        require($.enrolments[nodeId].operator != address(0), NotEnrolled(nodeId));

        delete $.enrolments[nodeId];
        $.rounds[nodeId].startedAt = 0;
        _forgetAttestation($, nodeId);

        emit KeyRevoked(nodeId);
    }

    /// @inheritdoc INodeRegistry
    function approveRelease(bytes32 pcrDigest, uint64 version) external onlyRole(Roles.PARAMETER) {
        NodeRegistryStorage storage $ = _storage();
        require(version != 0, ZeroReleaseVersion());
        uint64 present = $.releaseVersions[pcrDigest];
        require(present == 0, ReleaseAlreadyApproved(pcrDigest, present));

        $.releaseVersions[pcrDigest] = version;
        if (version > $.newestReleaseVersion) $.newestReleaseVersion = version;

        emit ReleaseApproved(pcrDigest, version);
    }

    /// @inheritdoc INodeRegistry
    function revokeRelease(bytes32 pcrDigest) external onlyRole(Roles.PARAMETER) {
        NodeRegistryStorage storage $ = _storage();
        require($.releaseVersions[pcrDigest] != 0, ReleaseNotApproved(pcrDigest));

        delete $.releaseVersions[pcrDigest];

        emit ReleaseRevoked(pcrDigest);
    }

    /// @inheritdoc INodeRegistry
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc INodeRegistry
    function isAttested(bytes32 nodeId, uint64 withinSeconds) external view returns (bool) {
        NodeRegistryStorage storage $ = _storage();
        Attestation storage attestation = $.attestations[nodeId];
        uint64 attestedAt = attestation.attestedAt;
        if (attestedAt == 0 || block.timestamp - attestedAt > withinSeconds) return false;
        uint64 version = $.releaseVersions[attestation.pcrDigest];
        return version != 0 && version >= $.parameters.minReleaseVersion;
    }

    /// @inheritdoc INodeRegistry
    function getAttestation(bytes32 nodeId) external view returns (Attestation memory) {
        return _storage().attestations[nodeId];
    }

    /// @inheritdoc INodeRegistry
    function getChallenge(bytes32 nodeId) external view returns (Challenge memory) {
        return _storage().challenges[nodeId];
    }

    /// @inheritdoc INodeRegistry
    function getEnrolment(bytes32 nodeId) external view returns (Enrolment memory) {
        return _storage().enrolments[nodeId];
    }

    /// @inheritdoc INodeRegistry
    function getEnrolmentVotes(bytes32 nodeId, address operator, AttestationKey calldata key)
        external
        view
        returns (uint256)
    {
        NodeRegistryStorage storage $ = _storage();
        EnrolmentRound storage round = $.rounds[nodeId];
        if (!_isOpen($, round)) return 0;
        return $.ballots.count[_enrolmentStatement($, round.number, nodeId, operator, key)];
    }

    /// @inheritdoc INodeRegistry
    function getReleaseVersion(bytes32 pcrDigest) external view returns (uint64) {
        return _storage().releaseVersions[pcrDigest];
    }

    /// @inheritdoc INodeRegistry
    function getGpuTypes(bytes32 nodeId) external view returns (bytes32[] memory) {
        return _storage().gpuTypes[nodeId];
    }

    /// @inheritdoc INodeRegistry
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

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

    /// @dev What no quote can have in it yet. Each challenge goes into the next one, so that none comes
    /// twice and whoever would foresee one must foresee everyone's. The block's hash is no random
    /// number, on Arbitrum least of all, but nobody knows it long before, and no value is better for
    /// a node than another.
    function _newChallenge(bytes32 nodeId) internal view virtual returns (bytes32) {
        return keccak256(
            abi.encode(
                _storage().lastChallenge, blockhash(block.number - 1), block.timestamp, nodeId
            )
        );
    }

    /// @dev A verifier that loses its role takes back what it said; who else spoke says it again.
    function _revokeRole(bytes32 role, address account) internal override returns (bool revoked) {
        revoked = super._revokeRole(role, account);
        if (revoked && role == Roles.VERIFIER) ++_storage().verifierGeneration;
    }

    function _enrol(
        NodeRegistryStorage storage $,
        bytes32 nodeId,
        address operator,
        AttestationKey calldata key
    ) private {
        $.enrolments[nodeId] = Enrolment({operator: operator, resetCount: 0, key: key});
        $.rounds[nodeId].startedAt = 0;
        _forgetAttestation($, nodeId);
        emit KeyEnrolled(nodeId, operator, key);

        Node storage node = $.nodes[nodeId];
        if (!_isRegistered(node)) return;
        if (node.operator == operator) {
            node.attestationKey = key;
        } else {
            $.active.remove(nodeId);
            _leave(nodeId, node);
            emit NodeEvicted(nodeId, node.operator, node.owner);
        }
    }

    function _leave(bytes32 nodeId, Node storage node) private {
        NodeRegistryStorage storage $ = _storage();
        node.status = NodeStatus.Deregistered;
        --$.registeredCount;
        _forgetAttestation($, nodeId);
    }

    function _forgetAttestation(NodeRegistryStorage storage $, bytes32 nodeId) private {
        delete $.challenges[nodeId];
        delete $.attestations[nodeId];
    }

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

    function _setParameters(Parameters calldata parameters) private {
        NodeRegistryStorage storage $ = _storage();
        Bounds.check(
            "verifierQuorum", parameters.verifierQuorum, VERIFIER_QUORUM_MIN, VERIFIER_QUORUM_MAX
        );
        Bounds.check(
            "challengeValidity",
            parameters.challengeValidity,
            CHALLENGE_VALIDITY_S_MIN,
            CHALLENGE_VALIDITY_S_MAX
        );
        Bounds.check(
            "enrolmentWindow",
            parameters.enrolmentWindow,
            ENROLMENT_WINDOW_S_MIN,
            ENROLMENT_WINDOW_S_MAX
        );
        Bounds.check("minReleaseVersion", parameters.minReleaseVersion, 0, $.newestReleaseVersion);
        $.parameters = parameters;

        emit ParametersSet(parameters);
    }

    /// @dev An id that a quorum has enrolled is for that operator, and with that key, only.
    function _checkEnrolment(
        Enrolment storage enrolment,
        bytes32 nodeId,
        AttestationKey calldata key
    ) private view {
        address operator = enrolment.operator;
        if (operator == address(0)) return;
        require(operator == msg.sender, EnrolledForAnother(nodeId, operator));
        require(
            key.x == enrolment.key.x && key.y == enrolment.key.y, EnrolledWithAnotherKey(nodeId)
        );
    }

    function _checkAnswer(Challenge storage challenge, bytes32 nodeId, bytes32 extraData)
        private
        view
    {
        uint64 expiresAt = challenge.expiresAt;
        require(expiresAt != 0, NoChallenge(nodeId));
        require(block.timestamp <= expiresAt, ChallengeExpired(nodeId, expiresAt));
        bytes32 expected = sha256(
            abi.encodePacked(ATTEST_DOMAIN, block.chainid, address(this), nodeId, challenge.value)
        );
        require(extraData == expected, WrongExtraData(extraData, expected));
    }

    /// @dev The version of a release that is approved and new enough.
    function _countingVersion(NodeRegistryStorage storage $, bytes32 pcrDigest)
        private
        view
        returns (uint64 version)
    {
        version = $.releaseVersions[pcrDigest];
        require(version != 0, ReleaseNotApproved(pcrDigest));
        uint64 versionMin = $.parameters.minReleaseVersion;
        require(version >= versionMin, ReleaseTooOld(version, versionMin));
    }

    function _isOpen(NodeRegistryStorage storage $, EnrolmentRound storage round)
        private
        view
        returns (bool)
    {
        uint64 startedAt = round.startedAt;
        return startedAt != 0 && block.timestamp - startedAt <= $.parameters.enrolmentWindow;
    }

    function _enrolmentStatement(
        NodeRegistryStorage storage $,
        uint64 round,
        bytes32 nodeId,
        address operator,
        AttestationKey calldata key
    ) private view returns (bytes32) {
        return keccak256(abi.encode(nodeId, operator, key, round, $.verifierGeneration));
    }

    function _operated(bytes32 nodeId) private view returns (Node storage node) {
        node = _registered(nodeId);
        require(msg.sender == node.operator, NotNodeOperator(nodeId, msg.sender));
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

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
///
/// Anyone can claim an id; that a machine has it, only its TPM can show. Verifiers challenge the
/// endorsement key off chain (credential activation), and a quorum of them enrols what they saw:
/// the node's operator and its attestation key. From then on the id is that operator's: a squatter
/// is evicted, which is one more way to `Deregistered`, from any state.
///
/// An enrolled node proves what it runs: it requests a challenge, has its TPM quote PCRs 4, 9, 11
/// and 12 with the challenge inside, and `attest` checks the quote against the enrolled key and the
/// releases that governance approved.
///
/// Always true of a node that is registered and enrolled: its operator and its attestation key are
/// the enrolled ones. Always true of a node that is attested: it is registered and enrolled.
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

    /// @notice What a quorum of verifiers saw; all zero where none did.
    /// @param operator The account that the machine spoke for.
    /// @param resetCount How often the TPM had been reset by the last accepted quote.
    /// @param key The key that was shown to be in the node's TPM.
    struct Enrolment {
        address operator;
        uint32 resetCount;
        AttestationKey key;
    }

    /// @notice What a quote must answer; all zero where none is open.
    /// @param value Fresh bytes.
    /// @param expiresAt Unix time in seconds, the last one at which an answer is taken.
    struct Challenge {
        bytes32 value;
        uint64 expiresAt;
    }

    /// @notice The last accepted quote; all zero where there is none.
    /// @param attestedAt Unix time in seconds.
    /// @param pcrDigest The release that ran.
    struct Attestation {
        uint64 attestedAt;
        bytes32 pcrDigest;
    }

    /// @notice What governance sets.
    /// @param verifierQuorum How many verifiers enrol a key: 1 to 64.
    /// @param challengeValidity For how long a challenge may be answered, in seconds: a minute to a
    /// day. Short, for it is also how old the state may be that a quote shows; long enough for a
    /// TPM (seconds) and two transactions.
    /// @param enrolmentWindow How far apart verifiers' voices on one node may be and still count
    /// together, in seconds: an hour to 30 days. What an early voice saw may not be so any more.
    /// @param minReleaseVersion The oldest release that counts: at most the newest ever approved, lest
    /// a slip of the hand put out every node.
    struct Parameters {
        uint16 verifierQuorum;
        uint64 challengeValidity;
        uint64 enrolmentWindow;
        uint64 minReleaseVersion;
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

    /// @notice A node's operator said which GPUs it has.
    event GpuTypesSet(bytes32 indexed nodeId, bytes32[] gpuTypes);

    /// @notice A verifier spoke for an enrolment; `votes` have by now.
    event KeyEnrolmentVoted(
        bytes32 indexed nodeId,
        address indexed verifier,
        address indexed operator,
        AttestationKey key,
        uint256 votes
    );

    /// @notice A quorum bound a node to its operator and its key; what was attested before is void.
    event KeyEnrolled(bytes32 indexed nodeId, address indexed operator, AttestationKey key);

    /// @notice A node was taken from an operator that is not the enrolled one.
    event NodeEvicted(bytes32 indexed nodeId, address indexed operator, address indexed owner);

    /// @notice A node's enrolment ended, and with it what was attested.
    event KeyRevoked(bytes32 indexed nodeId);

    /// @notice Nodes that run this release may attest.
    event ReleaseApproved(bytes32 indexed pcrDigest, uint64 version);

    /// @notice Nodes that run this release are attested no longer.
    event ReleaseRevoked(bytes32 indexed pcrDigest);

    /// @notice A node wants to attest; the challenge replaces any former one.
    event ChallengeRequested(bytes32 indexed nodeId, bytes32 challenge, uint64 expiresAt);

    /// @notice A node's TPM showed which release it runs.
    event NodeAttested(
        bytes32 indexed nodeId, bytes32 indexed pcrDigest, uint64 version, uint32 resetCount
    );

    /// @notice Governance set the parameters.
    event ParametersSet(Parameters parameters);

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

    /// @notice The operator is the zero address.
    error ZeroOperator();

    /// @notice The id is enrolled for another operator.
    error EnrolledForAnother(bytes32 nodeId, address operator);

    /// @notice The id is enrolled with another attestation key.
    error EnrolledWithAnotherKey(bytes32 nodeId);

    /// @notice No quorum has enrolled a key for the node, or it was revoked.
    error NotEnrolled(bytes32 nodeId);

    /// @notice More GPU types than the registry keeps.
    error TooManyGpuTypes(uint256 count, uint256 countMax);

    /// @notice GPU types must ascend, from above zero: each is named once.
    error GpuTypesNotAscending(uint256 index);

    /// @notice A release has version 0, which stands for none.
    error ZeroReleaseVersion();

    /// @notice The release is approved already; to change its version, revoke it first.
    error ReleaseAlreadyApproved(bytes32 pcrDigest, uint64 version);

    /// @notice Governance has not approved these measurements, or has revoked them.
    error ReleaseNotApproved(bytes32 pcrDigest);

    /// @notice The release is older than what governance still takes.
    error ReleaseTooOld(uint64 version, uint64 versionMin);

    /// @notice The node has no open challenge: it requested none, or has answered it.
    error NoChallenge(bytes32 nodeId);

    /// @notice The challenge was not answered in time.
    error ChallengeExpired(bytes32 nodeId, uint64 expiresAt);

    /// @notice The quote answers something else than the node's challenge on this chain.
    error WrongExtraData(bytes32 found, bytes32 expected);

    /// @notice The TPM says that it was reset less often than it said before.
    error ResetCountWentBack(uint32 found, uint32 before);

    /// @notice The node's enrolled key did not make this signature, or its s is the high one.
    error InvalidQuoteSignature(bytes32 nodeId);

    /// @notice Registers a node; the sender becomes its operator.
    /// @dev Taking in: stops while paused. An id is free when it was never registered or has been
    /// deregistered, so that hardware can change hands; when it is enrolled, it is free for the
    /// enrolled operator with the enrolled key only.
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

    /// @notice Says which GPUs the node has. Operator only.
    /// @param gpuTypes Names of GPU models, ascending, at most 16; replaces what was said before.
    function setGpuTypes(bytes32 nodeId, bytes32[] calldata gpuTypes) external;

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

    /// @notice Says, as one verifier of a quorum, that the node's TPM holds `key` and that the machine
    /// speaks for `operator`. Verifiers only. The voice that completes the quorum enrols them, and
    /// evicts whoever else registered the id.
    /// @dev Taking in: stops while paused. Voices count together when they say the same within
    /// `enrolmentWindow` of the first voice on the node; all of them start anew when a key is
    /// enrolled or revoked, or when any verifier loses its role. Whoever is evicted keeps its stake
    /// and can withdraw it, and stays on record as the operator until the id is registered anew, to
    /// close the jobs it has. Enrolling the same again forgets the reset count: the way out for a
    /// TPM that was cleared.
    function enrolKey(bytes32 nodeId, address operator, AttestationKey calldata key) external;

    /// @notice Ends a node's enrolment. Governance, or the owner of a registered node.
    /// @dev The node stays registered, attested no longer, and its id is anyone's again until it is
    /// enrolled anew; a quorum may enrol the same key.
    function revokeKey(bytes32 nodeId) external;

    /// @notice Lets nodes attest that run this release. Governance.
    /// @param pcrDigest SHA-256 over the values of PCRs 4, 9, 11 and 12 of the SHA-256 bank.
    /// @param version Ascends from release to release.
    function approveRelease(bytes32 pcrDigest, uint64 version) external;

    /// @notice Takes the approval back: nodes that run it are attested no longer. Governance.
    function revokeRelease(bytes32 pcrDigest) external;

    /// @notice Sets all parameters. Governance.
    function setParameters(Parameters calldata parameters) external;

    /// @notice Asks for something that no quote has in it yet. Operator of an enrolled node only.
    /// @return challenge To be answered once, within `challengeValidity`.
    function requestChallenge(bytes32 nodeId) external returns (bytes32 challenge);

    /// @notice Shows that the node runs an approved release. Anyone may send it.
    /// @dev The quote's extra data must be the SHA-256 of "aleph/attest/chain/v1", the chain's id (32
    /// bytes), this contract's address (20), the node's id (32) and the challenge (32).
    /// @param quote A TPMS_ATTEST of 145 bytes: see {TpmQuote}.
    /// @param r The signature's first number.
    /// @param s The signature's second number, the lower of s and n - s.
    function attest(bytes32 nodeId, bytes calldata quote, bytes32 r, bytes32 s) external;

    /// @notice Whether the node has shown, at most `withinSeconds` ago, that it runs a release which
    /// still counts, with a key which still counts.
    function isAttested(bytes32 nodeId, uint64 withinSeconds) external view returns (bool);

    /// @notice The node's last accepted quote.
    function getAttestation(bytes32 nodeId) external view returns (Attestation memory);

    /// @notice The challenge that the node has to answer.
    function getChallenge(bytes32 nodeId) external view returns (Challenge memory);

    /// @notice Who speaks for the node and with which key, by a quorum's word.
    function getEnrolment(bytes32 nodeId) external view returns (Enrolment memory);

    /// @notice How many verifiers have said just this of the node, and still count.
    function getEnrolmentVotes(bytes32 nodeId, address operator, AttestationKey calldata key)
        external
        view
        returns (uint256);

    /// @notice The version of an approved release; 0 when it is not approved.
    function getReleaseVersion(bytes32 pcrDigest) external view returns (uint64);

    /// @notice The GPUs that the node has by its operator's word, ascending.
    function getGpuTypes(bytes32 nodeId) external view returns (bytes32[] memory);

    /// @notice What governance has set.
    function getParameters() external view returns (Parameters memory);

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

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {Governed} from "./base/Governed.sol";
import {IBeacon} from "./interfaces/IBeacon.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IStakeSlasher} from "./interfaces/IStakeSlasher.sol";
import {IStorageFaultPolicy} from "./interfaces/IStorageFaultPolicy.sol";
import {IStorageRegistry} from "./interfaces/IStorageRegistry.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {ExactTransfer} from "./libraries/ExactTransfer.sol";
import {Paging} from "./libraries/Paging.sol";
import {Roles} from "./libraries/Roles.sol";
import {StorageProof} from "./libraries/StorageProof.sol";

/// @title StorageRegistry
/// @notice See {IStorageRegistry}.
/// @dev What it holds is the bonds of open challenges and what accounts were credited, to the unit.
contract StorageRegistry is IStorageRegistry, Governed, ReentrancyGuardTransient {
    using EnumerableSet for EnumerableSet.Bytes32Set;
    using EnumerableSet for EnumerableSet.UintSet;
    using ExactTransfer for IERC20;
    using Paging for EnumerableSet.Bytes32Set;
    using Paging for EnumerableSet.UintSet;
    using SafeERC20 for IERC20;

    uint256 private constant BOND_MIN = 1;
    uint256 private constant BOND_MAX = 1e24;
    uint256 private constant PERIOD_S_MIN = 1;
    uint256 private constant PERIOD_S_MAX = 30 days;
    uint256 private constant BEACON_DELAY_S_MAX = 1 hours;
    uint256 private constant BEACON_GRACE_S_MIN = 1;
    uint256 private constant BEACON_GRACE_S_MAX = 7 days;
    uint256 private constant RESPONSE_WINDOW_S_MAX = 14 days;
    uint256 private constant OPEN_PER_COMMITMENT_MAX = 16;
    uint256 private constant OPEN_PER_NODE_MAX = 1024;
    uint256 private constant REPLICAS_MAX = 1024;
    uint256 private constant PERIODS_MAX = 1024;

    /// @dev How long a failed challenge waits for someone who can resolve it.
    uint64 private constant ABANDON_AFTER_S = 7 days;

    /// @dev What stake is slashed for.
    bytes32 private constant SLASH_REASON = "storage fault";

    /// @custom:storage-location erc7201:aleph.storage.StorageRegistry
    struct StorageRegistryStorage {
        IERC20 token;
        INodeRegistry registry;
        IStakeSlasher staking;
        IBeacon beacon;
        IStorageFaultPolicy policy;
        Floors floors;
        Parameters parameters;
        uint256 challengeCount;
        mapping(bytes32 commitmentId => Commitment) commitments;
        mapping(bytes32 commitmentId => mapping(uint32 version => Terms)) terms;
        mapping(uint256 challengeId => Challenge) challenges;
        mapping(bytes32 nodeId => EnumerableSet.Bytes32Set) commitmentsOf;
        mapping(bytes32 content => EnumerableSet.Bytes32Set) replicasOf;
        mapping(bytes32 nodeId => EnumerableSet.UintSet) openChallengesOf;
        mapping(address account => uint256) credits;
    }

    bytes32 private constant STORAGE_SLOT =
        0x027a643b27942d2093fd02b199fb115065f270ad42d533481b69d1cc45017b00;

    /// @dev The fault policy asks this contract, so it is deployed later: see `setFaultPolicy`.
    function initialize(
        address admin,
        IERC20 token,
        INodeRegistry registry,
        IStakeSlasher staking,
        IBeacon beacon,
        Parameters calldata parameters,
        Floors calldata floors
    ) external initializer {
        require(
            address(token) != address(0) && address(registry) != address(0)
                && address(staking) != address(0),
            ZeroAddress()
        );
        __Governed_init(admin);

        StorageRegistryStorage storage $ = _storage();
        ($.token, $.registry, $.staking) = (token, registry, staking);
        Bounds.check("beaconDelay floor", floors.beaconDelay, 1, BEACON_DELAY_S_MAX);
        Bounds.check("responseWindow floor", floors.responseWindow, 1, RESPONSE_WINDOW_S_MAX);
        $.floors = floors;
        _setBeacon(beacon);
        _setParameters(parameters);
    }

    // Nodes.

    /// @inheritdoc IStorageRegistry
    function commit(bytes32 nodeId, bytes32 content, Offer calldata offer)
        external
        whenNotPaused
        returns (bytes32 commitmentId)
    {
        require(content != 0, ZeroHash());
        StorageRegistryStorage storage $ = _storage();
        commitmentId = commitmentIdOf(nodeId, content);
        Commitment storage commitment = $.commitments[commitmentId];
        require(
            block.timestamp >= commitment.endsAt, AlreadyCommitted(commitmentId, commitment.endsAt)
        );

        (commitment.nodeId, commitment.content) = (nodeId, content);
        address owner = _setTerms(commitmentId, commitment, offer);
        commitment.startsAt = commitment.versionStartsAt;
        $.commitmentsOf[nodeId].add(commitmentId);
        $.replicasOf[content].add(commitmentId);

        emit Committed(
            commitmentId,
            nodeId,
            content,
            commitment.version,
            owner,
            offer,
            commitment.startsAt,
            commitment.endsAt
        );
    }

    /// @inheritdoc IStorageRegistry
    function renew(bytes32 commitmentId, Offer calldata offer) external whenNotPaused {
        Commitment storage commitment = _storage().commitments[commitmentId];
        require(_isInForce(commitment), CommitmentNotInForce(commitmentId));
        uint64 latestStartsAt = commitment.versionStartsAt;
        require(block.timestamp >= latestStartsAt, ChangePending(commitmentId, latestStartsAt));

        address owner = _setTerms(commitmentId, commitment, offer);

        emit CommitmentRenewed(
            commitmentId,
            commitment.nodeId,
            commitment.version,
            owner,
            offer,
            commitment.versionStartsAt,
            commitment.endsAt
        );
    }

    /// @inheritdoc IStorageRegistry
    function remove(bytes32 commitmentId) external {
        StorageRegistryStorage storage $ = _storage();
        Commitment storage commitment = $.commitments[commitmentId];
        uint64 border = _nextBorder();
        require(border < commitment.endsAt, CommitmentEnding(commitmentId, commitment.endsAt));
        INodeRegistry.Node memory node = $.registry.getNode(commitment.nodeId);
        require(
            _speaksFor(node) || node.status != INodeRegistry.NodeStatus.Active
                || node.owner != $.terms[commitmentId][commitment.version].owner,
            NotOfNode(commitment.nodeId, msg.sender)
        );

        commitment.endsAt = border;

        emit CommitmentRemoved(commitmentId, commitment.nodeId, border);
    }

    // Challengers.

    /// @inheritdoc IStorageRegistry
    function issueChallenge(bytes32 commitmentId)
        external
        whenNotPaused
        nonReentrant
        returns (uint256 challengeId)
    {
        StorageRegistryStorage storage $ = _storage();
        Parameters storage parameters = $.parameters;
        require(address($.policy) != address(0), FaultPolicyMissing());
        uint32 version = versionInForce(commitmentId);
        require(version != 0, CommitmentNotInForce(commitmentId));
        IBeacon beacon = $.beacon;
        uint64 dueAt = uint64(block.timestamp) + parameters.beaconDelay;
        uint64 round = beacon.roundAt(dueAt);
        require(beacon.randomness(round) == 0, RoundAlreadyPosted(round));

        challengeId = ++$.challengeCount;
        bytes32 nodeId = _countIn(commitmentId, challengeId);
        uint64 leaves = StorageProof.leafCount($.terms[commitmentId][version].size);
        Challenge storage challenge = $.challenges[challengeId];
        challenge.commitmentId = commitmentId;
        challenge.challenger = msg.sender;
        challenge.version = version;
        challenge.positions = uint8(Math.min(parameters.positions, leaves));
        challenge.status = ChallengeStatus.Open;
        (challenge.beacon, challenge.round) = (beacon, round);
        challenge.bond = parameters.bond;
        challenge.roundBy = dueAt + parameters.beaconGrace;
        challenge.responseWindow = parameters.responseWindow;

        emit ChallengeIssued(
            challengeId,
            commitmentId,
            nodeId,
            round,
            msg.sender,
            version,
            challenge.positions,
            challenge.bond
        );
        $.token.pull(msg.sender, challenge.bond);
    }

    // Anyone.

    /// @inheritdoc IStorageRegistry
    function respond(uint256 challengeId, bytes calldata proof) external {
        StorageRegistryStorage storage $ = _storage();
        Challenge storage challenge = _open(challengeId);
        uint64 deadline = _respondBy(challenge);
        require(deadline != 0, RoundNotPosted(challenge.round));
        require(block.timestamp <= deadline, TooLate(deadline));
        StorageProof.check(_question(challengeId, challenge), proof);

        Commitment storage commitment = _countOut(challengeId, ChallengeStatus.Answered);
        commitment.lastProvenAt = uint64(block.timestamp);
        address owner = $.terms[challenge.commitmentId][challenge.version].owner;
        $.credits[owner] += challenge.bond;

        emit ChallengeAnswered(challengeId, challenge.commitmentId, owner, challenge.bond);
    }

    /// @inheritdoc IStorageRegistry
    function resolveChallenge(uint256 challengeId) external nonReentrant {
        Challenge storage challenge = _open(challengeId);
        uint64 respondBy = _respondBy(challenge);
        uint64 deadline = respondBy == 0 ? challenge.roundBy : respondBy;
        require(block.timestamp > deadline, TooEarly(deadline));

        if (respondBy == 0) _refund(challengeId, challenge);
        else _fail(challengeId, challenge);
    }

    /// @inheritdoc IStorageRegistry
    function abandonChallenge(uint256 challengeId) external {
        Challenge storage challenge = _open(challengeId);
        uint64 respondBy = _respondBy(challenge);
        require(respondBy != 0, RoundNotPosted(challenge.round));
        uint64 deadline = respondBy + ABANDON_AFTER_S;
        require(block.timestamp > deadline, TooEarly(deadline));

        _refund(challengeId, challenge);
    }

    /// @inheritdoc IStorageRegistry
    function close(bytes32 commitmentId) external {
        StorageRegistryStorage storage $ = _storage();
        Commitment storage commitment = $.commitments[commitmentId];
        require(
            block.timestamp >= commitment.endsAt
                && $.commitmentsOf[commitment.nodeId].remove(commitmentId),
            CommitmentNotEnded(commitmentId, commitment.endsAt)
        );
        $.replicasOf[commitment.content].remove(commitmentId);

        emit CommitmentClosed(commitmentId, commitment.nodeId);
    }

    /// @inheritdoc IStorageRegistry
    function withdraw() external nonReentrant {
        StorageRegistryStorage storage $ = _storage();
        uint256 amount = $.credits[msg.sender];
        require(amount != 0, NothingToWithdraw());
        $.credits[msg.sender] = 0;

        emit Withdrawn(msg.sender, amount);
        $.token.safeTransfer(msg.sender, amount);
    }

    // Governance.

    /// @inheritdoc IStorageRegistry
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    /// @inheritdoc IStorageRegistry
    function setBeacon(IBeacon beacon) external onlyRole(Roles.PARAMETER) {
        _setBeacon(beacon);
    }

    /// @inheritdoc IStorageRegistry
    function setFaultPolicy(IStorageFaultPolicy policy) external onlyRole(Roles.PARAMETER) {
        require(address(policy) != address(0), ZeroAddress());
        _storage().policy = policy;
        emit FaultPolicySet(policy);
    }

    // Views.

    /// @inheritdoc IStorageRegistry
    function commitmentIdOf(bytes32 nodeId, bytes32 content) public pure returns (bytes32) {
        return keccak256(abi.encode(nodeId, content));
    }

    /// @inheritdoc IStorageRegistry
    function getCommitment(bytes32 commitmentId) external view returns (Commitment memory) {
        return _storage().commitments[commitmentId];
    }

    /// @inheritdoc IStorageRegistry
    function getTerms(bytes32 commitmentId, uint32 version) external view returns (Terms memory) {
        return _storage().terms[commitmentId][version];
    }

    /// @inheritdoc IStorageRegistry
    function versionInForce(bytes32 commitmentId) public view returns (uint32) {
        Commitment storage commitment = _storage().commitments[commitmentId];
        if (!_isInForce(commitment)) return 0;
        // Only the latest version can be one that has not started.
        uint32 latest = commitment.version;
        return block.timestamp >= commitment.versionStartsAt ? latest : latest - 1;
    }

    /// @inheritdoc IStorageRegistry
    function getCommitmentsOf(bytes32 nodeId, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory)
    {
        return _storage().commitmentsOf[nodeId].page(offset, limit);
    }

    /// @inheritdoc IStorageRegistry
    function getReplicasOf(bytes32 content, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory)
    {
        return _storage().replicasOf[content].page(offset, limit);
    }

    /// @inheritdoc IStorageRegistry
    function getChallenge(uint256 challengeId) external view returns (Challenge memory) {
        return _storage().challenges[challengeId];
    }

    /// @inheritdoc IStorageRegistry
    function getOpenChallengesOf(bytes32 nodeId, uint256 offset, uint256 limit)
        external
        view
        returns (uint256[] memory)
    {
        return _storage().openChallengesOf[nodeId].page(offset, limit);
    }

    /// @inheritdoc IStorageRegistry
    function leavesOf(uint256 challengeId) external view returns (uint64[] memory leaves) {
        Challenge storage challenge = _storage().challenges[challengeId];
        require(
            challenge.status != ChallengeStatus.None
                && challenge.beacon.postedAt(challenge.round) != 0,
            RoundNotPosted(challenge.round)
        );
        StorageProof.Question memory question = _question(challengeId, challenge);
        leaves = new uint64[](question.positions);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] =
                StorageProof.leafIndexAt(question.seed, i, StorageProof.leafCount(question.size));
        }
    }

    /// @inheritdoc IStorageRegistry
    function challengeCount() external view returns (uint256) {
        return _storage().challengeCount;
    }

    /// @inheritdoc IStorageRegistry
    function creditOf(address account) external view returns (uint256) {
        return _storage().credits[account];
    }

    /// @inheritdoc IStorageRegistry
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    /// @inheritdoc IStorageRegistry
    function getFloors() external view returns (Floors memory) {
        return _storage().floors;
    }

    /// @inheritdoc IStorageRegistry
    function getBeacon() external view returns (IBeacon) {
        return _storage().beacon;
    }

    /// @inheritdoc IStorageRegistry
    function getFaultPolicy() external view returns (IStorageFaultPolicy) {
        return _storage().policy;
    }

    // Inside.

    /// @dev Adds a version that comes into force at the next border.
    function _setTerms(bytes32 commitmentId, Commitment storage commitment, Offer calldata offer)
        private
        returns (address owner)
    {
        StorageRegistryStorage storage $ = _storage();
        INodeRegistry.Node memory node = $.registry.getNode(commitment.nodeId);
        require(_speaksFor(node), NotOfNode(commitment.nodeId, msg.sender));
        require(node.status == INodeRegistry.NodeStatus.Active, NodeNotActive(commitment.nodeId));
        require(offer.root != 0, ZeroHash());
        Bounds.check("size", offer.size, 1, StorageProof.SIZE_BYTES_MAX);
        Bounds.check("replicas", offer.replicas, 1, REPLICAS_MAX);
        Bounds.check("periods", offer.periods, 1, PERIODS_MAX);

        owner = node.owner;
        uint64 startsAt = _nextBorder();
        commitment.versionStartsAt = startsAt;
        commitment.replicas = offer.replicas;
        commitment.endsAt = startsAt + offer.periods * $.parameters.period;
        $.terms[commitmentId][++commitment.version] =
            Terms(offer.root, offer.encoding, owner, offer.size);
    }

    function _fail(uint256 challengeId, Challenge storage challenge) private {
        StorageRegistryStorage storage $ = _storage();
        bytes32 commitmentId = challenge.commitmentId;
        address challenger = challenge.challenger;
        bytes32 nodeId = $.commitments[commitmentId].nodeId;
        (uint256 amount, uint16 challengerBps) = $.policy.faultCost(nodeId, commitmentId);

        Commitment storage commitment = _countOut(challengeId, ChallengeStatus.Failed);
        ++commitment.faults;
        commitment.lastFaultAt = uint64(block.timestamp);
        $.credits[challenger] += challenge.bond;

        uint256 slashed;
        uint256 reward;
        if (amount != 0) {
            (slashed, reward) = $.staking
                .slashOwner(
                    nodeId,
                    $.terms[commitmentId][challenge.version].owner,
                    amount,
                    challenger,
                    challengerBps,
                    SLASH_REASON
                );
        }
        emit ChallengeResolved(challengeId, commitmentId, challenger, slashed, reward);
    }

    function _refund(uint256 challengeId, Challenge storage challenge) private {
        _countOut(challengeId, ChallengeStatus.Refunded);
        _storage().credits[challenge.challenger] += challenge.bond;

        emit ChallengeRefunded(challengeId, challenge.commitmentId, challenge.challenger);
    }

    function _countIn(bytes32 commitmentId, uint256 challengeId) private returns (bytes32 nodeId) {
        StorageRegistryStorage storage $ = _storage();
        Commitment storage commitment = $.commitments[commitmentId];
        nodeId = commitment.nodeId;
        EnumerableSet.UintSet storage open = $.openChallengesOf[nodeId];
        uint256 openOfCommitment = commitment.openChallenges;
        require(
            openOfCommitment == 0
                || (openOfCommitment < $.parameters.openPerCommitmentMax
                    && open.length() < $.parameters.openPerNodeMax),
            TooManyChallenges(commitmentId)
        );
        ++commitment.openChallenges;
        open.add(challengeId);
    }

    function _countOut(uint256 challengeId, ChallengeStatus status)
        private
        returns (Commitment storage commitment)
    {
        StorageRegistryStorage storage $ = _storage();
        Challenge storage challenge = $.challenges[challengeId];
        challenge.status = status;
        commitment = $.commitments[challenge.commitmentId];
        --commitment.openChallenges;
        $.openChallengesOf[commitment.nodeId].remove(challengeId);
    }

    function _open(uint256 challengeId) private view returns (Challenge storage challenge) {
        challenge = _storage().challenges[challengeId];
        require(
            challenge.status == ChallengeStatus.Open,
            ChallengeNotOpen(challengeId, challenge.status)
        );
    }

    /// @dev Until when the node may answer; 0 when the round was not posted in time. The clock
    /// starts with the posting, so that a beacon that was away takes nothing from the node.
    function _respondBy(Challenge storage challenge) private view returns (uint64) {
        uint64 postedAt = challenge.beacon.postedAt(challenge.round);
        if (postedAt == 0 || postedAt > challenge.roundBy) return 0;
        return postedAt + challenge.responseWindow;
    }

    function _question(uint256 challengeId, Challenge storage challenge)
        private
        view
        returns (StorageProof.Question memory)
    {
        StorageRegistryStorage storage $ = _storage();
        bytes32 commitmentId = challenge.commitmentId;
        uint32 version = challenge.version;
        Terms storage terms = $.terms[commitmentId][version];
        uint64 size = terms.size;
        bytes32 seed = StorageProof.seedOf(
            challenge.beacon.randomness(challenge.round),
            challengeId,
            $.commitments[commitmentId].nodeId,
            version,
            StorageProof.leafCount(size)
        );
        return StorageProof.Question(terms.root, size, seed, challenge.positions);
    }

    function _speaksFor(INodeRegistry.Node memory node) private view returns (bool) {
        return msg.sender == node.operator || msg.sender == node.owner;
    }

    function _isInForce(Commitment storage commitment) private view returns (bool) {
        return block.timestamp >= commitment.startsAt && block.timestamp < commitment.endsAt;
    }

    function _nextBorder() private view returns (uint64) {
        uint64 period = _storage().parameters.period;
        return (uint64(block.timestamp) / period + 1) * period;
    }

    function _setBeacon(IBeacon beacon) private {
        require(address(beacon) != address(0), ZeroAddress());
        _storage().beacon = beacon;
        emit BeaconSet(beacon);
    }

    function _setParameters(Parameters calldata p) private {
        StorageRegistryStorage storage $ = _storage();
        Bounds.check("bond", p.bond, BOND_MIN, BOND_MAX);
        Bounds.check("period", p.period, PERIOD_S_MIN, PERIOD_S_MAX);
        Bounds.check("beaconDelay", p.beaconDelay, $.floors.beaconDelay, BEACON_DELAY_S_MAX);
        Bounds.check("beaconGrace", p.beaconGrace, BEACON_GRACE_S_MIN, BEACON_GRACE_S_MAX);
        Bounds.check(
            "responseWindow", p.responseWindow, $.floors.responseWindow, RESPONSE_WINDOW_S_MAX
        );
        Bounds.check("positions", p.positions, 1, StorageProof.POSITIONS_MAX);
        Bounds.check("openPerCommitmentMax", p.openPerCommitmentMax, 1, OPEN_PER_COMMITMENT_MAX);
        Bounds.check("openPerNodeMax", p.openPerNodeMax, 1, OPEN_PER_NODE_MAX);
        $.parameters = p;

        emit ParametersSet(p);
    }

    function _storage() private pure returns (StorageRegistryStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBeacon} from "./IBeacon.sol";
import {IStorageFaultPolicy} from "./IStorageFaultPolicy.sol";

/// @title Which node stores what, and whether it does
/// @notice A node commits to a tree of hashes over the bytes that it stores (see the library
/// StorageProof). While the commitment is in force, anyone can challenge it for a bond: show a few
/// leaves that nobody can know beforehand. A node that shows them gets the bond; one that does not
/// is slashed, and the challenger gets a part.
///
/// ```
///              border                    border              border
///   commit ──────▶│ in force, version 1 ───▶│ version 2 ───────▶│ ended
///                          renew ──────────┘      remove ───────┘
/// ```
///
/// Commitments begin, change and end at borders between periods only, and a challenge is about the
/// version in force when it was issued: nothing that a node does can dodge or turn a challenge that
/// it sees coming.
///
/// ```
///   issueChallenge ──▶ Open ──(round posted)── respond ─────────────────────▶ Answered
///                       ├──(no answer by the deadline)── resolveChallenge ──▶ Failed
///                       ├──(no round in time)─────────── resolveChallenge ──▶ Refunded
///                       └──(nobody could resolve it)──── abandonChallenge ──▶ Refunded
/// ```
///
/// The bytes must be kept until the answers to all challenges are given, which can be
/// `beaconDelay + beaconGrace + responseWindow` after the commitment has ended. Each version is a
/// promise of the owner that the node had then: its stake answers for it, and it gets the bonds,
/// whoever owns the node later.
interface IStorageRegistry {
    /// @notice Where a challenge is in its life.
    enum ChallengeStatus {
        None,
        Open,
        Answered,
        Failed,
        Refunded
    }

    /// @notice The rules that governance can change; what began keeps the rules that it began with.
    /// @param bond What a challenge costs, in the token's units.
    /// @param period Time between the borders, in seconds; borders are its multiples.
    /// @param beaconDelay How long after a challenge's issue its round is due, in seconds.
    /// @param beaconGrace How late the round may be posted, in seconds.
    /// @param responseWindow How long a node has after the round was posted, in seconds.
    /// @param positions How many leaves a challenge asks for, at most one for each leaf there is.
    /// @param openPerCommitmentMax How many challenges of a commitment are open at a time.
    /// @param openPerNodeMax How many challenges of a node are open at a time. A commitment with no
    /// open challenge can be challenged all the same, so that a node cannot hide one of its
    /// commitments behind challenges of another.
    struct Parameters {
        uint128 bond;
        uint64 period;
        uint64 beaconDelay;
        uint64 beaconGrace;
        uint64 responseWindow;
        uint8 positions;
        uint8 openPerCommitmentMax;
        uint16 openPerNodeMax;
    }

    /// @notice Lower bounds that are set once, at deployment: short times are for tests.
    /// @param beaconDelay In seconds.
    /// @param responseWindow In seconds.
    struct Floors {
        uint64 beaconDelay;
        uint64 responseWindow;
    }

    /// @notice What a node commits to.
    /// @param root The root of the tree over the bytes.
    /// @param encoding How the bytes follow from the content: 0 if they are the content, else the
    /// hash of what says how this node encodes it for itself.
    /// @param size How many bytes there are.
    /// @param replicas How many nodes are meant to store the content.
    /// @param periods For how many periods.
    struct Offer {
        bytes32 root;
        bytes32 encoding;
        uint64 size;
        uint16 replicas;
        uint16 periods;
    }

    /// @notice One version of what a node stores; see `Offer`.
    /// @param owner The node's owner then: answers for it, and is paid for answers.
    struct Terms {
        bytes32 root;
        bytes32 encoding;
        address owner;
        uint64 size;
    }

    /// @notice A node's commitment to one content. Times are Unix times in seconds.
    /// @param nodeId Who stores.
    /// @param content What is stored: the hash that names it.
    /// @param version The latest version of the terms.
    /// @param replicas How many nodes are meant to store the content.
    /// @param openChallenges How many challenges wait for an answer.
    /// @param faults How many challenges were not answered.
    /// @param versionStartsAt When the latest version comes into force, or came.
    /// @param startsAt Since when the commitment is in force without a gap.
    /// @param endsAt When it ends.
    /// @param lastProvenAt When it was last proven; 0 before.
    /// @param lastFaultAt When a fault was last recorded; 0 before.
    struct Commitment {
        bytes32 nodeId;
        bytes32 content;
        uint32 version;
        uint16 replicas;
        uint16 openChallenges;
        uint32 faults;
        uint64 versionStartsAt;
        uint64 startsAt;
        uint64 endsAt;
        uint64 lastProvenAt;
        uint64 lastFaultAt;
    }

    /// @notice A challenge.
    /// @param version The version of the commitment that it is about.
    /// @param positions How many leaves it asks for.
    /// @param beacon Where its randomness comes from.
    /// @param round The beacon's round that gives it.
    /// @param bond What the challenger paid in.
    /// @param roundBy When the round must be posted, Unix time in seconds.
    /// @param responseWindow How long the node has after that, in seconds.
    struct Challenge {
        bytes32 commitmentId;
        address challenger;
        uint32 version;
        uint8 positions;
        ChallengeStatus status;
        IBeacon beacon;
        uint64 round;
        uint128 bond;
        uint64 roundBy;
        uint64 responseWindow;
    }

    /// @notice A node commits to store a content from `startsAt` to `endsAt`.
    event Committed(
        bytes32 indexed commitmentId,
        bytes32 indexed nodeId,
        bytes32 indexed content,
        uint32 version,
        address owner,
        Offer offer,
        uint64 startsAt,
        uint64 endsAt
    );

    /// @notice A commitment gets new terms from `startsAt` on, and ends at `endsAt`.
    event CommitmentRenewed(
        bytes32 indexed commitmentId,
        bytes32 indexed nodeId,
        uint32 version,
        address owner,
        Offer offer,
        uint64 startsAt,
        uint64 endsAt
    );

    /// @notice A commitment ends early.
    event CommitmentRemoved(bytes32 indexed commitmentId, bytes32 indexed nodeId, uint64 endsAt);

    /// @notice An ended commitment left the lists.
    event CommitmentClosed(bytes32 indexed commitmentId, bytes32 indexed nodeId);

    /// @notice A node must show leaves that the round will choose.
    event ChallengeIssued(
        uint256 indexed challengeId,
        bytes32 indexed commitmentId,
        bytes32 indexed nodeId,
        uint64 round,
        address challenger,
        uint32 version,
        uint8 positions,
        uint128 bond
    );

    /// @notice A node showed the leaves; the bond is its owner's.
    event ChallengeAnswered(
        uint256 indexed challengeId,
        bytes32 indexed commitmentId,
        address indexed owner,
        uint256 bond
    );

    /// @notice A node did not show the leaves; the challenger has its bond back.
    event ChallengeResolved(
        uint256 indexed challengeId,
        bytes32 indexed commitmentId,
        address indexed challenger,
        uint256 slashed,
        uint256 reward
    );

    /// @notice A challenge came to nothing; the challenger has its bond back.
    event ChallengeRefunded(
        uint256 indexed challengeId, bytes32 indexed commitmentId, address indexed challenger
    );

    /// @notice What an account was credited was paid out.
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice The rules changed.
    event ParametersSet(Parameters parameters);

    /// @notice Challenges are issued on another beacon from now on.
    event BeaconSet(IBeacon beacon);

    /// @notice Another policy says what faults cost from now on.
    event FaultPolicySet(IStorageFaultPolicy policy);

    /// @notice A contract's address is zero.
    error ZeroAddress();

    /// @notice The content or its root is zero.
    error ZeroHash();

    /// @notice Only the node's operator or owner may do this.
    error NotOfNode(bytes32 nodeId, address account);

    /// @notice Only active nodes commit.
    error NodeNotActive(bytes32 nodeId);

    /// @notice The node has committed to this content, until `endsAt`.
    error AlreadyCommitted(bytes32 commitmentId, uint64 endsAt);

    /// @notice The commitment has not begun, has ended, or was never made.
    error CommitmentNotInForce(bytes32 commitmentId);

    /// @notice The commitment ends at the next border anyway, has ended, or was never made.
    error CommitmentEnding(bytes32 commitmentId, uint64 endsAt);

    /// @notice The commitment has not ended, or was never made.
    error CommitmentNotEnded(bytes32 commitmentId, uint64 endsAt);

    /// @notice The commitment changes already: wait for `startsAt`.
    error ChangePending(bytes32 commitmentId, uint64 startsAt);

    /// @notice As many challenges as there may be are open.
    error TooManyChallenges(bytes32 commitmentId);

    /// @notice Nothing says yet what faults cost.
    error FaultPolicyMissing();

    /// @notice The round that the challenge would use is known already: the chain's clock lags.
    error RoundAlreadyPosted(uint64 round);

    /// @notice The round was not posted, or too late.
    error RoundNotPosted(uint64 round);

    /// @notice The challenge has ended, or was never issued.
    error ChallengeNotOpen(uint256 challengeId, ChallengeStatus status);

    /// @notice The deadline, in Unix time, has not passed.
    error TooEarly(uint64 deadline);

    /// @notice The deadline, in Unix time, has passed.
    error TooLate(uint64 deadline);

    /// @notice The account has no credit.
    error NothingToWithdraw();

    /// @notice Commits a node to store a content. The node's operator or owner.
    /// @dev Taking in: stops while paused. Comes into force at the next border.
    function commit(bytes32 nodeId, bytes32 content, Offer calldata offer)
        external
        returns (bytes32 commitmentId);

    /// @notice Gives a commitment in force new terms and another end. The node's operator or owner.
    /// @dev Taking in: stops while paused. Comes into force at the next border.
    function renew(bytes32 commitmentId, Offer calldata offer) external;

    /// @notice Ends a commitment at the next border. The node's operator or owner; anyone once the
    /// node is not active any more, or belongs to another owner than the one who promised.
    function remove(bytes32 commitmentId) external;

    /// @notice Takes an ended commitment off the lists. Anyone may call.
    function close(bytes32 commitmentId) external;

    /// @notice Challenges a commitment in force. Anyone who pays the bond may call.
    /// @dev Taking in: stops while paused.
    function issueChallenge(bytes32 commitmentId) external returns (uint256 challengeId);

    /// @notice Answers a challenge. Anyone may call: what counts is the data.
    /// @param proof See the library StorageProof.
    function respond(uint256 challengeId, bytes calldata proof) external;

    /// @notice Ends a challenge whose deadline has passed: without its round the challenger has the
    /// bond back, without an answer the node is slashed as well. Anyone may call.
    function resolveChallenge(uint256 challengeId) external;

    /// @notice Gives the bond back when a challenge could not be resolved for a week, whatever
    /// contract stands in the way. Anyone may call.
    function abandonChallenge(uint256 challengeId) external;

    /// @notice Pays out what the sender was credited.
    function withdraw() external;

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    function setParameters(Parameters calldata parameters) external;

    /// @notice Issues further challenges on another beacon. PARAMETER_ROLE only.
    function setBeacon(IBeacon beacon) external;

    /// @notice Lets another policy say what faults cost. PARAMETER_ROLE only.
    function setFaultPolicy(IStorageFaultPolicy policy) external;

    /// @notice The id of a node's commitment to a content.
    function commitmentIdOf(bytes32 nodeId, bytes32 content) external pure returns (bytes32);

    /// @notice The commitment with this id; all zero when it was never made.
    function getCommitment(bytes32 commitmentId) external view returns (Commitment memory);

    /// @notice A version of a commitment's terms; all zero when there is none. The first is 1.
    function getTerms(bytes32 commitmentId, uint32 version) external view returns (Terms memory);

    /// @notice The version in force; 0 when none is.
    function versionInForce(bytes32 commitmentId) external view returns (uint32);

    /// @notice A page of the ids of a node's commitments that were not closed, at most 256.
    function getCommitmentsOf(bytes32 nodeId, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory);

    /// @notice A page of the ids of the commitments to a content that were not closed, at most 256.
    function getReplicasOf(bytes32 content, uint256 offset, uint256 limit)
        external
        view
        returns (bytes32[] memory);

    /// @notice The challenge with this id; all zero when it was never issued.
    function getChallenge(uint256 challengeId) external view returns (Challenge memory);

    /// @notice A page of the ids of a node's open challenges, at most 256.
    function getOpenChallengesOf(bytes32 nodeId, uint256 offset, uint256 limit)
        external
        view
        returns (uint256[] memory);

    /// @notice The leaves that a challenge asks for, in the proof's order.
    /// @dev Reverts until the round is posted.
    function leavesOf(uint256 challengeId) external view returns (uint64[] memory);

    /// @notice How many challenges were issued; their ids begin with 1.
    function challengeCount() external view returns (uint256);

    /// @notice What an account can withdraw.
    function creditOf(address account) external view returns (uint256);

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);

    /// @notice The bounds that were set at deployment.
    function getFloors() external view returns (Floors memory);

    /// @notice Where the randomness of new challenges comes from.
    function getBeacon() external view returns (IBeacon);

    /// @notice What says what a fault costs.
    function getFaultPolicy() external view returns (IStorageFaultPolicy);
}

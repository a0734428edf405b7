// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Which domain names point to what, and who says so
/// @notice Whoever controls a name's DNS can own it here. A claim reserves nothing: it only fixes a
/// challenge, a number made for this name, this claimant and this claim. The claimant puts it into
/// the DNS as a TXT record at `_aleph.<name>` (`aleph-challenge=0x` and 64 hexadecimal digits), and
/// once enough witnesses have seen it there, the name is the claimant's. So there is nothing to
/// gain in front of somebody else's claim, and no claim ever stands in another's way.
///
/// ```
///   a claim     registerDomain ──▶ pending ──▶ used, when a quorum has verified it
///                                     └─(claimValidity)─▶ void
///
///   a name      Free ──▶ Live ──(validityPeriod)──▶ Grace ──(gracePeriod)──▶ Free
///                 a claim  ▲                          │
///                 is used  └── one of the owner's is ─┘
///
///   a contest   one of somebody else's is used while the name is not free ──▶ contested
///                 ├── one that the owner makes after that is used ──▶ over
///                 ├─(contestPeriod)─▶ settleContest ──▶ Live, and the contender's
///                 └─(validityPeriod)─▶ void
/// ```
///
/// `releaseDomain` leads from every state to `Free`.
///
/// A claim that is verified is used up: to keep a name, its owner claims it again. While in grace a
/// name points to nothing and can still be kept. When somebody else verifies a claim to a name
/// that has an owner, as happens when a domain is sold, the owner has `contestPeriod` to verify
/// one that it makes after that; otherwise the name goes over.
///
/// Names of a DNS that witnesses can be shown are all that this holds: the owner of a name has no
/// say in names below it. Each name has one spelling (`example.org`; see `domainIdOf`), and is
/// known by that spelling's hash. One over 246 bytes leaves no room for `_aleph.`: it can be
/// claimed, never verified.
interface IDomainRegistry {
    /// @notice What a name points to.
    enum TargetKind {
        None,
        Instance,
        Function,
        Content
    }

    /// @notice Where a name is in its life. In all but `Free` it has an owner.
    enum DomainStatus {
        Free,
        Live,
        Grace
    }

    /// @notice The rules that governance can change. Times are in seconds.
    /// @param witnessQuorum How many witnesses must have seen a challenge.
    /// @param claimValidity How long a claim can be verified.
    /// @param validityPeriod How long a name is live after a verification.
    /// @param gracePeriod How long after that it can still be kept.
    /// @param contestPeriod How long an owner can answer a contest.
    struct Parameters {
        uint32 witnessQuorum;
        uint64 claimValidity;
        uint64 validityPeriod;
        uint64 gracePeriod;
        uint64 contestPeriod;
    }

    /// @notice Somebody's wish to own a name. Times are Unix times in seconds.
    /// @param used Whether a quorum has seen its challenge.
    struct Claim {
        bytes32 domainId;
        address claimant;
        uint64 claimedAt;
        uint64 validUntil;
        bool used;
    }

    /// @notice A name that was verified at some time. Times are Unix times in seconds.
    /// @param owner The last owner; has a say only as long as the name is not free.
    /// @param expiresAt Until when it is live.
    /// @param graceEndsAt Until when it is not free.
    /// @param pendingOwner To whom the owner wants to give it, or zero.
    /// @param contender Who wants it and has shown that it controls the DNS, or zero.
    /// @param contestedAt When the contender's claim was verified.
    /// @param contestEndsAt Until when the owner can answer.
    /// @param proofExpiresAt Until when the contender's verification makes it live.
    /// @param kind What the target is.
    /// @param target Item hash or SHA-256 digest of what the name points to.
    struct Domain {
        address owner;
        uint64 expiresAt;
        address pendingOwner;
        uint64 graceEndsAt;
        address contender;
        uint64 contestedAt;
        uint64 contestEndsAt;
        uint64 proofExpiresAt;
        TargetKind kind;
        bytes32 target;
    }

    /// @notice Somebody claims a name.
    event DomainClaimed(
        uint256 indexed claimId,
        bytes32 indexed domainId,
        address indexed claimant,
        string name,
        bytes32 challenge,
        uint64 validUntil
    );

    /// @notice A witness has seen a claim's challenge in the DNS.
    event ClaimWitnessed(uint256 indexed claimId, address indexed witness);

    /// @notice A claim was verified and the name has a new owner; it points to nothing.
    event DomainTaken(bytes32 indexed domainId, address indexed owner, uint64 expiresAt);

    /// @notice The owner verified a claim and keeps the name.
    event DomainRenewed(bytes32 indexed domainId, address indexed owner, uint64 expiresAt);

    /// @notice Somebody else verified a claim; the owner can answer until `contestEndsAt`.
    event DomainContested(
        bytes32 indexed domainId, address indexed contender, uint64 contestEndsAt
    );

    /// @notice The owner answered a contest and keeps the name.
    event ContestAnswered(bytes32 indexed domainId, address indexed contender);

    /// @notice A name points to something else, or with `None` to nothing.
    event DomainMapped(bytes32 indexed domainId, TargetKind kind, bytes32 target);

    /// @notice The owner wants to give the name away.
    event DomainTransferStarted(
        bytes32 indexed domainId, address indexed owner, address indexed pendingOwner
    );

    /// @notice The owner wants to keep the name after all.
    event DomainTransferCancelled(bytes32 indexed domainId, address indexed pendingOwner);

    /// @notice The name has another owner, who accepted it; it points to what it did.
    event DomainTransferred(
        bytes32 indexed domainId, address indexed owner, address indexed newOwner
    );

    /// @notice The owner gave the name up.
    event DomainReleased(bytes32 indexed domainId, address indexed owner);

    /// @notice The rules changed.
    event ParametersSet(Parameters parameters);

    /// @notice This is not a name, or not the spelling of one that counts.
    error InvalidDomainName();

    /// @notice There is no such claim.
    error UnknownClaim(uint256 claimId);

    /// @notice The claim was verified before.
    error ClaimUsed(uint256 claimId);

    /// @notice The claim is too old.
    error ClaimExpired(uint256 claimId);

    /// @notice Only the owner may do this.
    error NotDomainOwner(bytes32 domainId, address account);

    /// @notice The name is not live.
    error DomainNotLive(bytes32 domainId);

    /// @notice The name cannot be given to the zero address.
    error ZeroAddress();

    /// @notice The name is not being given to this account.
    error NotPendingOwner(bytes32 domainId, address account);

    /// @notice A target has a kind, and a kind a target.
    error InvalidTarget();

    /// @notice Nobody contests the name.
    error NotContested(bytes32 domainId);

    /// @notice A contest can be settled from `from` to `until`.
    error WrongTime(uint256 from, uint256 until);

    /// @notice Claims a name for the sender.
    /// @dev Taking in: stops while paused, but not for the name's owner, who would lose it.
    /// @param name At most 253 bytes, as `domainIdOf` wants it.
    /// @return claimId Counts up from 1.
    /// @return challenge What to put into the DNS.
    function registerDomain(string calldata name)
        external
        returns (uint256 claimId, bytes32 challenge);

    /// @notice Says that the challenge of a claim is in the DNS. DNS_WITNESS_ROLE only; counts once
    /// `witnessQuorum` witnesses have said so.
    /// @dev When a witness loses its role, claims without a quorum start anew.
    function verify(uint256 claimId) external;

    /// @notice Gives a contested name to the contender. Anyone may call, once the owner has let
    /// `contestPeriod` pass, and until what the contender has shown is too old.
    function settleContest(bytes32 domainId) external;

    /// @notice Points a live name to a target, or with `None` and zero to nothing. Owner only.
    function mapDomain(bytes32 domainId, TargetKind kind, bytes32 target) external;

    /// @notice Offers a live name to somebody, who must accept it. Owner only.
    function transferDomain(bytes32 domainId, address newOwner) external;

    /// @notice Takes the offer back. Owner only.
    function cancelTransfer(bytes32 domainId) external;

    /// @notice Accepts a live name. Only the account that it was offered to.
    /// @dev Neither its expiry nor a contest changes by it.
    function acceptDomain(bytes32 domainId) external;

    /// @notice Gives a name up; it is free at once. Owner only.
    function releaseDomain(bytes32 domainId) external;

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    /// @dev Binds what happens later: clocks that run keep their end.
    function setParameters(Parameters calldata parameters) external;

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);

    /// @notice The claim with this id; all zero when there is none.
    function getClaim(uint256 claimId) external view returns (Claim memory);

    /// @notice How many claims there ever were; the newest one's id.
    function claimCount() external view returns (uint256);

    /// @notice What the TXT record of a claim must hold.
    function challengeOf(uint256 claimId) external view returns (bytes32);

    /// @notice What is known of a name; all zero when it never had an owner or was released.
    function getDomain(bytes32 domainId) external view returns (Domain memory);

    /// @notice Where a name is in its life.
    function statusOf(bytes32 domainId) external view returns (DomainStatus);

    /// @notice The owner of a name, or zero when it is free.
    function ownerOf(bytes32 domainId) external view returns (address);

    /// @notice What a name points to: `None` and zero when it is not live or points to nothing.
    function resolve(bytes32 domainId) external view returns (TargetKind kind, bytes32 target);

    /// @notice The id of a name. Refuses what is not a name in its one spelling: at most 253 bytes
    /// of lower case letters, digits, hyphens and dots, two labels of 1 to 63 bytes or more, none
    /// of which begins or ends with a hyphen, a letter in the last, no dot at the end.
    function domainIdOf(string calldata name) external pure returns (bytes32);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Governed} from "./base/Governed.sol";
import {IDomainRegistry} from "./interfaces/IDomainRegistry.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {DomainName} from "./libraries/DomainName.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title DomainRegistry
/// @notice See {IDomainRegistry}.
contract DomainRegistry is IDomainRegistry, Governed {
    using Quorum for Quorum.Ballots;

    uint256 private constant WITNESS_QUORUM_MAX = 32;
    uint256 private constant CLAIM_VALIDITY_S_MAX = 30 days;
    uint256 private constant CONTEST_PERIOD_S_MAX = 30 days;
    uint256 private constant VALIDITY_PERIOD_S_MAX = 400 days;
    uint256 private constant GRACE_PERIOD_S_MAX = 90 days;

    /// @custom:storage-location erc7201:aleph.storage.DomainRegistry
    struct DomainRegistryStorage {
        Parameters parameters;
        uint256 ballotRound;
        uint256 claimCount;
        mapping(uint256 claimId => Claim) claims;
        mapping(bytes32 domainId => Domain) domains;
        Quorum.Ballots ballots;
    }

    bytes32 private constant STORAGE_SLOT =
        0xf8419b16cc0653bee5360b79446f108b81fcee304422ddaa4375e924e99ff400;

    function initialize(address admin, Parameters calldata parameters) external initializer {
        __Governed_init(admin);
        _setParameters(parameters);
    }

    // Claims.

    /// @inheritdoc IDomainRegistry
    function registerDomain(string calldata name)
        external
        returns (uint256 claimId, bytes32 challenge)
    {
        bytes32 domainId = domainIdOf(name);
        if (ownerOf(domainId) != msg.sender) _requireNotPaused();

        DomainRegistryStorage storage $ = _storage();
        claimId = ++$.claimCount;
        uint64 validUntil = uint64(block.timestamp) + $.parameters.claimValidity;
        $.claims[claimId] = Claim(domainId, msg.sender, uint64(block.timestamp), validUntil, false);
        challenge = challengeOf(claimId);

        emit DomainClaimed(claimId, domainId, msg.sender, name, challenge, validUntil);
    }

    /// @inheritdoc IDomainRegistry
    function verify(uint256 claimId) external onlyRole(Roles.DNS_WITNESS) {
        DomainRegistryStorage storage $ = _storage();
        Claim storage claim = $.claims[claimId];
        require(claim.claimant != address(0), UnknownClaim(claimId));
        require(!claim.used, ClaimUsed(claimId));
        require(block.timestamp <= claim.validUntil, ClaimExpired(claimId));

        bytes32 statement = keccak256(abi.encode(claimId, $.ballotRound));
        uint256 voices = $.ballots.vote(statement, msg.sender);
        emit ClaimWitnessed(claimId, msg.sender);
        if (voices < $.parameters.witnessQuorum) return;

        claim.used = true;
        bytes32 domainId = claim.domainId;
        uint64 expiresAt = uint64(block.timestamp) + $.parameters.validityPeriod;
        if ($.domains[domainId].owner == claim.claimant) {
            _renew(domainId, expiresAt, claim.claimedAt);
        } else if (statusOf(domainId) == DomainStatus.Free) {
            _take(domainId, claim.claimant, expiresAt);
        } else {
            _contest(domainId, claim.claimant, expiresAt);
        }
    }

    /// @inheritdoc IDomainRegistry
    function settleContest(bytes32 domainId) external {
        Domain storage domain = _storage().domains[domainId];
        require(domain.contender != address(0), NotContested(domainId));
        uint256 from = uint256(domain.contestEndsAt) + 1;
        uint256 until = domain.proofExpiresAt;
        require(block.timestamp >= from && block.timestamp <= until, WrongTime(from, until));

        _take(domainId, domain.contender, domain.proofExpiresAt);
    }

    // Owners.

    /// @inheritdoc IDomainRegistry
    function mapDomain(bytes32 domainId, TargetKind kind, bytes32 target) external {
        Domain storage domain = _ownedAndLive(domainId);
        require((kind == TargetKind.None) == (target == 0), InvalidTarget());
        domain.kind = kind;
        domain.target = target;

        emit DomainMapped(domainId, kind, target);
    }

    /// @inheritdoc IDomainRegistry
    function transferDomain(bytes32 domainId, address newOwner) external {
        Domain storage domain = _ownedAndLive(domainId);
        require(newOwner != address(0), ZeroAddress());
        domain.pendingOwner = newOwner;

        emit DomainTransferStarted(domainId, msg.sender, newOwner);
    }

    /// @inheritdoc IDomainRegistry
    function cancelTransfer(bytes32 domainId) external {
        Domain storage domain = _owned(domainId);
        address pendingOwner = domain.pendingOwner;
        require(pendingOwner != address(0), NotPendingOwner(domainId, address(0)));
        domain.pendingOwner = address(0);

        emit DomainTransferCancelled(domainId, pendingOwner);
    }

    /// @inheritdoc IDomainRegistry
    function acceptDomain(bytes32 domainId) external {
        Domain storage domain = _storage().domains[domainId];
        require(domain.pendingOwner == msg.sender, NotPendingOwner(domainId, msg.sender));
        require(statusOf(domainId) == DomainStatus.Live, DomainNotLive(domainId));
        address owner = domain.owner;
        domain.owner = msg.sender;
        domain.pendingOwner = address(0);
        if (domain.contender == msg.sender) _endContest(domain);

        emit DomainTransferred(domainId, owner, msg.sender);
    }

    /// @inheritdoc IDomainRegistry
    function releaseDomain(bytes32 domainId) external {
        _owned(domainId);
        delete _storage().domains[domainId];

        emit DomainReleased(domainId, msg.sender);
    }

    // Governance.

    /// @inheritdoc IDomainRegistry
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc IDomainRegistry
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    /// @inheritdoc IDomainRegistry
    function getClaim(uint256 claimId) external view returns (Claim memory) {
        return _storage().claims[claimId];
    }

    /// @inheritdoc IDomainRegistry
    function claimCount() external view returns (uint256) {
        return _storage().claimCount;
    }

    /// @inheritdoc IDomainRegistry
    function getDomain(bytes32 domainId) external view returns (Domain memory) {
        return _storage().domains[domainId];
    }

    /// @inheritdoc IDomainRegistry
    function resolve(bytes32 domainId) external view returns (TargetKind kind, bytes32 target) {
        if (statusOf(domainId) != DomainStatus.Live) return (TargetKind.None, 0);
        Domain storage domain = _storage().domains[domainId];
        return (domain.kind, domain.target);
    }

    /// @inheritdoc IDomainRegistry
    /// @dev All that makes a claim what it is, so that no TXT record serves two.
    function challengeOf(uint256 claimId) public view returns (bytes32) {
        Claim storage claim = _storage().claims[claimId];
        require(claim.claimant != address(0), UnknownClaim(claimId));
        return keccak256(
            abi.encode(block.chainid, address(this), claimId, claim.domainId, claim.claimant)
        );
    }

    /// @inheritdoc IDomainRegistry
    function ownerOf(bytes32 domainId) public view returns (address) {
        if (statusOf(domainId) == DomainStatus.Free) return address(0);
        return _storage().domains[domainId].owner;
    }

    /// @inheritdoc IDomainRegistry
    function statusOf(bytes32 domainId) public view returns (DomainStatus) {
        Domain storage domain = _storage().domains[domainId];
        if (block.timestamp <= domain.expiresAt) return DomainStatus.Live;
        return block.timestamp <= domain.graceEndsAt ? DomainStatus.Grace : DomainStatus.Free;
    }

    /// @inheritdoc IDomainRegistry
    function domainIdOf(string calldata name) public pure returns (bytes32) {
        require(DomainName.isValid(bytes(name)), InvalidDomainName());
        return keccak256(bytes(name));
    }

    // Inside.

    /// @dev A witness that loses its role takes back what has no quorum yet; who else spoke says it
    /// again.
    function _revokeRole(bytes32 role, address account) internal override returns (bool revoked) {
        revoked = super._revokeRole(role, account);
        if (revoked && role == Roles.DNS_WITNESS) ++_storage().ballotRound;
    }

    /// @dev Keeps what the name points to, also when it has been free for a while: nobody else has
    /// had it. An answer to a contest must be younger than the contest.
    function _renew(bytes32 domainId, uint64 expiresAt, uint64 claimedAt) private {
        Domain storage domain = _storage().domains[domainId];
        domain.expiresAt = expiresAt;
        domain.graceEndsAt = expiresAt + _storage().parameters.gracePeriod;
        emit DomainRenewed(domainId, domain.owner, expiresAt);

        address contender = domain.contender;
        if (contender != address(0) && claimedAt > domain.contestedAt) {
            _endContest(domain);
            emit ContestAnswered(domainId, contender);
        }
    }

    function _take(bytes32 domainId, address owner, uint64 expiresAt) private {
        DomainRegistryStorage storage $ = _storage();
        delete $.domains[domainId];
        Domain storage domain = $.domains[domainId];
        domain.owner = owner;
        domain.expiresAt = expiresAt;
        domain.graceEndsAt = expiresAt + $.parameters.gracePeriod;

        emit DomainTaken(domainId, owner, expiresAt);
    }

    function _contest(bytes32 domainId, address contender, uint64 proofExpiresAt) private {
        DomainRegistryStorage storage $ = _storage();
        Domain storage domain = $.domains[domainId];
        domain.contender = contender;
        domain.contestedAt = uint64(block.timestamp);
        domain.contestEndsAt = uint64(block.timestamp) + $.parameters.contestPeriod;
        domain.proofExpiresAt = proofExpiresAt;

        emit DomainContested(domainId, contender, domain.contestEndsAt);
    }

    function _endContest(Domain storage domain) private {
        domain.contender = address(0);
        domain.contestedAt = 0;
        domain.contestEndsAt = 0;
        domain.proofExpiresAt = 0;
    }

    function _ownedAndLive(bytes32 domainId) private view returns (Domain storage domain) {
        domain = _owned(domainId);
        require(statusOf(domainId) == DomainStatus.Live, DomainNotLive(domainId));
    }

    function _owned(bytes32 domainId) private view returns (Domain storage domain) {
        domain = _storage().domains[domainId];
        require(domain.owner == msg.sender, NotDomainOwner(domainId, msg.sender));
    }

    /// @dev A contest must end before what the contender has shown does.
    function _setParameters(Parameters calldata parameters) private {
        Bounds.check("witnessQuorum", parameters.witnessQuorum, 1, WITNESS_QUORUM_MAX);
        Bounds.check("claimValidity", parameters.claimValidity, 1, CLAIM_VALIDITY_S_MAX);
        Bounds.check("contestPeriod", parameters.contestPeriod, 1, CONTEST_PERIOD_S_MAX);
        Bounds.check(
            "validityPeriod",
            parameters.validityPeriod,
            2 * uint256(parameters.contestPeriod),
            VALIDITY_PERIOD_S_MAX
        );
        Bounds.check("gracePeriod", parameters.gracePeriod, 1, GRACE_PERIOD_S_MAX);
        _storage().parameters = parameters;

        emit ParametersSet(parameters);
    }

    function _storage() private pure returns (DomainRegistryStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

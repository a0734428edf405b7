// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {DomainRegistry} from "../../src/DomainRegistry.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {DomainFixture} from "../base/DomainFixture.sol";

/// @title A DNS whose names change hands, people who claim them, and witnesses of whom two lie
/// @dev Witnesses 0 and 1 say anything; 2 and 3 only what the DNS shows. Three are a quorum, so
/// behind every verification stands somebody honest.
contract DomainHandler {
    uint256 public constant NAMES = 3;
    uint256 public constant ACCOUNTS = 4;

    DomainRegistry private immutable DOMAINS;

    mapping(uint256 name => address) private controllerOf;
    mapping(uint256 claimId => uint256) private nameOf;
    mapping(uint256 claimId => mapping(uint256 witness => bool)) private spoke;

    /// @notice When an honest witness last saw a challenge of the account's, or of anyone's.
    mapping(uint256 name => mapping(address account => uint256)) public seenAt;
    mapping(uint256 name => uint256) public anySeenAt;
    /// @notice Whether an owner who was seen, or was given the name, gave it to the account.
    mapping(uint256 name => mapping(address account => bool)) public wasGiven;
    /// @notice Counts up whenever a name gets an owner who did not accept it from the last one;
    /// targets say in whose tenure they were set.
    mapping(uint256 name => uint256) public tenure;
    mapping(uint256 claimId => uint256) public voicesOf;
    bool public lostWhileHeld;

    constructor(DomainRegistry domains) {
        DOMAINS = domains;
        for (uint256 i = 0; i < NAMES; ++i) {
            controllerOf[i] = account(i);
        }
    }

    function account(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i % ACCOUNTS));
    }

    function text(uint256 name) public pure returns (string memory) {
        return string.concat(string(abi.encodePacked(bytes1(uint8(0x61 + name % NAMES)))), ".org");
    }

    function domainId(uint256 name) public pure returns (bytes32) {
        return keccak256(bytes(text(name)));
    }

    // The DNS.

    function sell(uint256 name, uint256 to) external {
        // Seldom, or nobody ever keeps a name.
        if (to % 5 != 0) return;
        controllerOf[name % NAMES] = account(to / 5);
    }

    // Claims.

    function claim(uint256 name, uint256 by) external {
        _claim(name % NAMES, account(by));
    }

    /// @dev Who controls a name claims it and is seen, as far as `voices` go.
    function claimAndSee(uint256 name, uint256 voices) external {
        name %= NAMES;
        uint256 claimId = _claim(name, controllerOf[name]);
        for (uint256 i = 0; i < 2 + voices % 3; ++i) {
            _speak(claimId, 3 - i);
        }
    }

    function speak(uint256 seed, uint256 witness) external {
        uint256 count = DOMAINS.claimCount();
        if (count == 0) return;
        // The newest ones: the others are too old.
        uint256 back = seed % 6;
        if (back >= count) return;
        _speak(count - back, witness % 4);
    }

    function settle(uint256 name) external {
        name %= NAMES;
        bytes32 id = domainId(name);
        IDomainRegistry.Domain memory domain = DOMAINS.getDomain(id);
        bool isDue = domain.contender != address(0) && block.timestamp > domain.contestEndsAt
            && block.timestamp <= domain.proofExpiresAt;
        (bool succeeded,) = address(DOMAINS).call(abi.encodeCall(DOMAINS.settleContest, (id)));
        vm.assertTrue(succeeded == isDue);
        if (succeeded) ++tenure[name];
    }

    // Owners.

    function map(uint256 name, uint256 kind) external {
        name %= NAMES;
        bytes32 id = domainId(name);
        if (DOMAINS.statusOf(id) != IDomainRegistry.DomainStatus.Live) return;
        vm.prank(DOMAINS.ownerOf(id));
        DOMAINS.mapDomain(id, IDomainRegistry.TargetKind(1 + kind % 3), bytes32(tenure[name]));
    }

    function transfer(uint256 name, uint256 to) external {
        name %= NAMES;
        bytes32 id = domainId(name);
        if (DOMAINS.statusOf(id) != IDomainRegistry.DomainStatus.Live) return;
        vm.prank(DOMAINS.ownerOf(id));
        DOMAINS.transferDomain(id, account(to));
    }

    function accept(uint256 name) external {
        name %= NAMES;
        bytes32 id = domainId(name);
        address to = DOMAINS.getDomain(id).pendingOwner;
        if (to == address(0) || DOMAINS.statusOf(id) != IDomainRegistry.DomainStatus.Live) return;
        vm.prank(to);
        DOMAINS.acceptDomain(id);
        wasGiven[name][to] = true;
    }

    function cancel(uint256 name) external {
        bytes32 id = domainId(name % NAMES);
        IDomainRegistry.Domain memory domain = DOMAINS.getDomain(id);
        if (domain.pendingOwner == address(0)) return;
        vm.prank(domain.owner);
        DOMAINS.cancelTransfer(id);
    }

    function release(uint256 name, uint256 seed) external {
        if (seed % 8 != 0) return;
        bytes32 id = domainId(name % NAMES);
        address owner = DOMAINS.getDomain(id).owner;
        if (owner == address(0)) return;
        vm.prank(owner);
        DOMAINS.releaseDomain(id);
    }

    /// @dev Somebody who is not the owner tries everything that is the owner's.
    function meddle(uint256 name, uint256 by) external {
        bytes32 id = domainId(name % NAMES);
        address meddler = account(by);
        if (DOMAINS.getDomain(id).owner == meddler) return;
        bytes[4] memory calls = [
            abi.encodeCall(
                DOMAINS.mapDomain,
                (id, IDomainRegistry.TargetKind.Content, keccak256("somebody else's"))
            ),
            abi.encodeCall(DOMAINS.transferDomain, (id, meddler)),
            abi.encodeCall(DOMAINS.cancelTransfer, (id)),
            abi.encodeCall(DOMAINS.releaseDomain, (id))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(meddler);
            (bool succeeded,) = address(DOMAINS).call(calls[i]);
            vm.assertFalse(succeeded);
        }
    }

    function pass(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % (seconds_ % 4 == 0 ? 40 days : 2 days));
    }

    // Inside.

    function _claim(uint256 name, address by) private returns (uint256 claimId) {
        vm.prank(by);
        (claimId,) = DOMAINS.registerDomain(text(name));
        nameOf[claimId] = name;
    }

    function _speak(uint256 claimId, uint256 witness) private {
        uint256 name = nameOf[claimId];
        IDomainRegistry.Claim memory claim_ = DOMAINS.getClaim(claimId);
        if (block.timestamp > claim_.validUntil || spoke[claimId][witness]) return;
        bool isHonest = witness >= 2;
        if (isHonest && controllerOf[name] != claim_.claimant) return;
        bytes32 id = domainId(name);
        address before = DOMAINS.ownerOf(id);
        address last = DOMAINS.getDomain(id).owner;
        vm.prank(address(uint160(0xF100 + witness)));
        (bool succeeded,) = address(DOMAINS).call(abi.encodeCall(DOMAINS.verify, (claimId)));
        vm.assertTrue(succeeded == !claim_.used);
        if (!succeeded) return;
        spoke[claimId][witness] = true;
        ++voicesOf[claimId];
        if (isHonest) {
            seenAt[name][claim_.claimant] = block.timestamp;
            anySeenAt[name] = block.timestamp;
        }
        if (before != address(0) && DOMAINS.ownerOf(id) != before) lostWhileHeld = true;
        if (DOMAINS.getDomain(id).owner != last) ++tenure[name];
    }
}

contract DomainRegistryInvariants is DomainFixture {
    DomainHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new DomainHandler(domains);
        // Every name has an owner to begin with, and one of them points somewhere.
        for (uint256 name = 0; name < handler.NAMES(); ++name) {
            handler.claimAndSee(name, 1);
        }
        handler.map(0, 0);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev One owner, and it is somebody who showed the DNS or was given the name.
    function invariant_a_name_that_is_not_free_has_one_rightful_owner() external view {
        for (uint256 name = 0; name < handler.NAMES(); ++name) {
            bytes32 id = handler.domainId(name);
            address owner = domains.ownerOf(id);
            bool isFree = domains.statusOf(id) == IDomainRegistry.DomainStatus.Free;
            vm.assertTrue((owner == address(0)) == isFree);
            if (isFree) continue;
            vm.assertTrue(handler.seenAt(name, owner) != 0 || handler.wasGiven(name, owner));
        }
    }

    /// @dev No verification takes a name at once from who has it.
    function invariant_a_name_is_not_lost_without_a_contest() external view {
        vm.assertFalse(handler.lostWhileHeld());
    }

    /// @dev A name lives no longer than what an honest witness saw of it carries it.
    function invariant_a_name_lives_on_proofs() external view {
        for (uint256 name = 0; name < handler.NAMES(); ++name) {
            IDomainRegistry.Domain memory domain = domains.getDomain(handler.domainId(name));
            if (domain.owner == address(0)) continue;
            vm.assertLe(
                domain.expiresAt, handler.anySeenAt(name) + CLAIM_VALIDITY_S + VALIDITY_PERIOD_S
            );
            vm.assertEq(domain.graceEndsAt, domain.expiresAt + GRACE_PERIOD_S);
        }
    }

    /// @dev A name points to what its owner, or one who gave it on, has set, while it is live.
    function invariant_a_target_is_of_its_tenure() external view {
        for (uint256 name = 0; name < handler.NAMES(); ++name) {
            bytes32 id = handler.domainId(name);
            (IDomainRegistry.TargetKind kind, bytes32 target) = domains.resolve(id);
            vm.assertTrue((kind == IDomainRegistry.TargetKind.None) == (target == 0));
            if (target == 0) continue;
            vm.assertTrue(domains.statusOf(id) == IDomainRegistry.DomainStatus.Live);
            vm.assertEq(target, bytes32(handler.tenure(name)));
        }
    }

    function invariant_contests_are_whole() external view {
        for (uint256 name = 0; name < handler.NAMES(); ++name) {
            IDomainRegistry.Domain memory domain = domains.getDomain(handler.domainId(name));
            if (domain.contender == address(0)) {
                vm.assertEq(
                    uint256(domain.contestedAt) + domain.contestEndsAt + domain.proofExpiresAt, 0
                );
                continue;
            }
            vm.assertTrue(domain.contender != domain.owner);
            vm.assertTrue(handler.seenAt(name, domain.contender) != 0);
            vm.assertEq(domain.contestEndsAt, domain.contestedAt + CONTEST_PERIOD_S);
            vm.assertEq(domain.proofExpiresAt, domain.contestedAt + VALIDITY_PERIOD_S);
        }
    }

    function invariant_a_claim_is_used_once() external view {
        uint256 count = domains.claimCount();
        for (uint256 claimId = 1; claimId <= count; ++claimId) {
            vm.assertLe(handler.voicesOf(claimId), QUORUM);
            vm.assertTrue(domains.getClaim(claimId).used == (handler.voicesOf(claimId) == QUORUM));
        }
    }

    /// @dev From wherever the sequence got to, every name becomes free by itself, and whoever
    /// controls its DNS then has it.
    function afterInvariant() external {
        _skip(VALIDITY_PERIOD_S + GRACE_PERIOD_S + 1);
        for (uint256 name = 0; name < handler.NAMES(); ++name) {
            bytes32 id = handler.domainId(name);
            vm.assertTrue(domains.statusOf(id) == IDomainRegistry.DomainStatus.Free);
            string memory text = handler.text(name);
            vm.prank(STRANGER);
            (uint256 claimId,) = domains.registerDomain(text);
            _see(claimId, 0, QUORUM);
            vm.assertEq(domains.ownerOf(id), STRANGER);
            vm.prank(STRANGER);
            domains.releaseDomain(id);
            vm.assertTrue(domains.statusOf(id) == IDomainRegistry.DomainStatus.Free);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

import {vm} from "../../script/Vm.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";

/// @title Operators, owners, squatters, verifiers, TPMs and governance, at random but sensible
/// @dev Every action is made when it must succeed, and when it must not, the refusal is checked. What
/// an observer knows of the past is kept here, to be compared with what the registry says.
contract NodeRegistryHandler {
    uint256 public constant NODES = 3;
    /// @dev More than there are nodes: some squat.
    uint256 public constant OPERATORS = 5;
    uint256 public constant VERIFIERS = 4;
    uint256 public constant RELEASES = 3;
    uint256 private constant KEYS = 2;

    NodeRegistry private immutable REGISTRY;
    address private immutable GOVERNANCE;
    address private immutable STAKING;

    /// @notice The last proof that was accepted of what is still valid: when, of what, by whom.
    struct Proof {
        uint64 at;
        bytes32 release;
    }

    mapping(bytes32 nodeId => Proof) public proof;

    /// @notice The highest count of resets since the key was enrolled.
    mapping(bytes32 nodeId => uint256) public resetCount;

    /// @notice Answers that were taken; no challenge is answered twice.
    mapping(bytes32 challenge => bool) public answered;
    mapping(bytes32 challenge => bool) public given;

    /// @dev For each binding, when each verifier last said it; 0 when that counts no more.
    mapping(bytes32 binding => uint256[VERIFIERS]) private said;
    bytes32[] private bindings;
    mapping(bytes32 binding => bytes32 nodeId) private nodeOfBinding;

    /// @notice Enrolments that had too few voices by the observer's own count.
    uint256 public unfoundedEnrolments;
    /// @notice How often each thing happened: a test of the handler itself.
    uint256 public enrolments;
    uint256 public evictions;
    uint256 public attestations;

    INodeRegistry.AttestationKey[KEYS] private keys;

    constructor(NodeRegistry registry, address governance, address staking) {
        (REGISTRY, GOVERNANCE, STAKING) = (registry, governance, staking);
        for (uint256 i = 0; i < KEYS; ++i) {
            (uint256 x, uint256 y) = vm.publicKeyP256(_secret(i));
            keys[i] = INodeRegistry.AttestationKey(bytes32(x), bytes32(y));
        }
    }

    // Operators and owners.

    function register(uint256 node, uint256 who, uint256 key) external {
        bytes32 id = nodeId(node % NODES);
        address account = operator(who % OPERATORS);
        if (_isRegistered(REGISTRY.getNode(id).status)) return;
        bytes32 present = REGISTRY.nodeOfOperator(account);
        if (present != 0 && _isRegistered(REGISTRY.getNode(present).status)) return;
        INodeRegistry.Enrolment memory enrolment = REGISTRY.getEnrolment(id);
        INodeRegistry.AttestationKey memory own = keys[key % KEYS];
        bool free = enrolment.operator == address(0)
            || (enrolment.operator == account && enrolment.key.x == own.x);
        vm.prank(account);
        try REGISTRY.registerNode(
            id, owner(who % OPERATORS), INodeRegistry.NodeType.Compute, own, "bafk", "eu"
        ) {
            vm.assertTrue(free);
        } catch {
            vm.assertFalse(free);
        }
    }

    function deregister(uint256 node) external {
        // Seldom, or nothing ever grows.
        if (node % 4 != 0) return;
        bytes32 id = nodeId((node / 4) % NODES);
        INodeRegistry.Node memory record = REGISTRY.getNode(id);
        if (!_isRegistered(record.status) || record.status == INodeRegistry.NodeStatus.Active) {
            return;
        }
        vm.prank(record.owner);
        REGISTRY.deregisterNode(id);
        delete proof[id];
    }

    function setGpuTypes(uint256 node, uint256 count) external {
        bytes32 id = nodeId(node % NODES);
        INodeRegistry.Node memory record = REGISTRY.getNode(id);
        if (!_isRegistered(record.status)) return;
        bytes32[] memory types = new bytes32[](count % 17);
        for (uint256 i = 0; i < types.length; ++i) {
            types[i] = bytes32(i + 1);
        }
        vm.prank(record.operator);
        REGISTRY.setGpuTypes(id, types);
    }

    // StakingManager.

    function activate(uint256 node) external {
        bytes32 id = nodeId(node % NODES);
        INodeRegistry.NodeStatus status = REGISTRY.getNode(id).status;
        if (!_isRegistered(status) || status == INodeRegistry.NodeStatus.Active) return;
        vm.prank(STAKING);
        REGISTRY.activateNode(id);
    }

    function deactivate(uint256 node) external {
        bytes32 id = nodeId(node % NODES);
        if (!REGISTRY.isNodeActive(id)) return;
        vm.prank(STAKING);
        REGISTRY.deactivateNode(id);
    }

    // Verifiers.

    function vote(uint256 seed, uint256 who) external {
        _vote(nodeId(seed % NODES), _claimant(seed), keys[seed / 16 % 4 == 0 ? 1 : 0], who);
    }

    /// @dev All verifiers agree: single voices seldom come to that.
    function agree(uint256 seed) external {
        if (seed % 2 == 0) return;
        for (uint256 i = 0; i < VERIFIERS; ++i) {
            bytes32 id = nodeId(seed / 2 % NODES);
            if (_vote(id, _claimant(seed / 2), keys[seed / 32 % KEYS], seed % VERIFIERS + i)) {
                return;
            }
        }
    }

    /// @dev Most often the node's own operator, sometimes another.
    function _claimant(uint256 seed) private pure returns (address) {
        return operator(seed / 3 % 3 == 0 ? seed / 9 % OPERATORS : seed % NODES);
    }

    function _vote(
        bytes32 id,
        address account,
        INodeRegistry.AttestationKey memory key,
        uint256 who
    ) private returns (bool enrolled) {
        who = who % VERIFIERS;
        INodeRegistry.Node memory before = REGISTRY.getNode(id);
        bytes32 binding = keccak256(abi.encode(id, account, key));

        vm.prank(verifier(who));
        try REGISTRY.enrolKey(id, account, key) {}
        catch (bytes memory) {
            // Said before, and still counted.
            vm.assertTrue(said[binding][who] != 0);
            return false;
        }
        _remember(binding, id);
        said[binding][who] = block.timestamp;
        enrolled = REGISTRY.getEnrolmentVotes(id, account, key) == 0;
        if (!enrolled) return false;
        vm.assertEq(REGISTRY.getEnrolment(id).operator, account);
        if (_voices(binding) < REGISTRY.getParameters().verifierQuorum) ++unfoundedEnrolments;
        ++enrolments;
        if (_isRegistered(before.status) && before.operator != account) ++evictions;
        _forget(id);
        resetCount[id] = 0;
        delete proof[id];
    }

    /// @dev A verifier is dismissed and another appointed, so that there is always a quorum.
    function dismiss(uint256 who) external {
        if (who % 3 != 0) return;
        who = who / 3 % VERIFIERS;
        vm.startPrank(GOVERNANCE);
        REGISTRY.revokeRole(Roles.VERIFIER, verifier(who));
        REGISTRY.grantRole(Roles.VERIFIER, verifier(who));
        vm.stopPrank();
        for (uint256 i = 0; i < NODES; ++i) {
            _forget(nodeId(i));
        }
    }

    // TPMs.

    /// @dev A challenge and its answer, right or wrong in one of several ways.
    function attest(uint256 node, uint256 how, uint32 resets) external {
        bytes32 id = nodeId(node % NODES);
        INodeRegistry.Node memory record = REGISTRY.getNode(id);
        INodeRegistry.Enrolment memory enrolment = REGISTRY.getEnrolment(id);
        if (!_isRegistered(record.status) || enrolment.operator == address(0)) return;
        bytes32 open = REGISTRY.getChallenge(id).value;
        if (open == 0 || how % 5 == 0) {
            vm.prank(record.operator);
            open = REGISTRY.requestChallenge(id);
            vm.assertFalse(given[open]);
            given[open] = true;
        }
        uint256 secret = _secret(enrolment.key.x == keys[0].x ? 0 : 1);
        if (how % 7 == 0) secret = 0xDEAD;
        bytes32 about = how % 11 == 0 ? nodeId((node + 1) % NODES) : id;
        _answer(id, about, open, release(how / 77 % RELEASES), uint32(resets % 4), secret);
    }

    function _answer(
        bytes32 id,
        bytes32 about,
        bytes32 challenge,
        bytes32 pcrDigest,
        uint32 resets,
        uint256 secret
    ) private {
        bool good = about == id && secret != 0xDEAD && resets >= resetCount[id]
            && _counts(pcrDigest) && block.timestamp <= REGISTRY.getChallenge(id).expiresAt
            && !answered[challenge];
        bytes memory quote = _quote(about, challenge, pcrDigest, resets);
        (bytes32 r, bytes32 s) = vm.signP256(secret, sha256(quote));
        if (uint256(s) > P256.N / 2) s = bytes32(P256.N - uint256(s));
        try REGISTRY.attest(id, quote, r, s) {
            vm.assertTrue(good);
            answered[challenge] = true;
            resetCount[id] = resets;
            proof[id] = Proof(uint64(block.timestamp), pcrDigest);
            ++attestations;
        } catch {
            vm.assertFalse(good);
        }
    }

    // Governance and time.

    function revokeKey(uint256 node, bool byOwner) external {
        if (node % 3 != 0) return;
        bytes32 id = nodeId((node / 3) % NODES);
        if (REGISTRY.getEnrolment(id).operator == address(0)) return;
        INodeRegistry.Node memory record = REGISTRY.getNode(id);
        vm.prank(byOwner && _isRegistered(record.status) ? record.owner : GOVERNANCE);
        REGISTRY.revokeKey(id);
        delete proof[id];
        delete resetCount[id];
        _forget(id);
    }

    function toggleRelease(uint256 seed) external {
        bytes32 digest = release(seed % RELEASES);
        vm.startPrank(GOVERNANCE);
        if (REGISTRY.getReleaseVersion(digest) == 0) {
            REGISTRY.approveRelease(digest, uint64(1 + seed % RELEASES));
        } else if (seed % 5 == 0) {
            REGISTRY.revokeRelease(digest);
        }
        vm.stopPrank();
    }

    function setParameters(uint256 seed) external {
        INodeRegistry.Parameters memory parameters = REGISTRY.getParameters();
        parameters.verifierQuorum = uint16(2 + seed % 2);
        // Releases have the versions 1 to 3.
        parameters.minReleaseVersion = seed / 2 % 2 == 0 ? 0 : uint64(seed / 4 % 4);
        vm.prank(GOVERNANCE);
        REGISTRY.setParameters(parameters);
    }

    function pass(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 2 hours);
    }

    // What the invariants ask.

    function nodeId(uint256 i) public pure returns (bytes32) {
        return bytes32(i + 1);
    }

    function operator(uint256 i) public pure returns (address) {
        return address(uint160(0xB000 + i));
    }

    function owner(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i));
    }

    function verifier(uint256 i) public pure returns (address) {
        return address(uint160(0xF000 + i));
    }

    function release(uint256 i) public pure returns (bytes32) {
        return keccak256(abi.encode("release", i));
    }

    // Inside.

    function _counts(bytes32 pcrDigest) private view returns (bool) {
        uint64 version = REGISTRY.getReleaseVersion(pcrDigest);
        return version != 0 && version >= REGISTRY.getParameters().minReleaseVersion;
    }

    function _remember(bytes32 binding, bytes32 id) private {
        if (nodeOfBinding[binding] != 0) return;
        nodeOfBinding[binding] = id;
        bindings.push(binding);
    }

    /// @dev No voice on this node counts any more.
    function _forget(bytes32 id) private {
        for (uint256 i = 0; i < bindings.length; ++i) {
            if (nodeOfBinding[bindings[i]] == id) delete said[bindings[i]];
        }
    }

    /// @dev Voices that could count at all: those of the last window.
    function _voices(bytes32 binding) private view returns (uint256 count) {
        uint256 window = REGISTRY.getParameters().enrolmentWindow;
        for (uint256 i = 0; i < VERIFIERS; ++i) {
            uint256 at = said[binding][i];
            if (at != 0 && block.timestamp - at <= window) ++count;
        }
    }

    function _quote(bytes32 about, bytes32 challenge, bytes32 pcrDigest, uint32 resets)
        private
        view
        returns (bytes memory)
    {
        bytes32 extraData = sha256(
            abi.encodePacked(
                "aleph/attest/chain/v1", block.chainid, address(REGISTRY), about, challenge
            )
        );
        bytes memory quote = abi.encodePacked(
            bytes10(0xff54434780180022000b), keccak256("signer"), uint16(32), extraData
        );
        quote = abi.encodePacked(quote, uint64(123_456), resets, uint32(3), uint8(1));
        return
            abi.encodePacked(
                quote, uint64(1), bytes10(0x00000001000b03101a00), uint16(32), pcrDigest
            );
    }

    function _isRegistered(INodeRegistry.NodeStatus status) private pure returns (bool) {
        return
            status != INodeRegistry.NodeStatus.None
                && status != INodeRegistry.NodeStatus.Deregistered;
    }

    function _secret(uint256 i) private pure returns (uint256) {
        return 0xA1EF + i;
    }
}

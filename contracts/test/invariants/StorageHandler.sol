// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {DrandBeacon} from "../../src/DrandBeacon.sol";
import {StorageRegistry} from "../../src/StorageRegistry.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {Tree} from "../base/Tree.sol";

/// @dev What nodes, challengers and passers-by can do, with any arguments; nothing here may revert.
contract StorageHandler {
    uint256 public constant NODES = 2;
    uint256 public constant CONTENTS = 2;
    uint256 public constant CHALLENGERS = 2;

    AlephToken private immutable ALEPH;
    StorageRegistry private immutable STORE;
    DrandBeacon private immutable BEACON;

    /// @notice What challengers paid in, and what was paid out.
    uint256 public deposited;
    uint256 public withdrawn;
    /// @notice How often a challenge ended with a fault.
    uint256 public failed;
    /// @notice The hash of a challenge as it ended.
    mapping(uint256 challengeId => bytes32) public sealedChallenge;
    /// @notice What was in force when a period was first looked at, plus one.
    mapping(bytes32 commitmentId => mapping(uint256 period => uint256)) public firstSeen;

    constructor(AlephToken aleph, StorageRegistry store, DrandBeacon beacon) {
        (ALEPH, STORE, BEACON) = (aleph, store, beacon);
    }

    // Nodes.

    function commit(uint256 seed, uint8 leaves, uint8 periods) external {
        bytes32 id = commitmentId(seed);
        if (block.timestamp < STORE.getCommitment(id).endsAt) return;
        IStorageRegistry.Offer memory offer = _offer(leaves, periods);
        vm.prank(operator(seed % NODES));
        STORE.commit(nodeId(seed % NODES), content(seed / NODES), offer);
    }

    function renew(uint256 seed, uint8 leaves, uint8 periods) external {
        bytes32 id = commitmentId(seed);
        uint32 inForce = STORE.versionInForce(id);
        if (inForce == 0 || inForce != STORE.getCommitment(id).version) return;
        IStorageRegistry.Offer memory offer = _offer(leaves, periods);
        vm.prank(operator(seed % NODES));
        STORE.renew(id, offer);
    }

    function remove(uint256 seed) external {
        bytes32 id = commitmentId(seed);
        uint64 period = STORE.getParameters().period;
        if ((block.timestamp / period + 1) * period >= STORE.getCommitment(id).endsAt) return;
        vm.prank(operator(seed % NODES));
        STORE.remove(id);
    }

    function close(uint256 seed) external {
        try STORE.close(commitmentId(seed)) {}
        catch (bytes memory error) {
            _assertIs(error, IStorageRegistry.CommitmentNotEnded.selector);
        }
    }

    // Challenges.

    function issue(uint256 seed) external {
        bytes32 id = commitmentId(seed);
        if (STORE.versionInForce(id) == 0) return;
        vm.prank(challenger(seed / (NODES * CONTENTS)));
        try STORE.issueChallenge(id) returns (uint256 challengeId) {
            deposited += STORE.getChallenge(challengeId).bond;
        } catch (bytes memory error) {
            // Random calls meet full slots and rounds that another challenge has brought.
            if (bytes4(error) == IStorageRegistry.RoundAlreadyPosted.selector) return;
            _assertIs(error, IStorageRegistry.TooManyChallenges.selector);
        }
    }

    function post(uint256 seed) external {
        (uint256 challengeId, bool found) = _anOpenOne(seed);
        if (!found) return;
        uint64 round = STORE.getChallenge(challengeId).round;
        // Nobody knows a round before it is due.
        if (BEACON.roundAt(uint64(block.timestamp)) < round) return;
        BEACON.submit(round, BeaconSigner.sign(round));
    }

    function respond(uint256 seed, bool honest) external {
        (uint256 challengeId, bool found) = _anOpenOne(seed);
        if (!found) return;
        IStorageRegistry.Challenge memory challenge = STORE.getChallenge(challengeId);
        uint64 postedAt = BEACON.postedAt(challenge.round);
        bytes memory proof = postedAt == 0 ? bytes("") : _answer(challengeId, challenge);
        if (!honest && proof.length != 0) proof[seed % proof.length] ^= 0x01;
        bool inTime = postedAt != 0 && postedAt <= challenge.roundBy
            && block.timestamp <= postedAt + challenge.responseWindow;
        (bool accepted,) = address(STORE).call(abi.encodeCall(STORE.respond, (challengeId, proof)));
        vm.assertTrue(accepted == (honest && inTime), "an answer counts if right and in time");
        _seal(challengeId);
    }

    function resolve(uint256 seed) external {
        (uint256 challengeId, bool found) = _anOpenOne(seed);
        if (!found) return;
        try STORE.resolveChallenge(challengeId) {
            if (_status(challengeId) == IStorageRegistry.ChallengeStatus.Failed) ++failed;
        } catch (bytes memory error) {
            _assertIs(error, IStorageRegistry.TooEarly.selector);
        }
        _seal(challengeId);
    }

    function abandon(uint256 seed) external {
        (uint256 challengeId, bool found) = _anOpenOne(seed);
        if (!found) return;
        try STORE.abandonChallenge(challengeId) {} catch {}
        _seal(challengeId);
    }

    function withdraw(uint256 seed) external {
        address account = accountAt(seed % accounts());
        uint256 credit = STORE.creditOf(account);
        if (credit == 0) return;
        uint256 before = ALEPH.balanceOf(account);
        vm.prank(account);
        STORE.withdraw();
        vm.assertEq(ALEPH.balanceOf(account) - before, credit);
        withdrawn += credit;
    }

    function pass(uint32 seconds_, bool far) external {
        vm.warp(block.timestamp + seconds_ % (far ? 3 days : 10 minutes));
        for (uint256 i = 0; i < NODES * CONTENTS; ++i) {
            bytes32 id = commitmentId(i);
            uint256 period = block.timestamp / STORE.getParameters().period;
            if (firstSeen[id][period] == 0) {
                firstSeen[id][period] = uint256(STORE.versionInForce(id)) + 1;
            }
        }
    }

    // What the invariants ask.

    function nodeId(uint256 i) public pure returns (bytes32) {
        return bytes32(0x100 + i % NODES);
    }

    function owner(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i % NODES));
    }

    function operator(uint256 i) public pure returns (address) {
        return address(uint160(0xB000 + i % NODES));
    }

    function challenger(uint256 i) public pure returns (address) {
        return address(uint160(0xC000 + i % CHALLENGERS));
    }

    function content(uint256 i) public pure returns (bytes32) {
        return bytes32(0x200 + i % CONTENTS);
    }

    function commitmentId(uint256 i) public view returns (bytes32) {
        return STORE.commitmentIdOf(nodeId(i), content(i / NODES));
    }

    /// @dev Everyone who can have credit.
    function accounts() public pure returns (uint256) {
        return NODES + CHALLENGERS;
    }

    function accountAt(uint256 i) public pure returns (address) {
        return i < NODES ? owner(i) : challenger(i - NODES);
    }

    // Inside.

    /// @dev Small trees of all kinds, each number of leaves with bytes of its own.
    function _offer(uint8 leaves, uint8 periods)
        private
        pure
        returns (IStorageRegistry.Offer memory)
    {
        bytes[] memory made = _leaves(1 + leaves % 5);
        return IStorageRegistry.Offer({
            root: Tree.rootOf(made),
            encoding: 0,
            size: Tree.sizeOf(made),
            replicas: 1,
            periods: 1 + periods % 6
        });
    }

    function _leaves(uint256 count) private pure returns (bytes[] memory) {
        return Tree.leaves(count, 7, count);
    }

    function _answer(uint256 challengeId, IStorageRegistry.Challenge memory challenge)
        private
        view
        returns (bytes memory)
    {
        uint64 size = STORE.getTerms(challenge.commitmentId, challenge.version).size;
        return Tree.answer(_leaves((size + 511) / 512), STORE.leavesOf(challengeId));
    }

    function _anOpenOne(uint256 seed) private view returns (uint256 challengeId, bool found) {
        for (uint256 i = 0; i < NODES && !found; ++i) {
            uint256[] memory open = STORE.getOpenChallengesOf(nodeId(seed % NODES + i), 0, 256);
            found = open.length != 0;
            if (found) challengeId = open[(seed >> 8) % open.length];
        }
    }

    function _status(uint256 challengeId) private view returns (IStorageRegistry.ChallengeStatus) {
        return STORE.getChallenge(challengeId).status;
    }

    /// @dev Remembers an ended challenge as it is, so that any later change of it shows.
    function _seal(uint256 challengeId) private {
        if (_status(challengeId) == IStorageRegistry.ChallengeStatus.Open) return;
        sealedChallenge[challengeId] = keccak256(abi.encode(STORE.getChallenge(challengeId)));
    }

    function _assertIs(bytes memory error, bytes4 selector) private pure {
        vm.assertEq(bytes32(bytes4(error)), bytes32(selector));
    }
}

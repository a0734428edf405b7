// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {Beacons} from "../../script/Beacons.sol";
import {vm} from "../../script/Vm.sol";
import {AlephToken} from "../../src/AlephToken.sol";
import {DrandBeacon} from "../../src/DrandBeacon.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {StorageFaultPolicy} from "../../src/StorageFaultPolicy.sol";
import {StorageRegistry} from "../../src/StorageRegistry.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {IStakeSlasher} from "../../src/interfaces/IStakeSlasher.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {BeaconSigner} from "./BeaconSigner.sol";
import {Tree} from "./Tree.sol";

/// @dev Replaced by the real contract after merging.
contract StakeDouble is IStakeSlasher {
    mapping(bytes32 nodeId => uint256) public slashableStake;
    mapping(address reporter => uint256) public rewards;
    address public lastOwner;
    bytes32 public lastReason;
    bool public stuck;

    error Stuck();

    function set(bytes32 nodeId, uint256 stake) external {
        slashableStake[nodeId] = stake;
    }

    function jam(bool stuck_) external {
        stuck = stuck_;
    }

    function slashOwner(
        bytes32 nodeId,
        address owner,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    ) external returns (uint256 slashed, uint256 reward) {
        require(!stuck, Stuck());
        slashed = amount < slashableStake[nodeId] ? amount : slashableStake[nodeId];
        reward = slashed * reporterBps / 10_000;
        slashableStake[nodeId] -= slashed;
        rewards[reporter] += reward;
        (lastOwner, lastReason) = (owner, reason);
    }
}

/// @title Storage on a network of two nodes, and the steps that most tests begin with
/// @dev The test contract itself is the administrator.
abstract contract StorageFixture {
    uint128 internal constant BOND = 10 ether;
    uint64 internal constant PERIOD_S = 1 days;
    uint64 internal constant BEACON_DELAY_S = 5 minutes;
    uint64 internal constant BEACON_GRACE_S = 6 hours;
    uint64 internal constant RESPONSE_WINDOW_S = 26 hours;
    uint256 internal constant STAKE = 10_000 ether;
    uint256 internal constant FAULT_BASE = 100 ether;
    uint64 internal constant FAULT_COOLDOWN_S = 2 days;
    uint64 internal constant ABANDON_AFTER_S = 7 days;

    address internal constant OWNER = address(0xA1);
    address internal constant OPERATOR = address(0xA2);
    address internal constant OTHER_OWNER = address(0xB1);
    address internal constant OTHER_OPERATOR = address(0xB2);
    address internal constant CHALLENGER = address(0xC1);
    address internal constant STRANGER = address(0xE1);

    bytes32 internal constant NODE = keccak256("node");
    bytes32 internal constant OTHER_NODE = keccak256("other node");
    bytes32 internal constant CONTENT = keccak256("content");

    AlephToken internal aleph;
    NodeRegistry internal registry;
    StakeDouble internal staking;
    DrandBeacon internal beacon;
    StorageRegistry internal store;
    StorageFaultPolicy internal policy;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        aleph = new AlephToken(address(this), 500_000_000 ether);
        registry = NodeRegistry(
            _proxy(
                address(new NodeRegistry()),
                abi.encodeCall(
                    NodeRegistry.initialize,
                    (
                        address(this),
                        INodeRegistry.Parameters({
                            verifierQuorum: 1,
                            challengeValidity: 1 hours,
                            enrolmentWindow: 1 days,
                            minReleaseVersion: 0
                        })
                    )
                )
            )
        );
        staking = new StakeDouble();
        beacon = Beacons.development(1_727_521_075, 3);
        store = StorageRegistry(
            _proxy(
                address(new StorageRegistry()),
                abi.encodeCall(
                    StorageRegistry.initialize,
                    (address(this), aleph, registry, staking, beacon, _parameters(), _floors())
                )
            )
        );
        policy = new StorageFaultPolicy(store, staking, _prices());

        store.grantRole(Roles.PARAMETER, address(this));
        store.grantRole(Roles.PAUSER, address(this));
        store.setFaultPolicy(policy);
        registry.grantRole(Roles.STAKING_MANAGER, address(this));
        _activeNode(NODE, OWNER, OPERATOR);
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        _fund(CHALLENGER);
    }

    function _parameters() internal pure returns (IStorageRegistry.Parameters memory) {
        return IStorageRegistry.Parameters({
            bond: BOND,
            period: PERIOD_S,
            beaconDelay: BEACON_DELAY_S,
            beaconGrace: BEACON_GRACE_S,
            responseWindow: RESPONSE_WINDOW_S,
            positions: 5,
            openPerCommitmentMax: 3,
            openPerNodeMax: 4
        });
    }

    function _floors() internal pure returns (IStorageRegistry.Floors memory) {
        return IStorageRegistry.Floors({beaconDelay: 2 minutes, responseWindow: 24 hours});
    }

    function _prices() internal pure returns (StorageFaultPolicy.Prices memory) {
        return StorageFaultPolicy.Prices({
            base: FAULT_BASE, cooldown: FAULT_COOLDOWN_S, stakeBpsMax: 500, challengerBps: 2000
        });
    }

    function _fund(address account) internal {
        aleph.transfer(account, 1_000_000 ether);
        vm.prank(account);
        aleph.approve(address(store), type(uint256).max);
    }

    function _activeNode(bytes32 nodeId, address owner, address operator) internal {
        // The generator of the P-256 curve: the simplest public key there is.
        INodeRegistry.AttestationKey memory key = INodeRegistry.AttestationKey(
            0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
            0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
        );
        vm.prank(operator);
        registry.registerNode(
            nodeId, owner, INodeRegistry.NodeType.Storage, key, "bafkmetadata", "eu-west"
        );
        registry.activateNode(nodeId);
        staking.set(nodeId, STAKE);
    }

    // Contents.

    /// @dev Twelve leaves, the last one short.
    function _leaves() internal pure returns (bytes[] memory) {
        return Tree.leaves(12, 100, 1);
    }

    function _offer() internal pure returns (IStorageRegistry.Offer memory) {
        return _offer(_leaves());
    }

    function _offer(bytes[] memory leaves) internal pure returns (IStorageRegistry.Offer memory) {
        return IStorageRegistry.Offer({
            root: Tree.rootOf(leaves),
            encoding: 0,
            size: Tree.sizeOf(leaves),
            replicas: 3,
            periods: 30
        });
    }

    // Commitments.

    function _commit() internal returns (bytes32) {
        return _commit(CONTENT, _offer());
    }

    function _commit(bytes32 content, IStorageRegistry.Offer memory offer)
        internal
        returns (bytes32)
    {
        vm.prank(OPERATOR);
        return store.commit(NODE, content, offer);
    }

    /// @dev A commitment in force.
    function _committed() internal returns (bytes32 commitmentId) {
        commitmentId = _commit();
        _toBorder();
    }

    function _nextBorder() internal view returns (uint64) {
        return (uint64(block.timestamp) / PERIOD_S + 1) * PERIOD_S;
    }

    function _toBorder() internal {
        vm.warp(_nextBorder());
    }

    // Challenges.

    function _issue(bytes32 commitmentId) internal returns (uint256) {
        vm.prank(CHALLENGER);
        return store.issueChallenge(commitmentId);
    }

    /// @dev Waits for the round and posts it.
    function _post(uint256 challengeId) internal {
        vm.warp(block.timestamp + BEACON_DELAY_S + 3);
        uint64 round = store.getChallenge(challengeId).round;
        beacon.submit(round, BeaconSigner.sign(round));
    }

    /// @dev A challenge of a new commitment, its round posted.
    function _challenged() internal returns (uint256 challengeId) {
        challengeId = _issue(_committed());
        _post(challengeId);
    }

    function _answer(uint256 challengeId) internal view returns (bytes memory) {
        return Tree.answer(_leaves(), store.leavesOf(challengeId));
    }

    function _respondBy(uint256 challengeId) internal view returns (uint64) {
        IStorageRegistry.Challenge memory challenge = store.getChallenge(challengeId);
        return beacon.postedAt(challenge.round) + challenge.responseWindow;
    }

    function _status(uint256 challengeId) internal view returns (IStorageRegistry.ChallengeStatus) {
        return store.getChallenge(challengeId).status;
    }

    function _assertStatus(uint256 challengeId, IStorageRegistry.ChallengeStatus status)
        internal
        view
    {
        vm.assertEq(uint256(_status(challengeId)), uint256(status));
    }

    function _proxy(address implementation, bytes memory initialization)
        internal
        returns (address)
    {
        return address(new ERC1967Proxy(implementation, initialization));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IStorageRegistry} from "../../src/interfaces/IStorageRegistry.sol";
import {BeaconSigner} from "../base/BeaconSigner.sol";
import {Tree} from "../base/Tree.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev NODE is active, with a commitment in force and one that ended. OTHER_OWNER has challenged the
/// former: two rounds never came, and one of those bonds is back; a third round is there to answer.
contract StorageRegistryAccessTest is AccessMatrix {
    bytes32 private constant CONTENT = keccak256("content");
    bytes32 private commitmentId;
    bytes32 private endedId;
    uint256 private challengeId;
    uint256 private answerable;

    function setUp() public override {
        super.setUp();
        _activeNode(NODE, OWNER, OPERATOR);
        vm.startPrank(OPERATOR);
        endedId = storages.commit(NODE, keccak256("ended"), _offer(1));
        commitmentId = storages.commit(NODE, CONTENT, _offer(30));
        vm.stopPrank();
        _pass(3 * storages.getParameters().period);

        vm.startPrank(OTHER_OWNER);
        uint256 first = storages.issueChallenge(commitmentId);
        challengeId = storages.issueChallenge(commitmentId);
        vm.stopPrank();
        IStorageRegistry.Parameters memory parameters = storages.getParameters();
        _pass(parameters.beaconDelay + parameters.beaconGrace + 1);
        storages.resolveChallenge(first);

        vm.prank(OTHER_OWNER);
        answerable = storages.issueChallenge(commitmentId);
        _pass(parameters.beaconDelay + BEACON_PERIOD_S);
        uint64 round = storages.getChallenge(answerable).round;
        beacon.submit(round, BeaconSigner.sign(round));
    }

    function _offer(uint16 periods) private pure returns (IStorageRegistry.Offer memory) {
        return IStorageRegistry.Offer({
            root: Tree.rootOf(_leaves()),
            encoding: 0,
            size: Tree.sizeOf(_leaves()),
            replicas: 1,
            periods: periods
        });
    }

    function _leaves() private pure returns (bytes[] memory) {
        return Tree.leaves(5, 100, 1);
    }

    function test_storage_registry() public {
        bytes4 notOfNode = IStorageRegistry.NotOfNode.selector;
        _row(
            "commit(bytes32,bytes32,(bytes32,bytes32,uint64,uint16,uint16))",
            abi.encode(NODE, keccak256("more"), _offer(1)),
            OPERATORS | OWNERS,
            notOfNode
        );
        _row(
            "renew(bytes32,(bytes32,bytes32,uint64,uint16,uint16))",
            abi.encode(commitmentId, _offer(1)),
            OPERATORS | OWNERS,
            notOfNode
        );
        _row("remove(bytes32)", abi.encode(commitmentId), OPERATORS | OWNERS, notOfNode);
        _row("close(bytes32)", abi.encode(endedId));
        _row("issueChallenge(bytes32)", abi.encode(commitmentId));
        _row(
            "respond(uint256,bytes)",
            abi.encode(answerable, Tree.answer(_leaves(), storages.leavesOf(answerable)))
        );
        _row("resolveChallenge(uint256)", abi.encode(challengeId));
        _row(
            "abandonChallenge(uint256)",
            abi.encode(challengeId),
            NO_ONE,
            IStorageRegistry.RoundNotPosted.selector
        );
        _row("withdraw()", "", OTHER_OWNERS, IStorageRegistry.NothingToWithdraw.selector);
        _row(
            "setParameters((uint128,uint64,uint64,uint64,uint64,uint8,uint8,uint16))",
            abi.encode(storages.getParameters()),
            PARAMETER
        );
        _row("setBeacon(address)", abi.encode(beacon), PARAMETER);
        _row("setFaultPolicy(address)", abi.encode(faults), PARAMETER);
        _views();
        _governedRows();
        _check(address(storages), "StorageRegistry");
    }

    function _views() private {
        _initializeRow(
            "initialize(address,address,address,address,address,(uint128,uint64,uint64,uint64,uint64,uint8,uint8,uint16),(uint64,uint64))"
        );
        _view("challengeCount()");
        _view("commitmentIdOf(bytes32,bytes32)");
        _view("creditOf(address)");
        _view("getBeacon()");
        _view("getChallenge(uint256)");
        _view("getCommitment(bytes32)");
        _view("getCommitmentsOf(bytes32,uint256,uint256)");
        _view("getFaultPolicy()");
        _view("getFloors()");
        _view("getOpenChallengesOf(bytes32,uint256,uint256)");
        _view("getParameters()");
        _view("getReplicasOf(bytes32,uint256,uint256)");
        _view("getTerms(bytes32,uint32)");
        _view("leavesOf(uint256)");
        _view("versionInForce(bytes32)");
    }
}

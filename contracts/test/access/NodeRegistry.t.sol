// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

import {vm} from "../../script/Vm.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {AccessMatrix} from "./AccessMatrix.sol";

/// @dev NODE is registered and enrolled, and has a challenge to answer; OTHER_NODE is active.
contract NodeRegistryAccessTest is AccessMatrix {
    bytes32 private constant RELEASE = keccak256("release");
    /// @dev The private key of the node's TPM.
    uint256 private constant SECRET = 0xA1EF;
    bytes32 private challenge;

    function setUp() public override {
        super.setUp();
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        (uint256 x, uint256 y) = vm.publicKeyP256(SECRET);
        INodeRegistry.AttestationKey memory key =
            INodeRegistry.AttestationKey(bytes32(x), bytes32(y));
        for (uint256 i = 0; i < registry.getParameters().verifierQuorum; ++i) {
            vm.prank(_verifier(i));
            registry.enrolKey(NODE, OPERATOR, key);
        }
        vm.prank(OPERATOR);
        registry.registerNode(NODE, OWNER, INodeRegistry.NodeType.Compute, key, "", "");
        vm.prank(address(timelock));
        registry.approveRelease(RELEASE, 1);
        vm.prank(OPERATOR);
        challenge = registry.requestChallenge(NODE);
    }

    /// @dev A quote as a TPM writes it, and its signature.
    function _answer() private view returns (bytes memory) {
        bytes32 extraData = sha256(
            abi.encodePacked(
                "aleph/attest/chain/v1", block.chainid, address(registry), NODE, challenge
            )
        );
        bytes memory quote = abi.encodePacked(
            bytes10(0xff54434780180022000b), keccak256("signer"), uint16(32), extraData
        );
        quote = abi.encodePacked(quote, uint64(123_456), uint32(1), uint32(3), uint8(1));
        quote = abi.encodePacked(
            quote, uint64(1), bytes10(0x00000001000b03101a00), uint16(32), RELEASE
        );
        (bytes32 r, bytes32 s) = vm.signP256(SECRET, sha256(quote));
        if (uint256(s) > P256.N / 2) s = bytes32(P256.N - uint256(s));
        return abi.encode(NODE, quote, r, s);
    }

    function test_node_registry() public {
        bytes4 notOperator = INodeRegistry.NotNodeOperator.selector;
        bytes4 notOwner = INodeRegistry.NotNodeOwner.selector;
        // Whoever operates a node already cannot operate another one.
        _row(
            "registerNode(bytes32,address,uint8,(bytes32,bytes32),string,string)",
            abi.encode(
                keccak256("new node"), OWNER, INodeRegistry.NodeType.Compute, _key(), "", ""
            ),
            ANYONE & ~(OPERATORS | OTHER_OPERATORS),
            INodeRegistry.OperatorTaken.selector
        );
        _row(
            "updateMetadata(bytes32,string,string)",
            abi.encode(NODE, "", ""),
            OPERATORS | OWNERS,
            notOperator
        );
        _row(
            "setGpuTypes(bytes32,bytes32[])",
            abi.encode(NODE, new bytes32[](0)),
            OPERATORS,
            notOperator
        );
        _row("heartbeat(bytes32,bytes32)", abi.encode(NODE, 0), OPERATORS, notOperator);
        _row("requestChallenge(bytes32)", abi.encode(NODE), OPERATORS, notOperator);
        _row("deregisterNode(bytes32)", abi.encode(NODE), OWNERS, notOwner);
        _row("activateNode(bytes32)", abi.encode(NODE), STAKING_MANAGER);
        _row("deactivateNode(bytes32)", abi.encode(OTHER_NODE), STAKING_MANAGER);
        _row(
            "enrolKey(bytes32,address,(bytes32,bytes32))",
            abi.encode(OTHER_NODE, OTHER_OPERATOR, _key()),
            VERIFIER
        );
        _row("revokeKey(bytes32)", abi.encode(NODE), PARAMETER | OWNERS, notOwner);
        _row("approveRelease(bytes32,uint64)", abi.encode(keccak256("next"), 2), PARAMETER);
        _row("revokeRelease(bytes32)", abi.encode(RELEASE), PARAMETER);
        _row(
            "setParameters((uint16,uint64,uint64,uint64))",
            abi.encode(registry.getParameters()),
            PARAMETER
        );
        _row("attest(bytes32,bytes,bytes32,bytes32)", _answer());
        _views();
        _governedRows();
        _check(address(registry), "NodeRegistry");
    }

    function _views() private {
        _initializeRow("initialize(address,(uint16,uint64,uint64,uint64))");
        _view("getActiveNodes(uint256,uint256)");
        _view("getAttestation(bytes32)");
        _view("getChallenge(bytes32)");
        _view("getEnrolment(bytes32)");
        _view("getEnrolmentVotes(bytes32,address,(bytes32,bytes32))");
        _view("getGpuTypes(bytes32)");
        _view("getNode(bytes32)");
        _view("getParameters()");
        _view("getReleaseVersion(bytes32)");
        _view("isAttested(bytes32,uint64)");
        _view("isNodeActive(bytes32)");
        _view("nodeCount()");
        _view("nodeOfOperator(address)");
    }
}

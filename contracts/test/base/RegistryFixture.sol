// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

import {vm} from "../../script/Vm.sol";
import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {INodeRegistry} from "../../src/interfaces/INodeRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";

/// @dev A registry whose challenges a test may choose: a TPM answered some before there was a test.
contract RegistryWithChosenChallenges is NodeRegistry {
    bytes32 public chosen;

    function choose(bytes32 challenge) external {
        chosen = challenge;
    }

    function _newChallenge(bytes32 nodeId) internal view override returns (bytes32) {
        return chosen != 0 ? chosen : super._newChallenge(nodeId);
    }
}

/// @title A registry with three verifiers, of whom two are a quorum, and quotes
/// @dev Real quotes are those of fixtures/tpm-quotes.json, which a TPM signed for this chain's id and
/// this registry's address. Others are made here and signed with keys of the test's own. The test
/// contract is the administrator and governance.
abstract contract RegistryFixture {
    struct Statement {
        bytes quote;
        bytes32 r;
        bytes32 s;
    }

    uint64 internal constant CHALLENGE_VALIDITY_S = 1 hours;
    uint64 internal constant ENROLMENT_WINDOW_S = 1 days;
    uint64 internal constant VERSION = 7;

    address internal constant OWNER = address(0xA1);
    address internal constant OPERATOR = address(0xA2);
    address internal constant OTHER_OWNER = address(0xB1);
    address internal constant OTHER_OPERATOR = address(0xB2);
    address internal constant STAKING = address(0xC1);
    address internal constant STRANGER = address(0xE1);
    address[3] internal verifiers = [address(0xF1), address(0xF2), address(0xF3)];

    bytes32 internal constant RELEASE = keccak256("release");
    bytes32 internal constant OTHER_RELEASE = keccak256("other release");

    /// @dev Private keys of the test's own TPMs.
    uint256 internal constant SECRET = 0xA1EF;
    uint256 internal constant OTHER_SECRET = 0xB0B;

    bytes32 private constant IMPLEMENTATION_SLOT =
        bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1);

    RegistryWithChosenChallenges internal registry;
    string internal json;
    bytes32 internal nodeId;
    bytes32 internal otherNodeId;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1000);
        json = vm.readFile("test/fixtures/tpm-quotes.json");
        vm.chainId(vm.parseJsonUint(json, ".chainId"));
        nodeId = vm.parseJsonBytes32(json, ".nodeId");
        otherNodeId = vm.parseJsonBytes32(json, ".otherNodeId");
        registry = _deployAt(vm.parseJsonAddress(json, ".registry"));

        registry.grantRole(Roles.PARAMETER, address(this));
        registry.grantRole(Roles.PAUSER, address(this));
        registry.grantRole(Roles.STAKING_MANAGER, STAKING);
        for (uint256 i = 0; i < verifiers.length; ++i) {
            registry.grantRole(Roles.VERIFIER, verifiers[i]);
        }
    }

    /// @dev A proxy has no immutables: all of it can be put where the TPM was told that it is.
    function _deployAt(address place) internal returns (RegistryWithChosenChallenges deployed) {
        address implementation = address(new RegistryWithChosenChallenges());
        vm.etch(place, type(ERC1967Proxy).runtimeCode);
        vm.store(place, IMPLEMENTATION_SLOT, bytes32(uint256(uint160(implementation))));
        deployed = RegistryWithChosenChallenges(place);
        deployed.initialize(address(this), _parameters());
    }

    function _parameters() internal pure returns (INodeRegistry.Parameters memory) {
        return INodeRegistry.Parameters({
            verifierQuorum: 2,
            challengeValidity: CHALLENGE_VALIDITY_S,
            enrolmentWindow: ENROLMENT_WINDOW_S,
            minReleaseVersion: 0
        });
    }

    // Steps.

    function _register(
        bytes32 id,
        address owner,
        address operator,
        INodeRegistry.AttestationKey memory key
    ) internal {
        vm.prank(operator);
        registry.registerNode(id, owner, INodeRegistry.NodeType.Compute, key, "bafk", "eu");
    }

    function _vote(
        uint256 verifier,
        bytes32 id,
        address operator,
        INodeRegistry.AttestationKey memory key
    ) internal {
        vm.prank(verifiers[verifier]);
        registry.enrolKey(id, operator, key);
    }

    function _enrol(bytes32 id, address operator, INodeRegistry.AttestationKey memory key)
        internal
    {
        _vote(0, id, operator, key);
        _vote(1, id, operator, key);
    }

    function _request(bytes32 id, address operator) internal returns (bytes32) {
        vm.prank(operator);
        return registry.requestChallenge(id);
    }

    function _attest(bytes32 id, Statement memory statement) internal {
        vm.prank(STRANGER);
        registry.attest(id, statement.quote, statement.r, statement.s);
    }

    /// @dev The node of the real quotes, ready to answer their first challenge.
    function _realNode() internal {
        registry.approveRelease(_pcrDigest(), VERSION);
        _enrol(nodeId, OPERATOR, _realKey());
        _register(nodeId, OWNER, OPERATOR, _realKey());
        _requestChosen(".challenge");
    }

    function _requestChosen(string memory challenge) internal {
        registry.choose(vm.parseJsonBytes32(json, challenge));
        _request(nodeId, OPERATOR);
    }

    /// @dev A node with a key of the test's own, enrolled and registered; RELEASE is approved.
    function _madeNode() internal {
        registry.approveRelease(RELEASE, VERSION);
        _enrol(nodeId, OPERATOR, _keyOf(SECRET));
        _register(nodeId, OWNER, OPERATOR, _keyOf(SECRET));
    }

    function _madeAttestation(bytes32 pcrDigest, uint32 resetCount) internal {
        bytes32 challenge = _request(nodeId, OPERATOR);
        _attest(nodeId, _answer(nodeId, challenge, pcrDigest, resetCount, SECRET));
    }

    // Quotes.

    function _realStatement(string memory name) internal view returns (Statement memory) {
        string memory path = string.concat(".statements.", name);
        return Statement({
            quote: vm.parseJsonBytes(json, string.concat(path, ".quote")),
            r: vm.parseJsonBytes32(json, string.concat(path, ".r")),
            s: vm.parseJsonBytes32(json, string.concat(path, ".s"))
        });
    }

    function _realKey() internal view returns (INodeRegistry.AttestationKey memory) {
        return _jsonKey(".key");
    }

    function _jsonKey(string memory path)
        internal
        view
        returns (INodeRegistry.AttestationKey memory)
    {
        return INodeRegistry.AttestationKey({
            x: vm.parseJsonBytes32(json, string.concat(path, ".x")),
            y: vm.parseJsonBytes32(json, string.concat(path, ".y"))
        });
    }

    function _pcrDigest() internal view returns (bytes32) {
        return vm.parseJsonBytes32(json, ".pcrDigest");
    }

    function _keyOf(uint256 secret) internal pure returns (INodeRegistry.AttestationKey memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(secret);
        return INodeRegistry.AttestationKey(bytes32(x), bytes32(y));
    }

    function _answer(
        bytes32 id,
        bytes32 challenge,
        bytes32 pcrDigest,
        uint32 resetCount,
        uint256 secret
    ) internal view returns (Statement memory) {
        return _signed(_quote(_extraData(id, challenge), pcrDigest, resetCount), secret);
    }

    function _extraData(bytes32 id, bytes32 challenge) internal view returns (bytes32) {
        return sha256(
            abi.encodePacked(
                "aleph/attest/chain/v1", block.chainid, address(registry), id, challenge
            )
        );
    }

    /// @dev Field by field what a TPM writes.
    function _quote(bytes32 extraData, bytes32 pcrDigest, uint32 resetCount)
        internal
        pure
        returns (bytes memory)
    {
        bytes memory quote = abi.encodePacked(
            bytes10(0xff54434780180022000b), keccak256("signer"), uint16(32), extraData
        );
        quote = abi.encodePacked(quote, uint64(123_456), resetCount, uint32(3), uint8(1));
        return
            abi.encodePacked(
                quote, uint64(1), bytes10(0x00000001000b03101a00), uint16(32), pcrDigest
            );
    }

    function _signed(bytes memory quote, uint256 secret) internal pure returns (Statement memory) {
        (bytes32 r, bytes32 s) = vm.signP256(secret, sha256(quote));
        if (uint256(s) > P256.N / 2) s = bytes32(P256.N - uint256(s));
        return Statement(quote, r, s);
    }
}

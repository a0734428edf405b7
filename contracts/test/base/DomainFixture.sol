// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {DomainRegistry} from "../../src/DomainRegistry.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {ServiceFixture} from "./ServiceDoubles.sol";

/// @title A registry of domains with four witnesses, of whom three are a quorum
abstract contract DomainFixture is ServiceFixture {
    uint32 internal constant QUORUM = 3;
    uint64 internal constant CLAIM_VALIDITY_S = 7 days;
    uint64 internal constant VALIDITY_PERIOD_S = 90 days;
    uint64 internal constant GRACE_PERIOD_S = 30 days;
    uint64 internal constant CONTEST_PERIOD_S = 3 days;

    string internal constant NAME = "example.org";
    bytes32 internal constant DOMAIN = keccak256("example.org");
    bytes32 internal constant TARGET = keccak256("target");

    address internal constant ALICE = address(0xA1);
    address internal constant BOB = address(0xB1);
    address internal constant CAROL = address(0xC1);

    DomainRegistry internal domains;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        domains = DomainRegistry(
            _proxy(
                address(new DomainRegistry()),
                abi.encodeCall(DomainRegistry.initialize, (address(this), _parameters()))
            )
        );
        _grantCommonRoles(domains);
        for (uint256 i = 0; i < QUORUM + 1; ++i) {
            domains.grantRole(Roles.DNS_WITNESS, _witness(i));
        }
    }

    function _parameters() internal pure returns (IDomainRegistry.Parameters memory) {
        return IDomainRegistry.Parameters({
            witnessQuorum: QUORUM,
            claimValidity: CLAIM_VALIDITY_S,
            validityPeriod: VALIDITY_PERIOD_S,
            gracePeriod: GRACE_PERIOD_S,
            contestPeriod: CONTEST_PERIOD_S
        });
    }

    function _claim(address claimant) internal returns (uint256 claimId) {
        vm.prank(claimant);
        (claimId,) = domains.registerDomain(NAME);
    }

    /// @dev Witnesses `from` to `until`, the last one not included, see the claim's challenge.
    function _see(uint256 claimId, uint256 from, uint256 until) internal {
        for (uint256 i = from; i < until; ++i) {
            vm.prank(_witness(i));
            domains.verify(claimId);
        }
    }

    function _verified(address claimant) internal returns (uint256 claimId) {
        claimId = _claim(claimant);
        _see(claimId, 0, QUORUM);
    }

    function _map(address owner) internal {
        vm.prank(owner);
        domains.mapDomain(DOMAIN, IDomainRegistry.TargetKind.Instance, TARGET);
    }

    function _assertStatus(IDomainRegistry.DomainStatus status) internal view {
        vm.assertEq(uint256(domains.statusOf(DOMAIN)), uint256(status));
    }

    function _assertResolves(bytes32 target) internal view {
        (IDomainRegistry.TargetKind kind, bytes32 found) = domains.resolve(DOMAIN);
        vm.assertEq(found, target);
        vm.assertTrue((kind == IDomainRegistry.TargetKind.None) == (target == 0));
    }
}

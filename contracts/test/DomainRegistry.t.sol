// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    PausableUpgradeable
} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {SlotDerivation} from "@openzeppelin/contracts/utils/SlotDerivation.sol";

import {vm} from "../script/Vm.sol";
import {IDomainRegistry} from "../src/interfaces/IDomainRegistry.sol";
import {Bounds} from "../src/libraries/Bounds.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {DomainFixture} from "./base/DomainFixture.sol";

contract DomainRegistryTest is DomainFixture {
    // Claims.

    function test_a_claim_reserves_nothing_and_says_its_challenge() public {
        uint64 validUntil = uint64(block.timestamp) + CLAIM_VALIDITY_S;
        bytes32 challenge =
            keccak256(abi.encode(block.chainid, address(domains), uint256(1), DOMAIN, ALICE));
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainClaimed(1, DOMAIN, ALICE, NAME, challenge, validUntil);
        vm.prank(ALICE);
        (uint256 claimId, bytes32 answer) = domains.registerDomain(NAME);

        vm.assertEq(claimId, 1);
        vm.assertEq(domains.claimCount(), 1);
        vm.assertEq(answer, challenge);
        vm.assertEq(domains.challengeOf(1), challenge);
        IDomainRegistry.Claim memory claim = domains.getClaim(1);
        vm.assertEq(claim.domainId, DOMAIN);
        vm.assertEq(claim.claimant, ALICE);
        vm.assertEq(claim.claimedAt, block.timestamp);
        vm.assertEq(claim.validUntil, validUntil);
        vm.assertFalse(claim.used);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
        vm.assertEq(domains.ownerOf(DOMAIN), address(0));
    }

    function test_no_two_claims_share_a_challenge() public {
        bytes32 first = domains.challengeOf(_claim(ALICE));
        vm.assertTrue(first != domains.challengeOf(_claim(ALICE)));
        vm.assertTrue(first != domains.challengeOf(_claim(BOB)));
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.UnknownClaim.selector, 4));
        domains.challengeOf(4);
    }

    function test_a_claim_is_to_a_name() public {
        vm.expectRevert(IDomainRegistry.InvalidDomainName.selector);
        domains.registerDomain("Example.org");
    }

    // Verification.

    function test_a_quorum_makes_the_claimant_the_owner() public {
        uint256 claimId = _claim(ALICE);
        _see(claimId, 0, QUORUM - 1);
        _assertStatus(IDomainRegistry.DomainStatus.Free);

        uint64 expiresAt = uint64(block.timestamp) + VALIDITY_PERIOD_S;
        vm.expectEmit(address(domains));
        emit IDomainRegistry.ClaimWitnessed(claimId, _witness(QUORUM - 1));
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainTaken(DOMAIN, ALICE, expiresAt);
        _see(claimId, QUORUM - 1, QUORUM);

        _assertStatus(IDomainRegistry.DomainStatus.Live);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        vm.assertTrue(domains.getClaim(claimId).used);
        IDomainRegistry.Domain memory domain = domains.getDomain(DOMAIN);
        vm.assertEq(domain.expiresAt, expiresAt);
        vm.assertEq(domain.graceEndsAt, expiresAt + GRACE_PERIOD_S);
        _assertResolves(0);
    }

    function test_a_verification_has_a_claim_that_is_young_and_unused() public {
        vm.startPrank(_witness(0));
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.UnknownClaim.selector, 1));
        domains.verify(1);
        vm.stopPrank();

        uint256 claimId = _verified(ALICE);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.ClaimUsed.selector, claimId));
        vm.prank(_witness(3));
        domains.verify(claimId);

        claimId = _claim(BOB);
        _skip(CLAIM_VALIDITY_S);
        _see(claimId, 0, 1);
        _skip(1);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.ClaimExpired.selector, claimId));
        vm.prank(_witness(1));
        domains.verify(claimId);
    }

    function test_a_witness_has_one_voice() public {
        uint256 claimId = _claim(ALICE);
        _see(claimId, 0, 1);
        bytes32 statement = keccak256(abi.encode(claimId, 0));
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.AlreadyVoted.selector, _witness(0), statement)
        );
        vm.prank(_witness(0));
        domains.verify(claimId);
    }

    function test_only_witnesses_verify() public {
        uint256 claimId = _claim(ALICE);
        vm.expectRevert(_unauthorized(ALICE, Roles.DNS_WITNESS));
        vm.prank(ALICE);
        domains.verify(claimId);
    }

    function test_a_lost_role_discards_voices_without_a_quorum() public {
        uint256 claimId = _claim(ALICE);
        _see(claimId, 0, QUORUM - 1);
        domains.revokeRole(Roles.PAUSER, address(this));
        domains.revokeRole(Roles.DNS_WITNESS, STRANGER);
        vm.expectRevert(
            abi.encodeWithSelector(
                Quorum.AlreadyVoted.selector, _witness(0), keccak256(abi.encode(claimId, 0))
            )
        );
        _see(claimId, 0, 1);
        domains.revokeRole(Roles.DNS_WITNESS, _witness(QUORUM));
        _see(claimId, 0, QUORUM - 1);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
        _see(claimId, QUORUM - 1, QUORUM);
        _assertStatus(IDomainRegistry.DomainStatus.Live);
    }

    // Time.

    function test_a_name_is_live_then_in_grace_then_free() public {
        _verified(ALICE);
        _map(ALICE);
        _skip(VALIDITY_PERIOD_S);
        _assertStatus(IDomainRegistry.DomainStatus.Live);
        _assertResolves(TARGET);
        _skip(1);
        _assertStatus(IDomainRegistry.DomainStatus.Grace);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        _assertResolves(0);
        _skip(GRACE_PERIOD_S - 1);
        _assertStatus(IDomainRegistry.DomainStatus.Grace);
        _skip(1);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
        vm.assertEq(domains.ownerOf(DOMAIN), address(0));
    }

    function test_an_owner_keeps_the_name_and_what_it_points_to() public {
        _verified(ALICE);
        _map(ALICE);
        uint64[3] memory waits = [
            VALIDITY_PERIOD_S - 1,
            VALIDITY_PERIOD_S + GRACE_PERIOD_S,
            VALIDITY_PERIOD_S + GRACE_PERIOD_S + 1
        ];
        for (uint256 i = 0; i < waits.length; ++i) {
            _skip(waits[i]);
            uint256 claimId = _claim(ALICE);
            _see(claimId, 0, QUORUM - 1);
            uint64 expiresAt = uint64(block.timestamp) + VALIDITY_PERIOD_S;
            vm.expectEmit(address(domains));
            emit IDomainRegistry.DomainRenewed(DOMAIN, ALICE, expiresAt);
            _see(claimId, QUORUM - 1, QUORUM);
            vm.assertEq(domains.getDomain(DOMAIN).expiresAt, expiresAt);
            vm.assertEq(domains.getDomain(DOMAIN).graceEndsAt, expiresAt + GRACE_PERIOD_S);
            _assertResolves(TARGET);
        }
    }

    function test_a_free_name_is_whoevers_verifies_first() public {
        _verified(ALICE);
        _map(ALICE);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, CAROL);
        _skip(VALIDITY_PERIOD_S + GRACE_PERIOD_S + 1);
        _verified(BOB);
        vm.assertEq(domains.ownerOf(DOMAIN), BOB);
        vm.assertEq(domains.getDomain(DOMAIN).pendingOwner, address(0));
        _assertResolves(0);
    }

    // Contests.

    function test_another_ones_verification_is_a_contest() public {
        _verified(ALICE);
        _map(ALICE);
        uint256 claimId = _claim(BOB);
        _see(claimId, 0, QUORUM - 1);
        uint64 endsAt = uint64(block.timestamp) + CONTEST_PERIOD_S;
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainContested(DOMAIN, BOB, endsAt);
        _see(claimId, QUORUM - 1, QUORUM);

        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        _assertResolves(TARGET);
        IDomainRegistry.Domain memory domain = domains.getDomain(DOMAIN);
        vm.assertEq(domain.contender, BOB);
        vm.assertEq(domain.contestedAt, block.timestamp);
        vm.assertEq(domain.contestEndsAt, endsAt);
        vm.assertEq(domain.proofExpiresAt, block.timestamp + VALIDITY_PERIOD_S);
    }

    function test_an_unanswered_contest_gives_the_name_away() public {
        _verified(ALICE);
        _map(ALICE);
        _verified(BOB);
        uint64 endsAt = uint64(block.timestamp) + CONTEST_PERIOD_S;
        uint64 expiresAt = uint64(block.timestamp) + VALIDITY_PERIOD_S;
        _skip(CONTEST_PERIOD_S);
        vm.expectRevert(
            abi.encodeWithSelector(IDomainRegistry.WrongTime.selector, endsAt + 1, expiresAt)
        );
        domains.settleContest(DOMAIN);

        _skip(1);
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainTaken(DOMAIN, BOB, expiresAt);
        vm.prank(STRANGER);
        domains.settleContest(DOMAIN);
        vm.assertEq(domains.ownerOf(DOMAIN), BOB);
        vm.assertEq(domains.getDomain(DOMAIN).expiresAt, expiresAt);
        _assertResolves(0);

        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.NotContested.selector, DOMAIN));
        domains.settleContest(DOMAIN);
    }

    function test_an_answer_is_a_claim_made_after_the_contest() public {
        _verified(ALICE);
        uint256 before = _claim(ALICE);
        _verified(BOB);
        uint256 atOnce = _claim(ALICE);
        _see(before, 0, QUORUM);
        _see(atOnce, 0, QUORUM);
        vm.assertEq(domains.getDomain(DOMAIN).contender, BOB);

        _skip(1);
        uint256 claimId = _claim(ALICE);
        _see(claimId, 0, QUORUM - 1);
        vm.expectEmit(address(domains));
        emit IDomainRegistry.ContestAnswered(DOMAIN, BOB);
        _see(claimId, QUORUM - 1, QUORUM);
        IDomainRegistry.Domain memory domain = domains.getDomain(DOMAIN);
        vm.assertEq(domain.contender, address(0));
        vm.assertEq(domain.contestedAt + domain.contestEndsAt + domain.proofExpiresAt, 0);
        _skip(CONTEST_PERIOD_S + 1);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.NotContested.selector, DOMAIN));
        domains.settleContest(DOMAIN);
    }

    function test_the_last_contender_counts() public {
        _verified(ALICE);
        _verified(BOB);
        _skip(CONTEST_PERIOD_S);
        _verified(CAROL);
        _skip(CONTEST_PERIOD_S);
        vm.expectRevert(
            abi.encodeWithSelector(
                IDomainRegistry.WrongTime.selector,
                block.timestamp + 1,
                block.timestamp - CONTEST_PERIOD_S + VALIDITY_PERIOD_S
            )
        );
        domains.settleContest(DOMAIN);
        _skip(1);
        domains.settleContest(DOMAIN);
        vm.assertEq(domains.ownerOf(DOMAIN), CAROL);
    }

    function test_a_contest_does_not_outlive_its_proof() public {
        _verified(ALICE);
        _verified(BOB);
        uint64 from = uint64(block.timestamp) + CONTEST_PERIOD_S + 1;
        uint64 until = uint64(block.timestamp) + VALIDITY_PERIOD_S;
        _skip(VALIDITY_PERIOD_S + 1);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.WrongTime.selector, from, until));
        domains.settleContest(DOMAIN);
    }

    function test_a_name_in_grace_is_contested_too() public {
        _verified(ALICE);
        _skip(VALIDITY_PERIOD_S + 1);
        _verified(BOB);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        vm.assertEq(domains.getDomain(DOMAIN).contender, BOB);
    }

    // Targets.

    function test_a_name_points_to_what_its_owner_says() public {
        _verified(ALICE);
        for (uint256 kind = 1; kind <= 3; ++kind) {
            vm.expectEmit(address(domains));
            emit IDomainRegistry.DomainMapped(
                DOMAIN, IDomainRegistry.TargetKind(kind), bytes32(kind)
            );
            vm.prank(ALICE);
            domains.mapDomain(DOMAIN, IDomainRegistry.TargetKind(kind), bytes32(kind));
            (IDomainRegistry.TargetKind found, bytes32 target) = domains.resolve(DOMAIN);
            vm.assertEq(uint256(found), kind);
            vm.assertEq(target, bytes32(kind));
        }
        vm.prank(ALICE);
        domains.mapDomain(DOMAIN, IDomainRegistry.TargetKind.None, 0);
        _assertResolves(0);
    }

    function test_a_target_has_a_kind_and_a_kind_a_target() public {
        _verified(ALICE);
        vm.startPrank(ALICE);
        vm.expectRevert(IDomainRegistry.InvalidTarget.selector);
        domains.mapDomain(DOMAIN, IDomainRegistry.TargetKind.None, TARGET);
        vm.expectRevert(IDomainRegistry.InvalidTarget.selector);
        domains.mapDomain(DOMAIN, IDomainRegistry.TargetKind.Content, 0);
    }

    // Transfers.

    function test_a_transfer_takes_two() public {
        _verified(ALICE);
        _map(ALICE);
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainTransferStarted(DOMAIN, ALICE, BOB);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, BOB);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);

        vm.expectRevert(_notPending(CAROL));
        vm.prank(CAROL);
        domains.acceptDomain(DOMAIN);

        uint64 expiresAt = domains.getDomain(DOMAIN).expiresAt;
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainTransferred(DOMAIN, ALICE, BOB);
        vm.prank(BOB);
        domains.acceptDomain(DOMAIN);
        vm.assertEq(domains.ownerOf(DOMAIN), BOB);
        vm.assertEq(domains.getDomain(DOMAIN).pendingOwner, address(0));
        vm.assertEq(domains.getDomain(DOMAIN).expiresAt, expiresAt);
        _assertResolves(TARGET);
    }

    function test_a_transfer_can_be_cancelled() public {
        _verified(ALICE);
        vm.startPrank(ALICE);
        vm.expectRevert(_notPending(address(0)));
        domains.cancelTransfer(DOMAIN);
        domains.transferDomain(DOMAIN, BOB);
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainTransferCancelled(DOMAIN, BOB);
        domains.cancelTransfer(DOMAIN);
        vm.stopPrank();

        vm.expectRevert(_notPending(BOB));
        vm.prank(BOB);
        domains.acceptDomain(DOMAIN);
    }

    function test_only_a_live_name_is_accepted() public {
        _verified(ALICE);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, BOB);
        _skip(VALIDITY_PERIOD_S + 1);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.DomainNotLive.selector, DOMAIN));
        vm.prank(BOB);
        domains.acceptDomain(DOMAIN);
    }

    function test_a_transfer_does_not_shake_off_a_contest() public {
        _verified(ALICE);
        _verified(BOB);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, CAROL);
        vm.prank(CAROL);
        domains.acceptDomain(DOMAIN);
        vm.assertEq(domains.getDomain(DOMAIN).contender, BOB);
        _skip(CONTEST_PERIOD_S + 1);
        domains.settleContest(DOMAIN);
        vm.assertEq(domains.ownerOf(DOMAIN), BOB);
    }

    function test_a_transfer_to_the_contender_ends_the_contest() public {
        _verified(ALICE);
        _map(ALICE);
        _verified(BOB);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, BOB);
        vm.prank(BOB);
        domains.acceptDomain(DOMAIN);
        vm.assertEq(domains.getDomain(DOMAIN).contender, address(0));
        _skip(CONTEST_PERIOD_S + 1);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.NotContested.selector, DOMAIN));
        domains.settleContest(DOMAIN);
        _assertResolves(TARGET);
    }

    function test_a_released_name_is_free_at_once() public {
        _verified(ALICE);
        _map(ALICE);
        vm.expectEmit(address(domains));
        emit IDomainRegistry.DomainReleased(DOMAIN, ALICE);
        vm.prank(ALICE);
        domains.releaseDomain(DOMAIN);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
        vm.assertEq(domains.getDomain(DOMAIN).owner, address(0));
        _verified(BOB);
        vm.assertEq(domains.ownerOf(DOMAIN), BOB);
    }

    // Who may.

    function test_only_the_owner_of_a_live_name_decides() public {
        _verified(ALICE);
        bytes[4] memory calls = [
            abi.encodeCall(domains.mapDomain, (DOMAIN, IDomainRegistry.TargetKind.Content, TARGET)),
            abi.encodeCall(domains.transferDomain, (DOMAIN, BOB)),
            abi.encodeCall(domains.cancelTransfer, (DOMAIN)),
            abi.encodeCall(domains.releaseDomain, (DOMAIN))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(BOB);
            (bool succeeded, bytes memory answer) = address(domains).call(calls[i]);
            vm.assertFalse(succeeded);
            vm.assertEq(
                answer, abi.encodeWithSelector(IDomainRegistry.NotDomainOwner.selector, DOMAIN, BOB)
            );
        }
        _skip(VALIDITY_PERIOD_S + 1);
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(ALICE);
            (bool succeeded, bytes memory answer) = address(domains).call(calls[i]);
            vm.assertFalse(succeeded);
            vm.assertEq(
                answer, abi.encodeWithSelector(IDomainRegistry.DomainNotLive.selector, DOMAIN)
            );
        }
    }

    // Governance.

    function test_a_pause_stops_claims_but_not_the_owners() public {
        _verified(ALICE);
        uint256 claimId = _claim(BOB);
        domains.pause();
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        vm.prank(BOB);
        domains.registerDomain(NAME);
        _see(claimId, 0, QUORUM);

        _skip(VALIDITY_PERIOD_S + 1);
        _verified(ALICE);
        _assertStatus(IDomainRegistry.DomainStatus.Live);
        _skip(VALIDITY_PERIOD_S + GRACE_PERIOD_S + 1);
        vm.expectRevert(PausableUpgradeable.EnforcedPause.selector);
        vm.prank(ALICE);
        domains.registerDomain(NAME);
    }

    function test_parameters_are_governances_and_bounded() public {
        vm.assertEq(abi.encode(domains.getParameters()), abi.encode(_parameters()));
        vm.expectRevert(_unauthorized(STRANGER, Roles.PARAMETER));
        vm.prank(STRANGER);
        domains.setParameters(_parameters());

        IDomainRegistry.Parameters memory all = _parameters();
        all.witnessQuorum = 0;
        _expectOutOfBounds(all, "witnessQuorum", 0, 1, 32);
        all.witnessQuorum = 33;
        _expectOutOfBounds(all, "witnessQuorum", 33, 1, 32);
        all = _parameters();
        all.claimValidity = 30 days + 1;
        _expectOutOfBounds(all, "claimValidity", 30 days + 1, 1, 30 days);
        all = _parameters();
        all.contestPeriod = 0;
        _expectOutOfBounds(all, "contestPeriod", 0, 1, 30 days);
        all = _parameters();
        all.validityPeriod = 2 * CONTEST_PERIOD_S - 1;
        _expectOutOfBounds(
            all, "validityPeriod", all.validityPeriod, 2 * CONTEST_PERIOD_S, 400 days
        );
        all = _parameters();
        all.gracePeriod = 90 days + 1;
        _expectOutOfBounds(all, "gracePeriod", 90 days + 1, 1, 90 days);

        all = IDomainRegistry.Parameters(32, 30 days, 400 days, 90 days, 30 days);
        vm.expectEmit(address(domains));
        emit IDomainRegistry.ParametersSet(all);
        domains.setParameters(all);
        vm.assertEq(abi.encode(domains.getParameters()), abi.encode(all));
    }

    function test_new_parameters_leave_running_clocks_alone() public {
        _verified(ALICE);
        uint256 claimId = _claim(BOB);
        bytes memory before = abi.encode(domains.getDomain(DOMAIN), domains.getClaim(claimId));
        domains.setParameters(IDomainRegistry.Parameters(1, 1, 2, 1, 1));
        vm.assertEq(abi.encode(domains.getDomain(DOMAIN), domains.getClaim(claimId)), before);
    }

    function test_storage_is_in_its_namespace() public {
        _claim(ALICE);
        domains.revokeRole(Roles.DNS_WITNESS, _witness(0));
        // Parameters (two slots), ballot round, count of claims.
        uint256 start = uint256(SlotDerivation.erc7201Slot("aleph.storage.DomainRegistry"));
        vm.assertEq(uint256(vm.load(address(domains), bytes32(start + 2))), 1);
        vm.assertEq(uint256(vm.load(address(domains), bytes32(start + 3))), 1);
    }

    function _expectOutOfBounds(
        IDomainRegistry.Parameters memory parameters,
        bytes32 name,
        uint256 value,
        uint256 min,
        uint256 max
    ) private {
        vm.expectRevert(
            abi.encodeWithSelector(Bounds.ParameterOutOfBounds.selector, name, value, min, max)
        );
        domains.setParameters(parameters);
    }

    function _notPending(address account) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IDomainRegistry.NotPendingOwner.selector, DOMAIN, account);
    }

    function _unauthorized(address account, bytes32 role) private pure returns (bytes memory) {
        return abi.encodeWithSelector(
            IAccessControl.AccessControlUnauthorizedAccount.selector, account, role
        );
    }
}

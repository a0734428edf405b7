// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {DomainFixture} from "../base/DomainFixture.sol";

/// @dev Somebody sees a claim in the mempool, or a challenge in the DNS, and goes first.
contract DomainFrontRunAttack is DomainFixture {
    function test_an_earlier_claim_gains_nothing() public {
        uint256 attackers = _claim(BOB);
        uint256 owners = _claim(ALICE);
        // The DNS shows Alice's challenge: honest witnesses say so of her claim only.
        vm.assertTrue(domains.challengeOf(attackers) != domains.challengeOf(owners));
        _see(owners, 0, QUORUM);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        vm.assertFalse(domains.getClaim(attackers).used);
    }

    function test_claims_do_not_stand_in_the_way() public {
        for (uint256 i = 0; i < 100; ++i) {
            _claim(address(uint160(0xBAD000 + i)));
        }
        _verified(ALICE);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
    }

    /// @dev A challenge names its claimant, so publishing a copied one proves the claimant's claim.
    function test_a_copied_challenge_is_still_its_claimants() public {
        uint256 claimId = _claim(ALICE);
        bytes32 challenge = domains.challengeOf(claimId);
        vm.prank(BOB);
        (, bytes32 copied) = domains.registerDomain(NAME);
        vm.assertTrue(copied != challenge);
        _see(claimId, 0, QUORUM);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
    }

    /// @dev Who once controlled the DNS keeps a verified claim back for later: it gets no further
    /// than a contest, and not even that when the claim is old.
    function test_an_old_proof_does_not_take_a_name() public {
        uint256 claimId = _claim(BOB);
        _verified(ALICE);
        _see(claimId, 0, QUORUM);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        _skip(1);
        _verified(ALICE);
        vm.assertEq(domains.getDomain(DOMAIN).contender, address(0));

        claimId = _claim(BOB);
        _skip(CLAIM_VALIDITY_S + 1);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.ClaimExpired.selector, claimId));
        vm.prank(_witness(0));
        domains.verify(claimId);
    }
}

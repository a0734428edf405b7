// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {DomainFixture} from "../base/DomainFixture.sol";

/// @dev What a name pointed to is served on after its owner lost it.
contract ExpiredDomainAttack is DomainFixture {
    function setUp() public override {
        super.setUp();
        _verified(ALICE);
        _map(ALICE);
    }

    function test_an_expired_name_points_to_nothing() public {
        _skip(VALIDITY_PERIOD_S + 1);
        _assertResolves(0);
        _skip(GRACE_PERIOD_S);
        _assertResolves(0);
    }

    function test_the_next_owner_starts_with_nothing() public {
        _skip(VALIDITY_PERIOD_S + GRACE_PERIOD_S + 1);
        _verified(BOB);
        _assertStatus(IDomainRegistry.DomainStatus.Live);
        _assertResolves(0);
    }

    function test_nor_is_it_served_after_a_contest_or_a_release() public {
        uint256 state = vm.snapshotState();
        _verified(BOB);
        _skip(CONTEST_PERIOD_S + 1);
        domains.settleContest(DOMAIN);
        _assertResolves(0);
        vm.revertToState(state);

        vm.prank(ALICE);
        domains.releaseDomain(DOMAIN);
        _verified(BOB);
        _assertResolves(0);
    }

    function test_a_former_owner_has_no_say() public {
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, CAROL);
        _skip(VALIDITY_PERIOD_S + GRACE_PERIOD_S + 1);
        _verified(BOB);
        vm.expectRevert(
            abi.encodeWithSelector(IDomainRegistry.NotDomainOwner.selector, DOMAIN, ALICE)
        );
        vm.prank(ALICE);
        domains.mapDomain(DOMAIN, IDomainRegistry.TargetKind.Content, TARGET);
        // An offer that the former owner left behind.
        vm.expectRevert(
            abi.encodeWithSelector(IDomainRegistry.NotPendingOwner.selector, DOMAIN, CAROL)
        );
        vm.prank(CAROL);
        domains.acceptDomain(DOMAIN);
    }

    /// @dev A domain is sold: its former owner keeps neither it nor, by passing it round, time.
    function test_who_sold_the_domain_cannot_hold_on() public {
        _verified(BOB);
        uint256 endsAt = domains.getDomain(DOMAIN).contestEndsAt;
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, CAROL);
        vm.prank(CAROL);
        domains.acceptDomain(DOMAIN);
        vm.prank(CAROL);
        domains.transferDomain(DOMAIN, ALICE);
        vm.prank(ALICE);
        domains.acceptDomain(DOMAIN);
        vm.warp(endsAt + 1);
        domains.settleContest(DOMAIN);
        vm.assertEq(domains.ownerOf(DOMAIN), BOB);
    }
}

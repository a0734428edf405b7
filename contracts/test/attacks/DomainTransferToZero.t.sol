// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {DomainFixture} from "../base/DomainFixture.sol";

/// @dev A name goes to nobody, by mistake or through a bug in somebody's wallet.
contract DomainTransferToZeroAttack is DomainFixture {
    function test_the_zero_address_gets_no_name() public {
        _verified(ALICE);
        vm.expectRevert(IDomainRegistry.ZeroAddress.selector);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, address(0));
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        vm.assertEq(domains.getDomain(DOMAIN).pendingOwner, address(0));
    }

    function test_an_account_that_cannot_accept_gets_no_name() public {
        _verified(ALICE);
        vm.startPrank(ALICE);
        domains.transferDomain(DOMAIN, address(0xDEAD));
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
        _assertResolves(0);
        domains.mapDomain(DOMAIN, IDomainRegistry.TargetKind.Content, TARGET);
        domains.cancelTransfer(DOMAIN);
        vm.assertEq(domains.ownerOf(DOMAIN), ALICE);
    }
}

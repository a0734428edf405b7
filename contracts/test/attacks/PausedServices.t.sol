// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {DomainFixture} from "../base/DomainFixture.sol";
import {MarketFixture} from "../base/MarketFixture.sol";
import {SLAFixture} from "../base/SLAFixture.sol";

// Whoever holds the pause locks others in. All that leads to an end is done while paused here.

contract PausedServiceLevelsAttack is SLAFixture {
    function test_every_exit_is_open() public {
        uint256 id = _attached();
        uint256 slaId = slas.defineSla(_terms());
        _place(JOB + 1, NODE, OWNER);
        vm.prank(CUSTOMER);
        slas.attachSla(JOB + 1, slaId);
        slas.pause();

        vm.prank(CUSTOMER);
        slas.withdrawOffer(JOB + 1);
        _skip(3 * PERIOD_S);
        for (uint32 period = 0; period < 3; ++period) {
            _report(id, period, 0, QUORUM);
        }
        for (uint32 period = 0; period < 2; ++period) {
            vm.prank(OWNER);
            slas.disputeViolation(id, period, EVIDENCE);
            _resolve(id, period, period == 0);
        }
        slas.applyPenalty(id, 0);
        vm.prank(OWNER);
        slas.withdraw();
        vm.prank(CUSTOMER);
        slas.withdraw();
        _skip(DISPUTE_WINDOW_S + APPLY_WINDOW_S + 1);
        slas.closeViolation(id, 2);
        jobs.setStatus(JOB, IJobManager.JobStatus.Completed);
        slas.closeSla(id);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.Applied);
        _assertStatus(id, 1, ISLAManager.ViolationStatus.Dismissed);
        _assertStatus(id, 2, ISLAManager.ViolationStatus.Lapsed);
        vm.assertEq(aleph.balanceOf(address(slas)), 0);
    }
}

contract PausedDomainsAttack is DomainFixture {
    function test_every_exit_is_open() public {
        _verified(ALICE);
        uint256 claimId = _claim(BOB);
        domains.pause();

        _map(ALICE);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, CAROL);
        vm.prank(ALICE);
        domains.cancelTransfer(DOMAIN);
        vm.prank(ALICE);
        domains.transferDomain(DOMAIN, CAROL);
        vm.prank(CAROL);
        domains.acceptDomain(DOMAIN);
        // The owner keeps the name, against a contest too.
        _see(claimId, 0, QUORUM);
        _skip(1);
        _verified(CAROL);
        vm.assertEq(domains.getDomain(DOMAIN).contender, address(0));
        vm.prank(CAROL);
        domains.releaseDomain(DOMAIN);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
    }

    function test_a_contest_ends() public {
        _verified(ALICE);
        _verified(BOB);
        domains.pause();
        _skip(CONTEST_PERIOD_S + 1);
        domains.settleContest(DOMAIN);
        vm.assertEq(domains.ownerOf(DOMAIN), BOB);
    }
}

contract PausedMarketAttack is MarketFixture {
    function test_every_exit_is_open() public {
        uint256 imageId = _published();
        _purchase(imageId, BUYER);
        _purchase(imageId, OTHER_BUYER);
        market.pause();
        _revoke(imageId);
        _claim(imageId, BUYER);
        vm.assertEq(_wealth(BUYER), 1_000_000);
        vm.assertTrue(market.hasLicence(imageId, OTHER_BUYER));
    }
}

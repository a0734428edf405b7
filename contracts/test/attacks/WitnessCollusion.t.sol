// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {IDomainRegistry} from "../../src/interfaces/IDomainRegistry.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {DomainFixture} from "../base/DomainFixture.sol";
import {SLAFixture} from "../base/SLAFixture.sol";

/// @dev All but one of a quorum lie, as often and in as many ways as they like.
contract WitnessesOfServiceLevelsAttack is SLAFixture {
    function testFuzz_fewer_than_a_quorum_report_nothing(bytes32 seed, uint8 tries) public {
        uint256 id = _attached();
        _skip(3 * PERIOD_S);
        for (uint256 i = 0; i < 1 + tries % 32; ++i) {
            bytes32 random = keccak256(abi.encode(seed, i));
            uint32 period = uint32(uint8(random[0]) % 3);
            uint64 downtime = DOWNTIME_MAX_S + 1 + uint8(random[1]) % 4;
            bytes32 evidence = bytes32(1 + uint256(uint8(random[2]) % 4));
            for (uint256 liar = 0; liar < QUORUM - 1; ++liar) {
                vm.prank(_witness(liar));
                // A second time is refused, and that is as good.
                (bool succeeded,) = address(slas)
                    .call(abi.encodeCall(slas.reportViolation, (id, period, downtime, evidence)));
                succeeded;
            }
        }
        for (uint32 period = 0; period < 3; ++period) {
            _assertStatus(id, period, ISLAManager.ViolationStatus.None);
        }
    }

    /// @dev Voices for different measurements do not add up.
    function test_different_statements_do_not_add_up() public {
        uint256 id = _attached();
        _skip(PERIOD_S);
        for (uint64 i = 0; i < QUORUM + 1; ++i) {
            vm.prank(_witness(i));
            slas.reportViolation(id, 0, DOWNTIME_S + i, EVIDENCE);
        }
        for (uint64 i = 0; i < QUORUM - 1; ++i) {
            vm.prank(_witness(i));
            slas.reportViolation(id, 0, DOWNTIME_S, keccak256(abi.encode(i)));
        }
        _assertStatus(id, 0, ISLAManager.ViolationStatus.None);
    }

    /// @dev Liars are found out before they are enough, and lose the role; what they said must not
    /// wait for others to join in.
    function test_the_voice_of_who_lost_the_role_counts_no_more() public {
        uint256 id = _attached();
        _skip(PERIOD_S);
        _report(id, 0, 0, QUORUM - 1);
        slas.revokeRole(Roles.WITNESS, _witness(0));
        slas.revokeRole(Roles.WITNESS, _witness(1));
        _report(id, 0, QUORUM - 1, QUORUM + 1);
        _assertStatus(id, 0, ISLAManager.ViolationStatus.None);
    }

    /// @dev And even a lying quorum does not get past the committee.
    function test_a_lying_quorum_is_disputed() public {
        uint256 id = _disputed();
        _resolve(id, 0, false);
        vm.expectRevert(_wrongStatus(ISLAManager.ViolationStatus.Dismissed));
        _report(id, 0, QUORUM, QUORUM + 1);
        vm.assertEq(staking.callCount() + payments.calls(), 0);
    }
}

contract WitnessesOfDomainsAttack is DomainFixture {
    function test_fewer_than_a_quorum_verify_nothing() public {
        for (uint256 i = 0; i < 16; ++i) {
            _see(_claim(BOB), 0, QUORUM - 1);
        }
        _see(_claim(CAROL), QUORUM - 1, QUORUM + 1);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
    }

    /// @dev Voices for the same name and different claims do not add up.
    function test_different_claims_do_not_add_up() public {
        uint256 first = _claim(BOB);
        uint256 second = _claim(BOB);
        _see(first, 0, 2);
        _see(second, 2, 4);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
    }

    function test_the_voice_of_who_lost_the_role_counts_no_more() public {
        uint256 claimId = _claim(BOB);
        _see(claimId, 0, QUORUM - 1);
        domains.revokeRole(Roles.DNS_WITNESS, _witness(0));
        _see(claimId, QUORUM - 1, QUORUM + 1);
        _assertStatus(IDomainRegistry.DomainStatus.Free);
    }

    function test_a_lying_quorum_is_answered() public {
        _verified(ALICE);
        _map(ALICE);
        _verified(BOB);
        _skip(CONTEST_PERIOD_S);
        uint256 claimId = _claim(ALICE);
        _see(claimId, 0, QUORUM);
        _skip(1);
        vm.expectRevert(abi.encodeWithSelector(IDomainRegistry.NotContested.selector, DOMAIN));
        domains.settleContest(DOMAIN);
        _assertResolves(TARGET);
    }
}

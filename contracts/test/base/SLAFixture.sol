// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {SLAManager} from "../../src/SLAManager.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {
    CreditsDouble,
    JobsDouble,
    PlayToken,
    ServiceFixture,
    SlashingDouble
} from "./ServiceDoubles.sol";

/// @title Service levels with four witnesses, of whom three are a quorum, and a job on a node
abstract contract SLAFixture is ServiceFixture {
    uint32 internal constant QUORUM = 3;
    uint64 internal constant OFFER_VALIDITY_S = 1 days;
    uint64 internal constant REPORT_WINDOW_S = 3 days;
    uint64 internal constant DISPUTE_WINDOW_S = 2 days;
    uint64 internal constant RESOLUTION_WINDOW_S = 4 days;
    uint64 internal constant APPLY_WINDOW_S = 10 days;
    uint128 internal constant BOND = 50 ether;
    uint128 internal constant SLASH = 100 ether;
    uint16 internal constant CUSTOMER_BPS = 3000;

    uint64 internal constant PERIOD_S = 1 days;
    uint64 internal constant DOWNTIME_MAX_S = 10 minutes;
    uint64 internal constant DOWNTIME_S = 1 hours;
    uint128 internal constant PRICE_PER_HOUR = 1 ether;
    /// @dev A tenth of 24 hours.
    uint256 internal constant CREDIT = 2.4 ether;

    address internal constant OWNER = address(0xA1);
    address internal constant CUSTOMER = address(0xC1);
    address internal constant COMMITTEE = address(0xD1);
    bytes32 internal constant NODE = keccak256("node");
    bytes32 internal constant OTHER_NODE = keccak256("other node");
    bytes32 internal constant EVIDENCE = keccak256("evidence");
    uint256 internal constant JOB = 7;

    PlayToken internal aleph;
    SlashingDouble internal staking;
    JobsDouble internal jobs;
    CreditsDouble internal payments;
    SLAManager internal slas;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        aleph = new PlayToken();
        staking = new SlashingDouble();
        jobs = new JobsDouble();
        payments = new CreditsDouble();
        slas = SLAManager(
            _proxy(
                address(new SLAManager()),
                abi.encodeCall(SLAManager.initialize, (address(this), _contracts(), _parameters()))
            )
        );
        _grantCommonRoles(slas);
        slas.grantRole(Roles.SLASHER, COMMITTEE);
        for (uint256 i = 0; i < QUORUM + 1; ++i) {
            slas.grantRole(Roles.WITNESS, _witness(i));
        }
        staking.setStake(NODE, OWNER, 1000 ether, 0);
        _place(JOB, NODE, OWNER);
        payments.setOwed(JOB, 1000 ether);
        _fund(OWNER);
    }

    function _contracts() internal view returns (ISLAManager.Contracts memory) {
        return ISLAManager.Contracts(aleph, staking, jobs, payments);
    }

    function _parameters() internal pure returns (ISLAManager.Parameters memory) {
        return ISLAManager.Parameters({
            witnessQuorum: QUORUM,
            offerValidity: OFFER_VALIDITY_S,
            reportWindow: REPORT_WINDOW_S,
            disputeWindow: DISPUTE_WINDOW_S,
            resolutionWindow: RESOLUTION_WINDOW_S,
            applyWindow: APPLY_WINDOW_S,
            customerBpsMax: 5000,
            slashMax: 1000 ether,
            disputeBond: BOND
        });
    }

    function _terms() internal pure returns (ISLAManager.Terms memory) {
        return ISLAManager.Terms({
            period: PERIOD_S,
            periods: 30,
            downtimeMax: DOWNTIME_MAX_S,
            creditBps: 1000,
            slashAmount: SLASH,
            customerBps: CUSTOMER_BPS,
            documentHash: keccak256("document")
        });
    }

    function _place(uint256 jobId, bytes32 nodeId, address owner) internal {
        jobs.place(jobId, CUSTOMER, PRICE_PER_HOUR, nodeId, owner);
    }

    function _fund(address account) internal {
        aleph.mint(account, 1_000_000 ether);
        vm.prank(account);
        aleph.approve(address(slas), type(uint256).max);
    }

    /// @dev The customer offers, the owner agrees.
    function _attach(uint256 jobId, ISLAManager.Terms memory terms) internal returns (uint256) {
        uint256 slaId = slas.defineSla(terms);
        vm.prank(CUSTOMER);
        slas.attachSla(jobId, slaId);
        vm.prank(OWNER);
        return slas.attachSla(jobId, slaId);
    }

    function _attached() internal returns (uint256) {
        return _attach(JOB, _terms());
    }

    /// @dev Witnesses `from` to `until`, the last one not included, say the same.
    function _report(uint256 id, uint32 period, uint256 from, uint256 until) internal {
        for (uint256 i = from; i < until; ++i) {
            vm.prank(_witness(i));
            slas.reportViolation(id, period, DOWNTIME_S, EVIDENCE);
        }
    }

    /// @dev A violation of the first period, reported right after it.
    function _reported() internal returns (uint256 id) {
        id = _attached();
        _skip(PERIOD_S);
        _report(id, 0, 0, QUORUM);
    }

    function _disputed() internal returns (uint256 id) {
        id = _reported();
        vm.prank(OWNER);
        slas.disputeViolation(id, 0, EVIDENCE);
    }

    function _resolve(uint256 id, uint32 period, bool upheld) internal {
        vm.prank(COMMITTEE);
        slas.resolveDispute(id, period, upheld);
    }

    function _assertStatus(uint256 id, uint32 period, ISLAManager.ViolationStatus status)
        internal
        view
    {
        vm.assertEq(uint256(slas.getViolation(id, period).status), uint256(status));
    }

    function _wrongStatus(ISLAManager.ViolationStatus status) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISLAManager.WrongViolationStatus.selector, status);
    }

    function _wrongTime(uint256 from, uint256 until) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISLAManager.WrongTime.selector, from, until);
    }
}

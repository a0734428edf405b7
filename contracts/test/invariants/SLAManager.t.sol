// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "../../script/Vm.sol";
import {SLAManager} from "../../src/SLAManager.sol";
import {IBilledJobs} from "../../src/interfaces/IBilledJobs.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {ISLAManager} from "../../src/interfaces/ISLAManager.sol";
import {SLAFixture} from "../base/SLAFixture.sol";
import {JobsDouble, PlayToken} from "../base/ServiceDoubles.sol";

/// @title Customers, owners, witnesses and a committee who do what they may, in any order
/// @dev What must succeed is called and must not revert; what must not is tried as well, and the
/// handler notes if it did.
contract SLAHandler {
    uint256 public constant JOBS = 4;
    uint256 public constant WITNESSES = 4;
    uint256 private constant SLA = 1;

    struct Reported {
        uint256 id;
        uint32 period;
    }

    SLAManager private immutable SLAS;
    JobsDouble private immutable JOBS_DOUBLE;
    PlayToken private immutable ALEPH;
    address private immutable COMMITTEE;

    Reported[] private reported;

    mapping(uint256 id => mapping(uint32 period => mapping(uint64 downtime => uint256))) public
        voices;
    mapping(uint256 id => mapping(uint32 period => uint256)) public reportedAt;
    mapping(uint256 id => mapping(uint32 period => bool)) public upheld;
    mapping(uint256 id => mapping(uint32 period => uint256)) public penalties;
    mapping(uint256 id => mapping(uint32 period => bytes32)) public sealedViolation;
    uint256 public penaltyCount;
    bool public penaltyTooEarly;
    uint256 public bondsPaid;
    uint256 public bondsBack;

    constructor(SLAManager slas, JobsDouble jobs, PlayToken aleph, address committee) {
        (SLAS, JOBS_DOUBLE, ALEPH, COMMITTEE) = (slas, jobs, aleph, committee);
    }

    function node(uint256 i) public pure returns (bytes32) {
        return bytes32(i % 2 + 1);
    }

    function owner(bytes32 nodeId) public pure returns (address) {
        return address(uint160(0xA000 + uint256(nodeId)));
    }

    function customer(uint256 jobId) public pure returns (address) {
        return address(uint160(0xC000 + jobId % 2));
    }

    function reportedCount() external view returns (uint256) {
        return reported.length;
    }

    function reportedAtIndex(uint256 i) external view returns (uint256 id, uint32 period) {
        return (reported[i].id, reported[i].period);
    }

    // Agreements.

    function attach(uint256 seed) external {
        uint256 jobId = 1 + seed % JOBS;
        IBilledJobs.Billing memory billing = JOBS_DOUBLE.getBilling(jobId);
        uint32 segment = billing.segments - 1;
        if (SLAS.attachmentOf(jobId, segment) != 0 || !_runs(billing)) return;
        vm.prank(billing.customer);
        SLAS.attachSla(jobId, SLA);
        vm.prank(owner(JOBS_DOUBLE.getSegment(jobId, segment).nodeId));
        SLAS.attachSla(jobId, SLA);
    }

    function move(uint256 seed) external {
        uint256 jobId = 1 + seed % JOBS;
        IBilledJobs.Billing memory billing = JOBS_DOUBLE.getBilling(jobId);
        if (billing.segments > 8 || !_runs(billing)) return;
        bytes32 next = node(billing.segments);
        JOBS_DOUBLE.place(jobId, billing.customer, billing.pricePerHour, next, owner(next));
    }

    function close(uint256 seed) external {
        uint256 count = SLAS.attachmentCount();
        if (count == 0) return;
        uint256 id = 1 + seed % count;
        ISLAManager.Attachment memory attachment = SLAS.getAttachment(id);
        IBilledJobs.Billing memory billing = JOBS_DOUBLE.getBilling(attachment.jobId);
        bool binds = _runs(billing) && billing.segments - 1 == attachment.segment;
        (bool succeeded,) = address(SLAS).call(abi.encodeCall(SLAS.closeSla, (id)));
        vm.assertTrue(succeeded == (!binds && attachment.closedAt == 0));
    }

    // Violations.

    /// @dev One witness speaks of the last whole period, or of any other.
    function report(uint256 seed, uint256 which, uint64 downtime) external {
        uint256 count = SLAS.attachmentCount();
        if (count == 0) return;
        uint256 id = 1 + seed % count;
        ISLAManager.Terms memory terms = SLAS.getSla(SLA);
        uint256 age = block.timestamp - SLAS.getAttachment(id).attachedAt;
        uint32 period = uint32(age / terms.period);
        if (period != 0 && which % 8 != 0) --period;
        // Two measurements, so that voices meet.
        downtime = terms.downtimeMax + 1 + downtime % 2;
        which %= 1 << 128;
        for (uint256 i = 0; i < 1 + (seed >> 128) % 3; ++i) {
            _report(id, period, downtime, which + i);
        }
    }

    function dispute(uint256 seed) external {
        if (reported.length == 0) return;
        (uint256 id, uint32 period) = _pick(seed);
        ISLAManager.Violation memory violation = SLAS.getViolation(id, period);
        if (
            violation.status != ISLAManager.ViolationStatus.Reported
                || block.timestamp > violation.deadline
        ) return;
        vm.prank(SLAS.getAttachment(id).owner);
        SLAS.disputeViolation(id, period, keccak256("counter"));
        bondsPaid += SLAS.getViolation(id, period).bond;
    }

    function resolve(uint256 seed, bool isTrue) external {
        if (reported.length == 0) return;
        (uint256 id, uint32 period) = _pick(seed);
        ISLAManager.Violation memory violation = SLAS.getViolation(id, period);
        if (
            violation.status != ISLAManager.ViolationStatus.Disputed
                || block.timestamp > violation.deadline
        ) return;
        vm.prank(COMMITTEE);
        SLAS.resolveDispute(id, period, isTrue);
        upheld[id][period] = isTrue;
        _seal(id, period);
    }

    /// @dev Tried on any violation at any time.
    function applyPenalty(uint256 seed) external {
        if (reported.length == 0) return;
        (uint256 id, uint32 period) = _pick(seed);
        (bool succeeded,) = address(SLAS).call(abi.encodeCall(SLAS.applyPenalty, (id, period)));
        if (!succeeded) return;
        ++penaltyCount;
        ++penalties[id][period];
        uint256 disputableUntil = reportedAt[id][period] + SLAS.getParameters().disputeWindow;
        if (!upheld[id][period] && block.timestamp <= disputableUntil) penaltyTooEarly = true;
        _seal(id, period);
    }

    /// @dev Tried on any violation at any time.
    function closeViolation(uint256 seed) external {
        if (reported.length == 0) return;
        (uint256 id, uint32 period) = _pick(seed);
        (bool succeeded,) = address(SLAS).call(abi.encodeCall(SLAS.closeViolation, (id, period)));
        if (succeeded) _seal(id, period);
    }

    function withdraw(uint256 seed) external {
        address account = seed % 2 == 0 ? owner(node(seed / 2)) : customer(seed / 2);
        if (SLAS.withdrawable(account) == 0) return;
        uint256 before = ALEPH.balanceOf(account);
        vm.prank(account);
        SLAS.withdraw();
        bondsBack += ALEPH.balanceOf(account) - before;
    }

    function pass(uint256 seconds_) external {
        vm.warp(block.timestamp + seconds_ % 2 days);
    }

    // Inside.

    function _report(uint256 id, uint32 period, uint64 downtime, uint256 which) private {
        ISLAManager.ViolationStatus status = SLAS.getViolation(id, period).status;
        vm.prank(address(uint160(0xF100 + which % WITNESSES)));
        (bool succeeded,) = address(SLAS)
            .call(
                abi.encodeCall(SLAS.reportViolation, (id, period, downtime, keccak256("evidence")))
            );
        if (!succeeded) return;
        vm.assertTrue(status == ISLAManager.ViolationStatus.None);
        ++voices[id][period][downtime];
        if (SLAS.getViolation(id, period).status == ISLAManager.ViolationStatus.None) return;
        reported.push(Reported(id, period));
        reportedAt[id][period] = block.timestamp;
    }

    function _pick(uint256 seed) private view returns (uint256 id, uint32 period) {
        // Half of the time the newest: the older ones have ended.
        uint256 i = seed % 2 == 0 ? reported.length - 1 : (seed >> 1) % reported.length;
        return (reported[i].id, reported[i].period);
    }

    /// @dev Remembers an end as it is, so that any later change of it shows.
    function _seal(uint256 id, uint32 period) private {
        ISLAManager.Violation memory violation = SLAS.getViolation(id, period);
        if (violation.status <= ISLAManager.ViolationStatus.Upheld) return;
        if (sealedViolation[id][period] != 0) return;
        sealedViolation[id][period] = keccak256(abi.encode(violation));
    }

    function _runs(IBilledJobs.Billing memory billing) private pure returns (bool) {
        return billing.status == IJobManager.JobStatus.Running;
    }
}

contract SLAManagerInvariants is SLAFixture {
    uint256 private constant OWN_STAKE = 1500 ether;
    uint256 private constant DELEGATED = 1_000_000 ether;

    SLAHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new SLAHandler(slas, jobs, aleph, COMMITTEE);
        slas.defineSla(_terms());
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 nodeId = handler.node(i);
            staking.setStake(nodeId, handler.owner(nodeId), OWN_STAKE, 0);
            staking.setDelegated(nodeId, DELEGATED);
            _fund(handler.owner(nodeId));
        }
        for (uint256 jobId = 1; jobId <= handler.JOBS(); ++jobId) {
            bytes32 nodeId = handler.node(jobId);
            address owner = handler.owner(nodeId);
            jobs.place(jobId, handler.customer(jobId), PRICE_PER_HOUR, nodeId, owner);
            payments.setOwed(jobId, 10 ether);
            handler.attach(jobId - 1);
        }
        // One violation to begin with: three witnesses seldom agree by chance.
        handler.pass(PERIOD_S);
        handler.report(2 << 128, 1, 0);
        vm.assertEq(handler.reportedCount(), 1);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev The contract holds the bonds of open disputes and what is not withdrawn, and no more.
    function invariant_every_bond_is_accounted_for() external view {
        uint256 owed = _withdrawableByAll();
        for (uint256 i = 0; i < handler.reportedCount(); ++i) {
            (uint256 id, uint32 period) = handler.reportedAtIndex(i);
            ISLAManager.Violation memory violation = slas.getViolation(id, period);
            if (violation.status == ISLAManager.ViolationStatus.Disputed) owed += violation.bond;
        }
        vm.assertEq(aleph.balanceOf(address(slas)), owed);
        vm.assertEq(owed, handler.bondsPaid() - handler.bondsBack());
    }

    function invariant_a_violation_is_paid_for_once_and_not_too_early() external view {
        uint256 applied;
        for (uint256 i = 0; i < handler.reportedCount(); ++i) {
            (uint256 id, uint32 period) = handler.reportedAtIndex(i);
            bool isApplied =
                slas.getViolation(id, period).status == ISLAManager.ViolationStatus.Applied;
            vm.assertEq(handler.penalties(id, period), isApplied ? 1 : 0);
            if (isApplied) ++applied;
        }
        vm.assertEq(handler.penaltyCount(), applied);
        vm.assertLe(staking.callCount(), applied);
        vm.assertLe(payments.calls(), applied);
        vm.assertFalse(handler.penaltyTooEarly());
    }

    function invariant_nothing_is_reported_without_a_quorum() external view {
        for (uint256 i = 0; i < handler.reportedCount(); ++i) {
            (uint256 id, uint32 period) = handler.reportedAtIndex(i);
            ISLAManager.Violation memory violation = slas.getViolation(id, period);
            vm.assertGe(handler.voices(id, period, violation.downtime), QUORUM);
            vm.assertTrue(violation.downtime > DOWNTIME_MAX_S && violation.downtime <= PERIOD_S);
        }
    }

    /// @dev No more is taken than the terms say, from nobody but who agreed.
    function invariant_penalties_are_bounded() external view {
        uint256 slashed;
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 nodeId = handler.node(i);
            uint256 lost = staking.slashedOf(handler.owner(nodeId));
            slashed += lost;
            vm.assertLe(lost, OWN_STAKE);
            vm.assertEq(staking.delegated(nodeId), DELEGATED);
        }
        vm.assertLe(slashed, handler.penaltyCount() * SLASH);
        uint256 credited;
        for (uint256 jobId = 1; jobId <= handler.JOBS(); ++jobId) {
            credited += payments.credited(jobId);
        }
        vm.assertLe(credited, handler.penaltyCount() * CREDIT);
    }

    function invariant_an_end_is_final() external view {
        for (uint256 i = 0; i < handler.reportedCount(); ++i) {
            (uint256 id, uint32 period) = handler.reportedAtIndex(i);
            ISLAManager.Violation memory violation = slas.getViolation(id, period);
            bool ended = violation.status > ISLAManager.ViolationStatus.Upheld;
            bytes32 seal = handler.sealedViolation(id, period);
            vm.assertTrue((seal != 0) == ended);
            if (ended) vm.assertEq(keccak256(abi.encode(violation)), seal);
        }
    }

    /// @dev From wherever the sequence got to, everything ends and everybody gets what is theirs,
    /// with no help of witnesses or committee.
    function afterInvariant() external {
        for (uint256 jobId = 1; jobId <= handler.JOBS(); ++jobId) {
            jobs.setStatus(jobId, IJobManager.JobStatus.Failed);
        }
        for (uint256 id = 1; id <= slas.attachmentCount(); ++id) {
            if (slas.getAttachment(id).closedAt == 0) slas.closeSla(id);
        }
        _skip(DISPUTE_WINDOW_S + RESOLUTION_WINDOW_S + APPLY_WINDOW_S + 1);
        for (uint256 i = 0; i < handler.reportedCount(); ++i) {
            (uint256 id, uint32 period) = handler.reportedAtIndex(i);
            if (slas.getViolation(id, period).status <= ISLAManager.ViolationStatus.Upheld) {
                slas.closeViolation(id, period);
            }
            vm.assertTrue(slas.getViolation(id, period).status > ISLAManager.ViolationStatus.Upheld);
        }
        for (uint256 seed = 0; seed < 4; ++seed) {
            handler.withdraw(seed);
        }
        vm.assertEq(aleph.balanceOf(address(slas)), 0);
    }

    function _withdrawableByAll() private view returns (uint256 sum) {
        for (uint256 i = 0; i < 2; ++i) {
            sum += slas.withdrawable(handler.owner(handler.node(i)));
            sum += slas.withdrawable(handler.customer(i));
        }
    }
}

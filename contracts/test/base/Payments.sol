// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {vm} from "../../script/Vm.sol";
import {PaymentManager} from "../../src/PaymentManager.sol";
import {IDelegationRewards} from "../../src/interfaces/IDelegationRewards.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {IPaymentManager} from "../../src/interfaces/IPaymentManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {Settlement} from "../../src/libraries/Settlement.sol";
import {Fixture} from "./Fixture.sol";

/// @dev Takes delegators' shares for the nodes that it is told to, or refuses; {FlowTest} pays the
/// real ones.
contract Delegations is IDelegationRewards {
    IERC20 private immutable ALEPH;
    mapping(bytes32 nodeId => bool) private delegated;
    mapping(bytes32 nodeId => uint256) public rewards;
    bool private broken;

    constructor(IERC20 aleph) {
        ALEPH = aleph;
    }

    function setDelegated(bytes32 nodeId, bool delegated_) external {
        delegated[nodeId] = delegated_;
    }

    function setBroken(bool broken_) external {
        broken = broken_;
    }

    function addDelegationReward(bytes32 nodeId, uint256 amount) external returns (uint256) {
        require(!broken, "broken");
        if (!delegated[nodeId]) return 0;
        rewards[nodeId] += amount;
        ALEPH.transferFrom(msg.sender, address(this), amount);
        return amount;
    }
}

/// @title A network whose jobs are paid, and the steps that most tests of payment begin with
abstract contract PaymentFixture is Fixture {
    uint128 internal constant PRICE = 3.6 ether;
    uint64 internal constant GAP_S = 1 hours;
    uint64 internal constant GRACE_S = 2 days;

    address internal constant TREASURY = address(0xF1);
    address internal constant SLA_MANAGER = address(0xF2);
    address internal constant MARKETPLACE = address(0xF3);
    address internal constant BUYER = address(0xF4);
    address internal constant SELLER = address(0xF5);

    PaymentManager internal payments;
    Delegations internal delegations;

    function setUp() public virtual override {
        super.setUp();
        delegations = new Delegations(aleph);
        payments = PaymentManager(
            _proxy(
                address(new PaymentManager()),
                abi.encodeCall(
                    PaymentManager.initialize, (address(this), _wiring(), _paymentParameters())
                )
            )
        );
        payments.grantRole(Roles.PARAMETER, address(this));
        payments.grantRole(Roles.SLA_MANAGER, SLA_MANAGER);
        payments.grantRole(Roles.MARKETPLACE, MARKETPLACE);
        _grantCommonRoles(payments, address(this));
        jobs.grantRole(Roles.PAYMENT_MANAGER, address(payments));
        jobs.setPaymentManager(payments);
        jobs.setParameters(
            IJobManager.Parameters({
                heartbeatGapMax: GAP_S,
                reassignAfter: 2 hours,
                expireAfter: 1 days,
                minFundedHours: 1
            })
        );

        _activeNode(NODE, OWNER, OPERATOR);
        _activeNode(OTHER_NODE, OTHER_OWNER, OTHER_OPERATOR);
        _approve(aleph, CUSTOMER, 10_000_000 ether);
    }

    function _router() internal virtual returns (address) {
        return address(0);
    }

    function _wiring() internal returns (IPaymentManager.Wiring memory) {
        return IPaymentManager.Wiring({
            aleph: address(aleph),
            jobs: address(jobs),
            delegations: address(delegations),
            router: _router()
        });
    }

    function _paymentParameters() internal pure returns (IPaymentManager.Parameters memory) {
        return IPaymentManager.Parameters({
            treasury: TREASURY,
            treasuryBps: 500,
            rewardShareBps: 2000,
            saleFeeBps: 250,
            maxSlippageBps: 100,
            twapPeriod: 10 minutes,
            gracePeriod: GRACE_S
        });
    }

    /// @dev Gives an account so much of a token and lets it be taken.
    function _approve(IERC20 token, address account, uint256 amount) internal {
        token.transfer(account, amount);
        _allow(token, account, amount);
    }

    function _allow(IERC20 token, address account, uint256 amount) internal {
        vm.prank(account);
        token.approve(address(payments), amount);
    }

    function _priced(address token, uint128 pricePerHour)
        internal
        pure
        returns (IJobManager.JobRequest memory request)
    {
        request = _request();
        (request.token, request.pricePerHour) = (token, pricePerHour);
    }

    function _order(address customer, address token, uint128 pricePerHour)
        internal
        returns (uint256)
    {
        vm.prank(customer);
        return jobs.createJob(_priced(token, pricePerHour));
    }

    /// @dev A job that runs on NODE and costs this much.
    function _paidJob(address customer, address token, uint128 pricePerHour)
        internal
        returns (uint256 jobId)
    {
        jobId = _order(customer, token, pricePerHour);
        vm.prank(SCHEDULER);
        jobs.assignJob(jobId, NODE);
        vm.prank(OPERATOR);
        jobs.startJob(jobId);
    }

    /// @dev A job that runs on NODE and costs PRICE in ALEPH.
    function _paidJob() internal returns (uint256) {
        return _paidJob(CUSTOMER, address(aleph), PRICE);
    }

    /// @dev Lets time pass that the operator proves, as far as it is the job's.
    function _prove(uint256 jobId, address operator, uint256 seconds_) internal {
        uint256[] memory jobIds = new uint256[](1);
        jobIds[0] = jobId;
        while (seconds_ != 0) {
            uint256 step = seconds_ < GAP_S ? seconds_ : GAP_S;
            vm.warp(block.timestamp + step);
            vm.prank(operator);
            jobs.heartbeat(jobIds);
            seconds_ -= step;
        }
    }

    function _prove(uint256 jobId, uint256 seconds_) internal {
        _prove(jobId, OPERATOR, seconds_);
    }

    function _reassign(uint256 jobId, bytes32 nodeId, address operator) internal {
        vm.prank(SCHEDULER);
        jobs.reassignJob(jobId, nodeId);
        vm.prank(operator);
        jobs.startJob(jobId);
    }

    function _complete(uint256 jobId, address operator) internal {
        vm.prank(operator);
        jobs.completeJob(jobId);
    }

    /// @dev What becomes of so much ALEPH.
    function _shares(uint256 amount, bool delegated)
        internal
        pure
        returns (Settlement.Shares memory shares)
    {
        shares = Settlement.split(amount, 500, 2000);
        if (!delegated) (shares.owner, shares.delegators) = (shares.owner + shares.delegators, 0);
    }

    function _withdrawable(address account) internal view returns (uint256) {
        return payments.withdrawable(address(aleph), account);
    }

    function _assertResult(
        IPaymentManager.SettleResult result,
        IPaymentManager.SettleResult expected
    ) internal pure {
        vm.assertEq(uint256(result), uint256(expected), "result");
    }

    function _assertStatus(uint256 jobId, IJobManager.JobStatus expected) internal view {
        vm.assertEq(uint256(_jobStatus(jobId)), uint256(expected), "status");
    }

    /// @dev The contract holds exactly what it owes.
    function _assertSolvent(IERC20 token) internal view {
        vm.assertEq(
            token.balanceOf(address(payments)),
            payments.totalWithdrawable(address(token)),
            "solvent"
        );
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {vm} from "../../script/Vm.sol";
import {Governed} from "../../src/base/Governed.sol";
import {IBilledJobs} from "../../src/interfaces/IBilledJobs.sol";
import {ICredits} from "../../src/interfaces/ICredits.sol";
import {IJobManager} from "../../src/interfaces/IJobManager.sol";
import {ISales} from "../../src/interfaces/ISales.sol";
import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";

// The smallest stand-ins for what these contracts ask of the others: the tests set what they
// answer and see what they were asked, so that every corner can be reached.

/// @dev Jobs that are where the test says.
contract JobsDouble is IBilledJobs {
    mapping(uint256 jobId => Billing) private billings;
    mapping(uint256 jobId => mapping(uint256 index => Segment)) private segments;

    function place(
        uint256 jobId,
        address customer,
        uint128 pricePerHour,
        bytes32 nodeId,
        address owner
    ) external {
        Billing storage billing = billings[jobId];
        billing.customer = customer;
        billing.pricePerHour = pricePerHour;
        billing.status = IJobManager.JobStatus.Running;
        segments[jobId][billing.segments++] = Segment(nodeId, 0, false, owner);
    }

    function setStatus(uint256 jobId, IJobManager.JobStatus status) external {
        billings[jobId].status = status;
    }

    function getBilling(uint256 jobId) external view returns (Billing memory) {
        return billings[jobId];
    }

    function getSegment(uint256 jobId, uint256 index) external view returns (Segment memory) {
        return segments[jobId][index];
    }
}

/// @dev Credits what a job owes, and remembers.
contract CreditsDouble is ICredits {
    mapping(uint256 jobId => uint256) public owed;
    mapping(uint256 jobId => uint256) public credited;
    uint256 public calls;
    bool private fails;

    error OutOfService();

    function setOwed(uint256 jobId, uint256 amount) external {
        owed[jobId] = amount;
    }

    function setFails(bool fails_) external {
        fails = fails_;
    }

    function credit(uint256 jobId, uint256 amount) external returns (uint256 given) {
        require(!fails, OutOfService());
        ++calls;
        given = amount < owed[jobId] ? amount : owed[jobId];
        owed[jobId] -= given;
        credited[jobId] += given;
    }
}

/// @dev Slashes the owner's stake first, then the delegators', and remembers.
contract SlashingDouble is ISlashing {
    struct Call {
        bytes32 nodeId;
        address owner;
        uint256 amount;
        address reporter;
        uint16 reporterBps;
        bytes32 reason;
    }

    mapping(bytes32 nodeId => mapping(address owner => IStakingManager.StakeInfo)) private stakes;
    mapping(bytes32 nodeId => uint256) public delegated;
    mapping(address owner => uint256) public slashedOf;
    Call[] private calls;

    function setStake(bytes32 nodeId, address owner, uint256 total, uint256 unbonding) external {
        stakes[nodeId][owner].total = total;
        stakes[nodeId][owner].unbonding = unbonding;
    }

    function setDelegated(bytes32 nodeId, uint256 amount) external {
        delegated[nodeId] = amount;
    }

    function slashOwner(
        bytes32 nodeId,
        address owner,
        uint256 amount,
        address reporter,
        uint16 reporterBps,
        bytes32 reason
    ) external returns (uint256 slashed, uint256 reporterReward) {
        calls.push(Call(nodeId, owner, amount, reporter, reporterBps, reason));
        IStakingManager.StakeInfo storage own = stakes[nodeId][owner];
        uint256 left = amount;
        uint256 part = left < own.total ? left : own.total;
        (own.total, left) = (own.total - part, left - part);
        part = left < own.unbonding ? left : own.unbonding;
        (own.unbonding, left) = (own.unbonding - part, left - part);
        part = left < delegated[nodeId] ? left : delegated[nodeId];
        (delegated[nodeId], left) = (delegated[nodeId] - part, left - part);
        slashed = amount - left;
        slashedOf[owner] += slashed;
        reporterReward = slashed * reporterBps / 10_000;
    }

    function getStakeOf(bytes32 nodeId, address owner)
        external
        view
        returns (IStakingManager.StakeInfo memory)
    {
        return stakes[nodeId][owner];
    }

    function callCount() external view returns (uint256) {
        return calls.length;
    }

    function callAt(uint256 index) external view returns (Call memory) {
        return calls[index];
    }
}

/// @dev Pulls prices, keeps a fee, owes the rest, and pays back as far as that reaches.
contract SalesDouble is ISales {
    using SafeERC20 for IERC20;

    uint256 public constant FEE_BPS = 250;

    mapping(address token => bool) public isAllowedToken;
    mapping(address token => mapping(address account => uint256)) public balanceOf;
    mapping(address token => uint256) public fees;
    uint256 public collections;

    function setAllowed(address token, bool allowed) external {
        isAllowedToken[token] = allowed;
    }

    function collectSale(address token, address buyer, address seller, uint256 amount) external {
        ++collections;
        uint256 fee = amount * FEE_BPS / 10_000;
        fees[token] += fee;
        balanceOf[token][seller] += amount - fee;
        IERC20(token).safeTransferFrom(buyer, address(this), amount);
    }

    function refundSale(address token, address buyer, address seller, uint256 amount)
        external
        returns (uint256 refunded)
    {
        uint256 balance = balanceOf[token][seller];
        refunded = amount < balance ? amount : balance;
        balanceOf[token][seller] = balance - refunded;
        balanceOf[token][buyer] += refunded;
    }

    function withdraw(address token) external {
        uint256 amount = balanceOf[token][msg.sender];
        balanceOf[token][msg.sender] = 0;
        IERC20(token).safeTransfer(msg.sender, amount);
    }
}

/// @dev A token that anyone can have any amount of.
contract PlayToken is ERC20 {
    constructor() ERC20("Play", "PLAY") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @dev A token whose transfers call back, for an attack to begin there.
contract CallbackToken is PlayToken {
    address private target;
    bytes private data;
    bytes public answer;
    bool public succeeded;

    function callBack(address target_, bytes calldata data_) external {
        (target, data) = (target_, data_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from == address(0) || target == address(0)) return;
        (succeeded, answer) = target.call(data);
    }
}

/// @title What the tests of the services begin with
/// @dev The test contract itself is the administrator, and holds every common role.
abstract contract ServiceFixture {
    address internal constant STRANGER = address(0xE1);

    function _proxy(address implementation, bytes memory initialization)
        internal
        returns (address)
    {
        return address(new ERC1967Proxy(implementation, initialization));
    }

    function _grantCommonRoles(Governed target) internal {
        target.grantRole(Roles.PAUSER, address(this));
        target.grantRole(Roles.PARAMETER, address(this));
        target.grantRole(Roles.UPGRADER, address(this));
    }

    function _witness(uint256 index) internal pure returns (address) {
        return address(uint160(0xF100 + index));
    }

    function _skip(uint256 seconds_) internal {
        vm.warp(block.timestamp + seconds_);
    }
}

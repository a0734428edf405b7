// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {Governed} from "./base/Governed.sol";
import {IAttestations} from "./interfaces/IAttestations.sol";
import {IJobManager} from "./interfaces/IJobManager.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IPaymentManager} from "./interfaces/IPaymentManager.sol";
import {Bounds} from "./libraries/Bounds.sol";
import {Paging} from "./libraries/Paging.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title JobManager
/// @notice See {IJobManager}.
contract JobManager is IJobManager, Governed {
    using EnumerableSet for EnumerableSet.UintSet;
    using Paging for EnumerableSet.UintSet;

    uint256 private constant HEARTBEAT_JOBS_MAX = 64;
    uint256 private constant REASON_BYTES_MAX = 256;
    uint64 private constant ATTESTED_WITHIN_S_MAX = 365 days;

    /// @dev Bounds the loops of those who settle.
    uint256 private constant SEGMENTS_MAX = 16;

    uint256 private constant HEARTBEAT_GAP_S_MAX = 1 days;
    uint256 private constant REASSIGN_AFTER_S_MAX = 7 days;
    uint256 private constant EXPIRE_AFTER_S_MAX = 30 days;
    uint256 private constant MIN_FUNDED_HOURS_MAX = 720;

    string private constant EXPIRED = "no proof of life";

    /// @custom:storage-location erc7201:aleph.storage.JobManager
    struct JobManagerStorage {
        INodeRegistry registry;
        uint256 count;
        mapping(uint256 jobId => Job) jobs;
        EnumerableSet.UintSet open;
        mapping(bytes32 nodeId => EnumerableSet.UintSet) ofNode;
        /// The assignments before the present one, which is in the job itself.
        mapping(uint256 jobId => Segment[]) formerSegments;
        IPaymentManager paymentManager;
        Parameters parameters;
    }

    bytes32 private constant STORAGE_SLOT =
        0x0c4b335ea7c16b960a4f1622df5c0f3d9ba30d00a5eb4171c574316a44c0e900;

    function initialize(address admin, INodeRegistry registry, Parameters calldata parameters)
        external
        initializer
    {
        require(address(registry) != address(0), ZeroAddress());
        __Governed_init(admin);
        _storage().registry = registry;
        _setParameters(parameters);
    }

    // Customers.

    /// @inheritdoc IJobManager
    function createJob(JobRequest calldata request) external whenNotPaused returns (uint256 jobId) {
        _checkRequest(request);
        uint256 allowance = _checkFunds(request);

        JobManagerStorage storage $ = _storage();
        jobId = ++$.count;
        Job storage job = $.jobs[jobId];
        job.customer = msg.sender;
        job.status = JobStatus.Created;
        job.attestedWithin = request.attestedWithin;
        job.manifestHash = request.manifestHash;
        job.token = request.token;
        job.createdAt = uint64(block.timestamp);
        job.pricePerHour = request.pricePerHour;
        job.resources = request.resources;
        $.open.add(jobId);

        emit JobCreated(jobId, msg.sender, request, allowance);
    }

    /// @inheritdoc IJobManager
    function stopJob(uint256 jobId) external {
        Job storage job = _storage().jobs[jobId];
        JobStatus status = job.status;
        require(status != JobStatus.None, WrongJobStatus(jobId, status));
        require(msg.sender == job.customer, NotCustomer(jobId, msg.sender));

        if (status == JobStatus.Created) {
            _end(jobId, job, JobStatus.Completed);
            emit JobCompleted(jobId, 0);
        } else {
            _requestStop(jobId, job);
        }
    }

    // The scheduler.

    /// @inheritdoc IJobManager
    function assignJob(uint256 jobId, bytes32 nodeId) external onlyRole(Roles.SCHEDULER) {
        JobManagerStorage storage $ = _storage();
        Job storage job = $.jobs[jobId];
        require(job.status == JobStatus.Created, WrongJobStatus(jobId, job.status));

        $.open.remove(jobId);
        address owner = _place(jobId, job, nodeId);

        emit JobAssigned(jobId, nodeId, owner);
    }

    /// @inheritdoc IJobManager
    function reassignJob(uint256 jobId, bytes32 nodeId) external onlyRole(Roles.SCHEDULER) {
        JobManagerStorage storage $ = _storage();
        Job storage job = $.jobs[jobId];
        require(
            job.status == JobStatus.Assigned || job.status == JobStatus.Running,
            WrongJobStatus(jobId, job.status)
        );
        bytes32 fromNodeId = job.nodeId;
        require(nodeId != fromNodeId, SameNode(jobId, nodeId));
        _requireSilence(jobId, job, $.parameters.reassignAfter);
        Segment[] storage former = $.formerSegments[jobId];
        require(former.length + 1 < SEGMENTS_MAX, TooManySegments(jobId, SEGMENTS_MAX));

        uint64 accruedSeconds = job.accruedSeconds;
        former.push(Segment(fromNodeId, accruedSeconds, true, job.nodeOwner));
        $.ofNode[fromNodeId].remove(jobId);
        job.startedAt = 0;
        job.lastHeartbeat = 0;
        job.accruedSeconds = 0;
        job.attestationLapsed = false;
        address owner = _place(jobId, job, nodeId);

        emit JobReassigned(jobId, fromNodeId, nodeId, accruedSeconds, owner);
    }

    // Operators.

    /// @inheritdoc IJobManager
    function startJob(uint256 jobId) external {
        Job storage job = _storage().jobs[jobId];
        require(job.status == JobStatus.Assigned, WrongJobStatus(jobId, job.status));
        require(_isOperatorOf(job), NotJobOperator(jobId, msg.sender));
        require(
            _isAttested(job.nodeId, job.attestedWithin),
            NodeNotAttested(job.nodeId, job.attestedWithin)
        );

        job.status = JobStatus.Running;
        job.startedAt = uint64(block.timestamp);

        emit JobStarted(jobId, job.nodeId);
    }

    /// @inheritdoc IJobManager
    function heartbeat(uint256[] calldata jobIds) external {
        require(jobIds.length <= HEARTBEAT_JOBS_MAX, TooManyJobs(jobIds.length, HEARTBEAT_JOBS_MAX));
        JobManagerStorage storage $ = _storage();
        bytes32 nodeId = $.registry.nodeOfOperator(msg.sender);

        for (uint256 i = 0; i < jobIds.length; ++i) {
            uint256 jobId = jobIds[i];
            Job storage job = $.jobs[jobId];
            JobStatus status = job.status;
            bool runs = status == JobStatus.Running || status == JobStatus.Stopping;
            if (!runs || job.nodeId != nodeId) {
                emit JobHeartbeatSkipped(jobId, status);
            } else if (_prove(job)) {
                emit JobHeartbeat(jobId, nodeId, uint64(block.timestamp), job.accruedSeconds);
            } else {
                emit JobHeartbeatUnattested(jobId, nodeId);
            }
        }
    }

    /// @inheritdoc IJobManager
    function completeJob(uint256 jobId) external {
        Job storage job = _storage().jobs[jobId];
        require(
            job.status == JobStatus.Running || job.status == JobStatus.Stopping,
            WrongJobStatus(jobId, job.status)
        );
        require(_isOperatorOf(job), NotJobOperator(jobId, msg.sender));

        _prove(job);
        _end(jobId, job, JobStatus.Completed);

        emit JobCompleted(jobId, job.accruedSeconds);
    }

    /// @inheritdoc IJobManager
    function failJob(uint256 jobId, string calldata reason) external {
        uint256 reasonBytes = bytes(reason).length;
        require(reasonBytes <= REASON_BYTES_MAX, ReasonTooLong(reasonBytes, REASON_BYTES_MAX));
        Job storage job = _storage().jobs[jobId];
        JobStatus status = job.status;
        require(!_hasEnded(status), WrongJobStatus(jobId, status));
        bool byScheduler = (status == JobStatus.Created || status == JobStatus.Assigned)
            && hasRole(Roles.SCHEDULER, msg.sender);
        require(byScheduler || _isOperatorOf(job), NotJobOperator(jobId, msg.sender));

        _fail(jobId, job, reason);
    }

    // Anyone.

    /// @inheritdoc IJobManager
    function expireJob(uint256 jobId) external {
        JobManagerStorage storage $ = _storage();
        Job storage job = $.jobs[jobId];
        JobStatus status = job.status;
        require(!_hasEnded(status) && status != JobStatus.Created, WrongJobStatus(jobId, status));
        _requireSilence(jobId, job, $.parameters.expireAfter);

        _fail(jobId, job, EXPIRED);
    }

    // PaymentManager.

    /// @inheritdoc IJobManager
    function stopUnpaidJob(uint256 jobId) external onlyRole(Roles.PAYMENT_MANAGER) {
        _requestStop(jobId, _storage().jobs[jobId]);
    }

    // Governance.

    /// @inheritdoc IJobManager
    function setPaymentManager(IPaymentManager paymentManager) external onlyRole(Roles.PARAMETER) {
        require(address(paymentManager) != address(0), ZeroAddress());
        JobManagerStorage storage $ = _storage();
        IPaymentManager present = $.paymentManager;
        require(address(present) == address(0), PaymentManagerAlreadySet(present));

        $.paymentManager = paymentManager;

        emit PaymentManagerSet(paymentManager);
    }

    /// @inheritdoc IJobManager
    function setParameters(Parameters calldata parameters) external onlyRole(Roles.PARAMETER) {
        _setParameters(parameters);
    }

    // Views.

    /// @inheritdoc IJobManager
    function getJob(uint256 jobId) external view returns (Job memory) {
        return _storage().jobs[jobId];
    }

    /// @inheritdoc IJobManager
    function getBilling(uint256 jobId) external view returns (Billing memory) {
        Job storage job = _storage().jobs[jobId];
        return Billing({
            customer: job.customer,
            token: job.token,
            pricePerHour: job.pricePerHour,
            status: job.status,
            segments: _segmentCount(jobId, job)
        });
    }

    /// @inheritdoc IJobManager
    function getSegment(uint256 jobId, uint256 index) external view returns (Segment memory) {
        Job storage job = _storage().jobs[jobId];
        require(index < _segmentCount(jobId, job), NoSuchSegment(jobId, index));
        Segment[] storage former = _storage().formerSegments[jobId];
        if (index < former.length) return former[index];
        return Segment({
            nodeId: job.nodeId,
            accruedSeconds: job.accruedSeconds,
            closed: _hasEnded(job.status),
            owner: job.nodeOwner
        });
    }

    /// @inheritdoc IJobManager
    function getPaymentManager() external view returns (IPaymentManager) {
        return _storage().paymentManager;
    }

    /// @inheritdoc IJobManager
    function getParameters() external view returns (Parameters memory) {
        return _storage().parameters;
    }

    /// @inheritdoc IJobManager
    function jobCount() external view returns (uint256) {
        return _storage().count;
    }

    /// @inheritdoc IJobManager
    function getJobsOfNode(bytes32 nodeId, uint256 offset, uint256 limit)
        external
        view
        returns (uint256[] memory)
    {
        return _storage().ofNode[nodeId].page(offset, limit);
    }

    /// @inheritdoc IJobManager
    function getOpenJobs(uint256 offset, uint256 limit) external view returns (uint256[] memory) {
        return _storage().open.page(offset, limit);
    }

    // Inside.

    function _checkRequest(JobRequest calldata request) private pure {
        Resources calldata resources = request.resources;
        require(request.manifestHash != 0, ZeroManifestHash());
        require(
            resources.vcpus != 0 && resources.memoryMib != 0 && resources.diskMib != 0,
            ZeroResources()
        );
        require(
            (resources.gpuModel == 0) == (resources.gpuCount == 0),
            InvalidGpu(resources.gpuModel, resources.gpuCount)
        );
        require(
            request.attestedWithin <= ATTESTED_WITHIN_S_MAX,
            AttestedWithinTooLong(request.attestedWithin, ATTESTED_WITHIN_S_MAX)
        );
    }

    /// @dev Returns what the sender allows PaymentManager to take for a job with a price.
    function _checkFunds(JobRequest calldata request) private view returns (uint256 allowance) {
        if (request.pricePerHour == 0) {
            require(request.token == address(0), TokenWithoutPrice(request.token));
            return 0;
        }
        JobManagerStorage storage $ = _storage();
        IPaymentManager paymentManager = $.paymentManager;
        require(address(paymentManager) != address(0), PaymentManagerNotSet());
        require(paymentManager.isAllowedToken(request.token), TokenNotAllowed(request.token));

        allowance = IERC20(request.token).allowance(msg.sender, address(paymentManager));
        uint256 balance = IERC20(request.token).balanceOf(msg.sender);
        uint256 required = uint256(request.pricePerHour) * $.parameters.minFundedHours;
        require(
            allowance >= required && balance >= required, NotFunded(allowance, balance, required)
        );
    }

    /// @dev Gives the job to a node that may have it, and returns who is paid for it.
    function _place(uint256 jobId, Job storage job, bytes32 nodeId)
        private
        returns (address owner)
    {
        JobManagerStorage storage $ = _storage();
        require($.registry.isNodeActive(nodeId), NodeNotActive(nodeId));
        uint64 within = job.attestedWithin;
        require(_isAttested(nodeId, within), NodeNotAttested(nodeId, within));

        owner = $.registry.getNode(nodeId).owner;
        job.nodeId = nodeId;
        job.nodeOwner = owner;
        job.status = JobStatus.Assigned;
        job.assignedAt = uint64(block.timestamp);
        $.ofNode[nodeId].add(jobId);
    }

    /// @dev A proof of life, if the node is attested as the job asks: counts the time since the
    /// last one. A job that was stopped before it started has none to count from, and a gap that
    /// is too long.
    function _prove(Job storage job) private returns (bool proven) {
        if (!_isAttested(job.nodeId, job.attestedWithin)) {
            job.attestationLapsed = true;
            return false;
        }
        uint64 time = uint64(block.timestamp);
        uint64 last = job.lastHeartbeat == 0 ? job.startedAt : job.lastHeartbeat;
        uint64 until = job.stoppedAt == 0 ? time : job.stoppedAt;
        if (job.attestationLapsed) {
            job.attestationLapsed = false;
        } else if (until > last && time - last <= _storage().parameters.heartbeatGapMax) {
            job.accruedSeconds += until - last;
        }
        job.lastHeartbeat = time;
        return true;
    }

    function _requestStop(uint256 jobId, Job storage job) private {
        JobStatus status = job.status;
        require(
            status == JobStatus.Assigned || status == JobStatus.Running,
            WrongJobStatus(jobId, status)
        );
        job.status = JobStatus.Stopping;
        job.stoppedAt = uint64(block.timestamp);

        emit JobStopRequested(jobId);
    }

    function _fail(uint256 jobId, Job storage job, string memory reason) private {
        job.reason = reason;
        _end(jobId, job, JobStatus.Failed);

        emit JobFailed(jobId, reason);
    }

    /// @dev Takes the job out of whichever set it is in.
    function _end(uint256 jobId, Job storage job, JobStatus status) private {
        JobManagerStorage storage $ = _storage();
        if (job.status == JobStatus.Created) {
            $.open.remove(jobId);
        } else {
            $.ofNode[job.nodeId].remove(jobId);
        }
        job.status = status;
        job.endedAt = uint64(block.timestamp);
    }

    function _setParameters(Parameters calldata parameters) private {
        uint64 gap = parameters.heartbeatGapMax;
        uint64 reassign = parameters.reassignAfter;
        uint64 expire = parameters.expireAfter;
        uint32 funded = parameters.minFundedHours;
        Bounds.check("heartbeatGapMax", gap, 1, HEARTBEAT_GAP_S_MAX);
        Bounds.check("reassignAfter", reassign, gap, REASSIGN_AFTER_S_MAX);
        Bounds.check("expireAfter", expire, reassign, EXPIRE_AFTER_S_MAX);
        Bounds.check("minFundedHours", funded, 0, MIN_FUNDED_HOURS_MAX);
        _storage().parameters = parameters;

        emit ParametersSet(gap, reassign, expire, funded);
    }

    /// @dev Requires that the node has been silent for so long: since its last proof of life, or
    /// since it got the job; of a stopping job, since the request, for a node that goes on proving
    /// its life must not keep the job from ending.
    function _requireSilence(uint256 jobId, Job storage job, uint64 seconds_) private view {
        uint64 since = job.assignedAt;
        if (job.stoppedAt != 0) since = job.stoppedAt;
        else if (job.lastHeartbeat != 0) since = job.lastHeartbeat;
        else if (job.startedAt != 0) since = job.startedAt;
        require(block.timestamp >= since + seconds_, TooEarly(jobId, since + seconds_));
    }

    function _isAttested(bytes32 nodeId, uint64 within) private view returns (bool) {
        return within == 0 || IAttestations(address(_storage().registry)).isAttested(nodeId, within);
    }

    /// @dev A job without a node and an account without one both have node 0: not a match.
    function _isOperatorOf(Job storage job) private view returns (bool) {
        bytes32 nodeId = job.nodeId;
        return nodeId != 0 && _storage().registry.nodeOfOperator(msg.sender) == nodeId;
    }

    /// @dev A job that has had a node always has one.
    function _segmentCount(uint256 jobId, Job storage job) private view returns (uint32) {
        return job.nodeId == 0 ? 0 : uint32(_storage().formerSegments[jobId].length + 1);
    }

    function _hasEnded(JobStatus status) private pure returns (bool) {
        return
            status == JobStatus.None || status == JobStatus.Completed || status == JobStatus.Failed;
    }

    function _storage() private pure returns (JobManagerStorage storage $) {
        assembly ("memory-safe") {
            $.slot := STORAGE_SLOT
        }
    }
}

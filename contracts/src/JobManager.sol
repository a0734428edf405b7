// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";

import {Governed} from "./base/Governed.sol";
import {IJobManager} from "./interfaces/IJobManager.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {Paging} from "./libraries/Paging.sol";
import {Roles} from "./libraries/Roles.sol";

/// @title JobManager
/// @notice See {IJobManager}.
contract JobManager is IJobManager, Governed {
    using EnumerableSet for EnumerableSet.UintSet;
    using Paging for EnumerableSet.UintSet;

    uint256 private constant HEARTBEAT_JOBS_MAX = 64;
    uint256 private constant REASON_BYTES_MAX = 256;

    /// @custom:storage-location erc7201:aleph.storage.JobManager
    struct JobManagerStorage {
        INodeRegistry registry;
        uint256 count;
        mapping(uint256 jobId => Job) jobs;
        EnumerableSet.UintSet open;
        mapping(bytes32 nodeId => EnumerableSet.UintSet) ofNode;
    }

    bytes32 private constant STORAGE_SLOT =
        0x0c4b335ea7c16b960a4f1622df5c0f3d9ba30d00a5eb4171c574316a44c0e900;

    function initialize(address admin, INodeRegistry registry) external initializer {
        require(address(registry) != address(0), ZeroAddress());
        __Governed_init(admin);
        _storage().registry = registry;
    }

    // Customers.

    /// @inheritdoc IJobManager
    function createJob(bytes32 manifestHash, Resources calldata resources)
        external
        whenNotPaused
        returns (uint256 jobId)
    {
        require(manifestHash != 0, ZeroManifestHash());
        require(
            resources.vcpus != 0 && resources.memoryMib != 0 && resources.diskMib != 0,
            ZeroResources()
        );

        JobManagerStorage storage $ = _storage();
        jobId = ++$.count;
        Job storage job = $.jobs[jobId];
        job.customer = msg.sender;
        job.manifestHash = manifestHash;
        job.status = JobStatus.Created;
        job.resources = resources;
        job.createdAt = uint64(block.timestamp);
        $.open.add(jobId);

        emit JobCreated(jobId, msg.sender, manifestHash, resources);
    }

    /// @inheritdoc IJobManager
    function stopJob(uint256 jobId) external {
        Job storage job = _storage().jobs[jobId];
        JobStatus status = job.status;
        require(status != JobStatus.None, WrongJobStatus(jobId, status));
        require(msg.sender == job.customer, NotCustomer(jobId, msg.sender));

        if (status == JobStatus.Created) {
            _end(jobId, job, JobStatus.Completed);
            emit JobCompleted(jobId);
        } else {
            require(
                status == JobStatus.Assigned || status == JobStatus.Running,
                WrongJobStatus(jobId, status)
            );
            job.status = JobStatus.Stopping;
            emit JobStopRequested(jobId);
        }
    }

    // The scheduler.

    /// @inheritdoc IJobManager
    function assignJob(uint256 jobId, bytes32 nodeId) external onlyRole(Roles.SCHEDULER) {
        JobManagerStorage storage $ = _storage();
        Job storage job = $.jobs[jobId];
        require(job.status == JobStatus.Created, WrongJobStatus(jobId, job.status));
        require($.registry.isNodeActive(nodeId), NodeNotActive(nodeId));

        job.nodeId = nodeId;
        job.status = JobStatus.Assigned;
        job.assignedAt = uint64(block.timestamp);
        $.open.remove(jobId);
        $.ofNode[nodeId].add(jobId);

        emit JobAssigned(jobId, nodeId);
    }

    // Operators.

    /// @inheritdoc IJobManager
    function startJob(uint256 jobId) external {
        Job storage job = _storage().jobs[jobId];
        require(job.status == JobStatus.Assigned, WrongJobStatus(jobId, job.status));
        require(_isOperatorOf(job), NotJobOperator(jobId, msg.sender));

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
                continue;
            }
            job.lastHeartbeat = uint64(block.timestamp);
            emit JobHeartbeat(jobId, nodeId, uint64(block.timestamp));
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

        _end(jobId, job, JobStatus.Completed);

        emit JobCompleted(jobId);
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

        job.reason = reason;
        _end(jobId, job, JobStatus.Failed);

        emit JobFailed(jobId, reason);
    }

    // Views.

    /// @inheritdoc IJobManager
    function getJob(uint256 jobId) external view returns (Job memory) {
        return _storage().jobs[jobId];
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

    /// @dev A job without a node and an account without one both have node 0: not a match.
    function _isOperatorOf(Job storage job) private view returns (bool) {
        bytes32 nodeId = job.nodeId;
        return nodeId != 0 && _storage().registry.nodeOfOperator(msg.sender) == nodeId;
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

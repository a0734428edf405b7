// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The life of a job, from a customer's order to its end
/// @notice A job is a virtual machine that a customer described in a signed Aleph message; the
/// chain holds the hash of that message and who does what when.
///
/// ```
///   createJob            assignJob             startJob
///   ────────▶ Created ──────────▶ Assigned ──────────▶ Running ──┐
///                │ stopJob            │ stopJob           │      │ completeJob
///                │                    └────▶ Stopping ◀───┘      │
///                ▼                             │ completeJob     │
///            Completed ◀───────────────────────┴─────────────────┘
/// ```
///
/// `failJob` leads from every state that is not an end to `Failed`.
interface IJobManager {
    /// @notice Where a job is in its life. `Completed` and `Failed` are ends.
    enum JobStatus {
        None,
        Created,
        Assigned,
        Running,
        Stopping,
        Completed,
        Failed
    }

    /// @notice What a job needs of a node.
    /// @param vcpus Virtual processors.
    /// @param memoryMib Memory in MiB.
    /// @param diskMib Disk in MiB.
    struct Resources {
        uint32 vcpus;
        uint64 memoryMib;
        uint64 diskMib;
    }

    /// @notice All that the chain knows of a job. Times are Unix times in seconds, 0 for "not yet".
    /// @param customer Who ordered the job and may stop it.
    /// @param manifestHash Item hash of the message that describes the virtual machine.
    /// @param nodeId The node it is assigned to, or zero.
    /// @param reason Why it failed, when it failed.
    struct Job {
        address customer;
        bytes32 manifestHash;
        bytes32 nodeId;
        JobStatus status;
        Resources resources;
        uint64 createdAt;
        uint64 assignedAt;
        uint64 startedAt;
        uint64 lastHeartbeat;
        uint64 endedAt;
        string reason;
    }

    /// @notice A customer ordered a job.
    event JobCreated(
        uint256 indexed jobId, address indexed customer, bytes32 manifestHash, Resources resources
    );

    /// @notice A job has a node.
    event JobAssigned(uint256 indexed jobId, bytes32 indexed nodeId);

    /// @notice The node started the job.
    event JobStarted(uint256 indexed jobId, bytes32 indexed nodeId);

    /// @notice The node says that the job runs.
    event JobHeartbeat(uint256 indexed jobId, bytes32 indexed nodeId, uint64 timestamp);

    /// @notice A heartbeat was passed over: the job does not run, or not on the sender's node.
    event JobHeartbeatSkipped(uint256 indexed jobId, JobStatus status);

    /// @notice The customer wants the job to end; its node completes it.
    event JobStopRequested(uint256 indexed jobId);

    /// @notice The job ended as it should.
    event JobCompleted(uint256 indexed jobId);

    /// @notice The job ended as it should not.
    event JobFailed(uint256 indexed jobId, string reason);

    /// @notice A contract address is zero.
    error ZeroAddress();

    /// @notice The manifest hash is zero.
    error ZeroManifestHash();

    /// @notice A job needs processors, memory and disk.
    error ZeroResources();

    /// @notice The job's status does not allow this; `None` is a job that never was.
    error WrongJobStatus(uint256 jobId, JobStatus status);

    /// @notice The node may not take work.
    error NodeNotActive(bytes32 nodeId);

    /// @notice Only the job's customer may do this.
    error NotCustomer(uint256 jobId, address account);

    /// @notice Only the operator of the job's node may do this.
    error NotJobOperator(uint256 jobId, address account);

    /// @notice Too many jobs in one call.
    error TooManyJobs(uint256 count, uint256 max);

    /// @notice The reason is longer than the chain keeps.
    error ReasonTooLong(uint256 sizeBytes, uint256 sizeBytesMax);

    /// @notice Orders a job; the sender becomes its customer.
    /// @dev Taking in: stops while paused.
    /// @param manifestHash Item hash of the message that describes the virtual machine.
    /// @param resources What the job needs.
    /// @return jobId Counts up from 1.
    function createJob(bytes32 manifestHash, Resources calldata resources)
        external
        returns (uint256 jobId);

    /// @notice Gives a created job to an active node. SCHEDULER_ROLE only.
    function assignJob(uint256 jobId, bytes32 nodeId) external;

    /// @notice Says that an assigned job runs. Operator of its node only.
    function startJob(uint256 jobId) external;

    /// @notice Says that jobs run. An item that is not a running job of the sender's node is
    /// skipped, with an event, and never stops the others.
    /// @param jobIds At most 64.
    function heartbeat(uint256[] calldata jobIds) external;

    /// @notice Ends a job: at once when it has no node yet, else by asking its node. Customer only.
    function stopJob(uint256 jobId) external;

    /// @notice Says that a running or stopping job has ended. Operator of its node only.
    function completeJob(uint256 jobId) external;

    /// @notice Says that a job cannot go on. The operator of its node, or SCHEDULER_ROLE as long as
    /// it has not started.
    /// @param reason What went wrong, at most 256 bytes.
    function failJob(uint256 jobId, string calldata reason) external;

    /// @notice The job with this id; all zero when it never was.
    function getJob(uint256 jobId) external view returns (Job memory);

    /// @notice How many jobs were ever created; the newest job's id.
    function jobCount() external view returns (uint256);

    /// @notice A page of the ids of a node's jobs that have not ended, at most 256.
    /// @dev The order changes when a job ends: read all pages at one block.
    function getJobsOfNode(bytes32 nodeId, uint256 offset, uint256 limit)
        external
        view
        returns (uint256[] memory);

    /// @notice A page of the ids of jobs that wait for a node, at most 256.
    /// @dev The order changes when a job leaves: read all pages at one block.
    function getOpenJobs(uint256 offset, uint256 limit) external view returns (uint256[] memory);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPaymentManager} from "./IPaymentManager.sol";

/// @title The life of a job, from a customer's order to its end
/// @notice A job is a virtual machine that a customer described in a signed Aleph message; the
/// chain holds the hash of that message, what an hour of it costs, and who does what when.
///
/// ```
///                 ┌────────── reassignJob ──────────┐
///                 ▼                                 │
///   Created ──▶ Assigned ───────startJob──────▶ Running ───┐
///      │ assignJob │                                │      │ completeJob
///      │ stopJob   └──stopJob──▶ Stopping ◀─stopJob─┘      │
///      ▼           stopUnpaidJob    │ completeJob          │
///   Completed ◀─────────────────────┴──────────────────────┘
/// ```
///
/// `failJob` leads from every state that is not an end to `Failed`, and so does `expireJob` from
/// every state that has a node: a dead node holds nobody.
///
/// Time is paid only as far as the node has proven that it was alive. Each assignment to a node is
/// a segment with a count of proven seconds; the segment's node is paid for them, whatever happens
/// to the job later.
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
    /// @param gpuModel Hash of the name of the GPU's model, or zero for none.
    /// @param gpuCount How many of them; zero exactly when there is no model.
    struct Resources {
        uint32 vcpus;
        uint64 memoryMib;
        uint64 diskMib;
        bytes32 gpuModel;
        uint8 gpuCount;
    }

    /// @notice What a customer orders.
    /// @param manifestHash Item hash of the message that describes the virtual machine.
    /// @param resources What the job needs of a node.
    /// @param token What it is paid in; zero when nothing is paid.
    /// @param pricePerHour What an hour costs, in the token's units; zero: nothing is ever owed.
    /// @param attestedWithin The node's last accepted attestation must never be older than this, in
    /// seconds; zero: no attestation is asked for.
    struct JobRequest {
        bytes32 manifestHash;
        Resources resources;
        address token;
        uint128 pricePerHour;
        uint64 attestedWithin;
    }

    /// @notice All that the chain knows of a job. Times are Unix times in seconds, 0 for "not yet";
    /// those of the node are of the present assignment.
    /// @param customer Who ordered the job, pays for it and may stop it.
    /// @param status Where the job is in its life.
    /// @param attestedWithin See {JobRequest}.
    /// @param attestationLapsed The node has sent a heartbeat without a valid attestation: the time
    /// until the next proof is not paid.
    /// @param manifestHash Item hash of the message that describes the virtual machine.
    /// @param nodeId The node it is assigned to, or zero.
    /// @param token See {JobRequest}.
    /// @param pricePerHour See {JobRequest}.
    /// @param nodeOwner Who owned the node when it got the job, and is paid.
    /// @param lastHeartbeat The last proof of life after the start.
    /// @param stoppedAt When the job was asked to stop; nothing later is paid.
    /// @param accruedSeconds What the node has proven in the present assignment.
    /// @param reason Why it failed, when it failed.
    struct Job {
        address customer;
        JobStatus status;
        uint64 attestedWithin;
        bool attestationLapsed;
        bytes32 manifestHash;
        bytes32 nodeId;
        address token;
        uint64 createdAt;
        uint128 pricePerHour;
        uint64 assignedAt;
        uint64 endedAt;
        uint64 startedAt;
        uint64 lastHeartbeat;
        uint64 stoppedAt;
        uint64 accruedSeconds;
        address nodeOwner;
        Resources resources;
        string reason;
    }

    /// @notice What settling a job needs to know.
    /// @param segments How many assignments the job has had.
    struct Billing {
        address customer;
        address token;
        uint128 pricePerHour;
        JobStatus status;
        uint32 segments;
    }

    /// @notice One assignment of a job to a node.
    /// @param nodeId The node.
    /// @param accruedSeconds The time that the node has proven, and that is paid.
    /// @param closed No more time can be proven: the job ended or went to another node.
    /// @param owner Who owned the node when it got the job, and is paid.
    struct Segment {
        bytes32 nodeId;
        uint64 accruedSeconds;
        bool closed;
        address owner;
    }

    /// @notice The rules that governance can change. Each is at least as long as the one before.
    /// @param heartbeatGapMax The longest time between two proofs of life that is paid, in seconds.
    /// @param reassignAfter How long after the last proof of life a job may be reassigned, in
    /// seconds.
    /// @param expireAfter How long after the last proof of life anyone may end a job, in seconds.
    /// @param minFundedHours For how many hours a customer's allowance and balance must suffice
    /// when it orders.
    struct Parameters {
        uint64 heartbeatGapMax;
        uint64 reassignAfter;
        uint64 expireAfter;
        uint32 minFundedHours;
    }

    /// @notice A customer ordered a job, having allowed PaymentManager to take `allowance`.
    event JobCreated(
        uint256 indexed jobId, address indexed customer, JobRequest request, uint256 allowance
    );

    /// @notice A job has a node; `owner` is paid for it.
    event JobAssigned(uint256 indexed jobId, bytes32 indexed nodeId, address indexed owner);

    /// @notice A job went from a node without signs of life, which has proven `accruedSeconds`, to
    /// another node; `owner` is paid from now on.
    event JobReassigned(
        uint256 indexed jobId,
        bytes32 indexed fromNodeId,
        bytes32 indexed toNodeId,
        uint64 accruedSeconds,
        address owner
    );

    /// @notice The node started the job.
    event JobStarted(uint256 indexed jobId, bytes32 indexed nodeId);

    /// @notice The node has proven that the job runs; it has proven `accruedSeconds` by now.
    event JobHeartbeat(
        uint256 indexed jobId, bytes32 indexed nodeId, uint64 timestamp, uint64 accruedSeconds
    );

    /// @notice A heartbeat was passed over: the job does not run, or not on the sender's node.
    event JobHeartbeatSkipped(uint256 indexed jobId, JobStatus status);

    /// @notice A heartbeat was no proof: the node's attestation is not what the job asks for.
    event JobHeartbeatUnattested(uint256 indexed jobId, bytes32 indexed nodeId);

    /// @notice The job is to end: its customer wants so, or does not pay. Its node completes it.
    event JobStopRequested(uint256 indexed jobId);

    /// @notice The job ended as it should; its last node has proven `accruedSeconds`.
    event JobCompleted(uint256 indexed jobId, uint64 accruedSeconds);

    /// @notice The job ended as it should not.
    event JobFailed(uint256 indexed jobId, string reason);

    /// @notice The contract that settles jobs is known.
    event PaymentManagerSet(IPaymentManager paymentManager);

    /// @notice The rules changed.
    event ParametersSet(
        uint64 heartbeatGapMax, uint64 reassignAfter, uint64 expireAfter, uint32 minFundedHours
    );

    /// @notice A contract address is zero.
    error ZeroAddress();

    /// @notice The manifest hash is zero.
    error ZeroManifestHash();

    /// @notice A job needs processors, memory and disk.
    error ZeroResources();

    /// @notice GPUs need both a model and a count, or neither.
    error InvalidGpu(bytes32 gpuModel, uint8 gpuCount);

    /// @notice The age that the job allows an attestation is beyond reason.
    error AttestedWithinTooLong(uint64 attestedWithin, uint64 max);

    /// @notice A job without a price has no token.
    error TokenWithoutPrice(address token);

    /// @notice Jobs cannot be paid in this token.
    error TokenNotAllowed(address token);

    /// @notice Allowance or balance do not cover the first hours.
    error NotFunded(uint256 allowance, uint256 balance, uint256 required);

    /// @notice There is no PaymentManager yet: only jobs without a price can be ordered.
    error PaymentManagerNotSet();

    /// @notice The PaymentManager keeps what has been paid, so there is never another one.
    error PaymentManagerAlreadySet(IPaymentManager paymentManager);

    /// @notice The job's status does not allow this; `None` is a job that never was.
    error WrongJobStatus(uint256 jobId, JobStatus status);

    /// @notice The node may not take work.
    error NodeNotActive(bytes32 nodeId);

    /// @notice The node's attestation is not what the job asks for.
    error NodeNotAttested(bytes32 nodeId, uint64 attestedWithin);

    /// @notice The job is on this node already.
    error SameNode(uint256 jobId, bytes32 nodeId);

    /// @notice The last sign of life is too recent.
    error TooEarly(uint256 jobId, uint64 notBefore);

    /// @notice The job has had as many nodes as a job can have.
    error TooManySegments(uint256 jobId, uint256 max);

    /// @notice The job has no such segment.
    error NoSuchSegment(uint256 jobId, uint256 index);

    /// @notice Only the job's customer may do this.
    error NotCustomer(uint256 jobId, address account);

    /// @notice Only the operator of the job's node may do this.
    error NotJobOperator(uint256 jobId, address account);

    /// @notice Too many jobs in one call.
    error TooManyJobs(uint256 count, uint256 max);

    /// @notice The reason is longer than the chain keeps.
    error ReasonTooLong(uint256 sizeBytes, uint256 sizeBytesMax);

    /// @notice Orders a job; the sender becomes its customer and pays for it.
    /// @dev Taking in: stops while paused. Allowance and balance are looked at, not locked: both can
    /// be gone a second later, which PaymentManager deals with.
    /// @return jobId Counts up from 1.
    function createJob(JobRequest calldata request) external returns (uint256 jobId);

    /// @notice Gives a created job to an active node. SCHEDULER_ROLE only.
    function assignJob(uint256 jobId, bytes32 nodeId) external;

    /// @notice Gives an assigned or running job whose node shows no sign of life to another active
    /// node, `reassignAfter` after the last one. SCHEDULER_ROLE only.
    /// @dev What the former node has proven stays its own; the time since is nobody's. A job has at
    /// most 16 segments.
    function reassignJob(uint256 jobId, bytes32 nodeId) external;

    /// @notice Says that an assigned job runs. Operator of its node only.
    /// @dev The first proof of life: paid time counts from here.
    function startJob(uint256 jobId) external;

    /// @notice Says that jobs run. An item that is not a running job of the sender's node is
    /// skipped, with an event, and never stops the others.
    /// @dev A proof of life. The time since the last one is paid if it is not longer than
    /// `heartbeatGapMax`, and lies before the request to stop. For a job that asks for attestation,
    /// a heartbeat without one proves nothing, and nothing is paid until the next proof.
    /// @param jobIds At most 64.
    function heartbeat(uint256[] calldata jobIds) external;

    /// @notice Ends a job: at once when it has no node yet, else by asking its node. Customer only.
    function stopJob(uint256 jobId) external;

    /// @notice Asks the node of an assigned or running job to end it. PAYMENT_MANAGER_ROLE only.
    function stopUnpaidJob(uint256 jobId) external;

    /// @notice Says that a running or stopping job has ended. Operator of its node only.
    /// @dev The last proof of life.
    function completeJob(uint256 jobId) external;

    /// @notice Says that a job cannot go on. The operator of its node, or SCHEDULER_ROLE as long as
    /// it has not started.
    /// @dev Proves nothing: the time since the last proof is not paid.
    /// @param reason What went wrong, at most 256 bytes.
    function failJob(uint256 jobId, string calldata reason) external;

    /// @notice Ends a job that has a node, `expireAfter` after the last proof of life; a stopping
    /// one that long after the request to stop, whatever its node says. Anyone may call.
    function expireJob(uint256 jobId) external;

    /// @notice Makes the contract known that settles jobs, once and for all. PARAMETER_ROLE only.
    function setPaymentManager(IPaymentManager paymentManager) external;

    /// @notice Changes the rules, within bounds. PARAMETER_ROLE only.
    /// @dev Binds running jobs too, from their next proof of life on.
    function setParameters(Parameters calldata parameters) external;

    /// @notice The job with this id; all zero when it never was.
    function getJob(uint256 jobId) external view returns (Job memory);

    /// @notice What settling this job needs to know; all zero when it never was.
    function getBilling(uint256 jobId) external view returns (Billing memory);

    /// @notice One assignment of a job, counted from 0.
    function getSegment(uint256 jobId, uint256 index) external view returns (Segment memory);

    /// @notice The contract that settles jobs; zero before it is known.
    function getPaymentManager() external view returns (IPaymentManager);

    /// @notice The rules in force.
    function getParameters() external view returns (Parameters memory);

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

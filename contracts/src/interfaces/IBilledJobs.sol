// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IJobManager} from "./IJobManager.sol";

/// @title What SLAManager asks of JobManager
interface IBilledJobs {
    /// @notice What a job costs, and whom.
    /// @param token What it is paid in; zero when nothing is ever owed.
    /// @param segments On how many nodes it has been so far.
    struct Billing {
        address customer;
        address token;
        uint128 pricePerHour;
        IJobManager.JobStatus status;
        uint32 segments;
    }

    /// @notice The time that a job spent on one node.
    /// @param owner Who owned the node when it got the job, and is paid.
    struct Segment {
        bytes32 nodeId;
        uint64 accruedSeconds;
        bool closed;
        address owner;
    }

    /// @notice What the job costs; all zero when it never was.
    function getBilling(uint256 jobId) external view returns (Billing memory);

    /// @notice The job's time on its `index`th node, counted from 0.
    function getSegment(uint256 jobId, uint256 index) external view returns (Segment memory);
}

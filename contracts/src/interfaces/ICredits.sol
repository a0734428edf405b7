// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title What SLAManager asks of PaymentManager
interface ICredits {
    /// @notice Lowers what the customer of a job still owes. SLA_MANAGER_ROLE only.
    /// @param amount In units of the job's token.
    /// @return credited How much of it the job could still owe.
    function credit(uint256 jobId, uint256 amount) external returns (uint256 credited);
}

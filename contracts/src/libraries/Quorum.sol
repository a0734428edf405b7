// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Counting the voices of a role's members on one statement
/// @dev A statement is the hash of all that the voters agree on, with something in it that makes it
/// new each time (a counter, an epoch): a statement that was counted once is never counted again.
library Quorum {
    /// @notice Who has spoken for which statement.
    struct Ballots {
        mapping(bytes32 statement => mapping(address voter => bool)) voted;
        mapping(bytes32 statement => uint256) count;
    }

    /// @notice The account has spoken for this statement before.
    error AlreadyVoted(address voter, bytes32 statement);

    /// @dev The caller has checked that `voter` may speak. Returns how many have by now.
    function vote(Ballots storage ballots, bytes32 statement, address voter)
        internal
        returns (uint256 count)
    {
        require(!ballots.voted[statement][voter], AlreadyVoted(voter, statement));
        ballots.voted[statement][voter] = true;
        return ++ballots.count[statement];
    }
}

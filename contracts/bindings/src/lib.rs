//! Rust's view of the contracts: calls, events and errors of each, generated from the ABI files
//! in `contracts/abi`, and the address book that says where a network has them.
//!
//! Runs no task and owns no channel. The ABI files are in git, so building this crate needs no
//! Solidity toolchain; `node contracts/tools/abi.mjs --check` fails when they differ from the
//! contracts' build.
//!
//! Solidity enums arrive as `u8`; [`NodeType`], [`NodeStatus`] and [`JobStatus`] give them names.
//! This crate does not talk to a chain by itself: give a contract's `new` an alloy provider.

#![forbid(unsafe_code)]

mod address_book;
mod status;

pub use address_book::{AddressBook, AddressBookError};
pub use job_manager::{
    IJobManager::{Job, Resources},
    JobManager,
};
pub use node_registry::{
    INodeRegistry::{AttestationKey, Node},
    NodeRegistry,
};
pub use staking_manager::{
    IStakingManager::{Parameters as StakingParameters, StakeInfo},
    StakingManager,
};
pub use status::{JobStatus, NodeStatus, NodeType, UnknownValue};
pub use token::AlephToken;

// One module per contract: each generated file brings the types of its interfaces along, and two
// contracts may bring the same ones.
mod token {
    #![allow(missing_docs, unreachable_pub)]
    alloy::sol!(
        #[sol(rpc, all_derives)]
        AlephToken,
        "../abi/AlephToken.json"
    );
}

mod node_registry {
    #![allow(missing_docs, unreachable_pub)]
    alloy::sol!(
        #[sol(rpc, all_derives)]
        NodeRegistry,
        "../abi/NodeRegistry.json"
    );
}

mod staking_manager {
    #![allow(missing_docs, unreachable_pub)]
    alloy::sol!(
        #[sol(rpc, all_derives)]
        StakingManager,
        "../abi/StakingManager.json"
    );
}

mod job_manager {
    #![allow(missing_docs, unreachable_pub)]
    alloy::sol!(
        #[sol(rpc, all_derives)]
        JobManager,
        "../abi/JobManager.json"
    );
}

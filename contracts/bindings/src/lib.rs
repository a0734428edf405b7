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
pub use domain_registry::DomainRegistry;
pub use drand_beacon::DrandBeacon;
pub use governor::AlephGovernor;
pub use image_marketplace::ImageMarketplace;
pub use job_manager::{
    IJobManager::{Billing, Job, JobRequest, Parameters as JobParameters, Resources, Segment},
    JobManager,
};
pub use node_registry::{
    INodeRegistry::{Attestation, AttestationKey, Node, Parameters as NodeParameters},
    NodeRegistry,
};
pub use payment_manager::PaymentManager;
pub use sla_manager::SLAManager;
pub use staking_manager::{
    IStakingManager::{Parameters as StakingParameters, StakeInfo},
    StakingManager,
};
pub use status::{JobStatus, NodeStatus, NodeType, UnknownValue};
pub use storage_fault_policy::StorageFaultPolicy;
pub use storage_registry::{IStorageRegistry::Offer as StorageOffer, StorageRegistry};
pub use token::AlephToken;

/// One module per contract: each generated file brings the types of its interfaces along, and two
/// contracts may bring the same ones.
macro_rules! bindings {
    ($($module:ident: $contract:ident, $path:literal;)*) => {
        $(mod $module {
            #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
            alloy::sol!(
                #[sol(rpc, all_derives)]
                $contract,
                $path
            );
        })*
    };
}

bindings! {
    token: AlephToken, "../abi/AlephToken.json";
    governor: AlephGovernor, "../abi/AlephGovernor.json";
    domain_registry: DomainRegistry, "../abi/DomainRegistry.json";
    drand_beacon: DrandBeacon, "../abi/DrandBeacon.json";
    image_marketplace: ImageMarketplace, "../abi/ImageMarketplace.json";
    job_manager: JobManager, "../abi/JobManager.json";
    node_registry: NodeRegistry, "../abi/NodeRegistry.json";
    payment_manager: PaymentManager, "../abi/PaymentManager.json";
    sla_manager: SLAManager, "../abi/SLAManager.json";
    staking_manager: StakingManager, "../abi/StakingManager.json";
    storage_fault_policy: StorageFaultPolicy, "../abi/StorageFaultPolicy.json";
    storage_registry: StorageRegistry, "../abi/StorageRegistry.json";
}

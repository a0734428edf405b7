//! Why a job fits nowhere.

use std::fmt;

use aleph_types::{NodeId, Resources};
use serde::{Deserialize, Serialize};

use crate::NodeState;

/// No node can take the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Unplaceable {
    /// What was asked for.
    pub needs: Resources,
    /// What each node lacks, in the order of the nodes given.
    pub reasons: Vec<(NodeId, Vec<Shortage>)>,
    /// What no node has enough of, with the largest that is free on one.
    pub nowhere: Vec<Shortage>,
}

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Virtual processors.
    Vcpus,
    /// Memory, in MiB.
    Memory,
    /// Disk, in MiB.
    Disk,
}

/// Not enough of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Of what.
    pub resource: Resource,
    /// How much is needed.
    pub needs: u64,
    /// How much is free on the node; among several nodes, on the one that has most.
    pub largest_free: u64,
}

impl Shortage {
    /// What is not enough.
    pub(crate) fn all(needs: &Resources, free: &Resources) -> Vec<Self> {
        [
            (Resource::Vcpus, u64::from(needs.vcpus), u64::from(free.vcpus)),
            (Resource::Memory, needs.memory_mib, free.memory_mib),
            (Resource::Disk, needs.disk_mib, free.disk_mib),
        ]
        .into_iter()
        .filter(|(_, needs, free)| needs > free)
        .map(|(resource, needs, largest_free)| Self { resource, needs, largest_free })
        .collect()
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, needs, largest_free: free } = self;
        match resource {
            Resource::Vcpus => write!(f, "needs {needs} vCPU, the most free is {free}"),
            Resource::Memory => {
                write!(f, "needs {needs} MiB memory, the largest free is {free} MiB")
            }
            Resource::Disk => write!(f, "needs {needs} MiB disk, the largest free is {free} MiB"),
        }
    }
}

impl Unplaceable {
    pub(crate) fn explain(needs: Resources, nodes: &[NodeState]) -> Self {
        let largest =
            nodes.iter().map(NodeState::free).fold(Resources::default(), |most, free| Resources {
                vcpus: most.vcpus.max(free.vcpus),
                memory_mib: most.memory_mib.max(free.memory_mib),
                disk_mib: most.disk_mib.max(free.disk_mib),
            });
        let lacks = |node: &NodeState| (node.id, Shortage::all(&needs, &node.free()));
        Self {
            needs,
            reasons: nodes.iter().map(lacks).collect(),
            nowhere: Shortage::all(&needs, &largest),
        }
    }
}

impl fmt::Display for Unplaceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reasons.is_empty() {
            return f.write_str("no node takes work: register, stake and activate one");
        }
        let Some((first, others)) = self.nowhere.split_first() else {
            return write!(
                f,
                "no node has room for {} at once, though each is free on some node: wait for a job \
                 to end, or ask for less",
                self.needs
            );
        };
        write!(f, "no node has room: {first}")?;
        others.iter().try_for_each(|shortage| write!(f, "; {shortage}"))
    }
}

//! What can be typed.

use std::path::PathBuf;

use aleph_types::{Cid, JobId, NodeId};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Runs, checks and uses the nodes of an Aleph network.
#[derive(Debug, Parser)]
#[command(name = "aleph", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 attestation refused, \
                        4 node or chain unreachable, 5 no such thing.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Print results as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The network to use: a client configuration in JSON, as `devnet up` writes it.
    #[arg(long, global = true, env = "ALEPH_NETWORK", default_value = "build/devnet/client.json")]
    pub(crate) network: PathBuf,
    /// The private key of the account that acts, 64 hexadecimal digits.
    #[arg(long, global = true, env = "ALEPH_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// A file with the private key; preferred over a key on the command line.
    #[arg(long, global = true, env = "ALEPH_KEY_FILE", conflicts_with = "key")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify saved evidence.
    #[command(subcommand)]
    Attest(AttestCommand),
    /// Write a completion script for a shell to standard output.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// A whole network on this machine, to try things out.
    #[command(subcommand)]
    Devnet(DevnetCommand),
    /// Virtual machines.
    #[command(subcommand)]
    Instance(InstanceCommand),
    /// Nodes: what they are and whether they can be trusted.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Stake ALEPH on a node you own.
    Stake(StakeArguments),
    /// Upload a file to a node, and print its CID.
    Upload {
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevnetCommand {
    /// Start a chain with the contracts, and a node in a virtual machine.
    Up {
        /// Where the network keeps everything of its own.
        #[arg(long, default_value = "build/devnet")]
        folder: PathBuf,
        /// The folder with the image and its release manifest.
        #[arg(long, default_value = "build")]
        image: PathBuf,
        /// The chain's port on the loopback interface.
        #[arg(long, default_value_t = 8545)]
        chain_port: u16,
        /// The node's port on the loopback interface.
        #[arg(long, default_value_t = 8443)]
        node_port: u16,
    },
    /// Stop the network.
    Down {
        /// Where the network is.
        #[arg(long, default_value = "build/devnet")]
        folder: PathBuf,
    },
    /// Show whether the network runs, and where.
    Status {
        /// Where the network is.
        #[arg(long, default_value = "build/devnet")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Have a node prove what it is and what it booted.
    Attest(AttestArguments),
    /// Show what a node says of itself.
    Status {
        /// The node's address; the network's node where it is left out.
        url: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AttestArguments {
    /// The node's address, such as `https://node.example:8443`.
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) policy: Policy,
    /// The node that it must be; without it, the one that was pinned at this address, or else any
    /// node that booted the release.
    #[arg(long)]
    pub(crate) node_id: Option<NodeId>,
    /// Keep the evidence in this file, for `aleph attest verify`.
    #[arg(long)]
    pub(crate) save: Option<PathBuf>,
    /// On acceptance, have the network's configuration trust this node and its TLS key alone. Another
    /// node than the one that was pinned before has to be named by --node-id.
    #[arg(long)]
    pub(crate) pin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AttestCommand {
    /// Verify evidence that you kept by `aleph node attest --save`; needs no network. Evidence from
    /// somebody else proves nothing: its challenge was theirs.
    Verify {
        /// The evidence.
        file: PathBuf,
        #[command(flatten)]
        policy: Policy,
    },
}

/// What evidence is held against.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    /// The manifest of the release that the node should have booted.
    #[arg(long)]
    pub(crate) release: PathBuf,
    /// The folder with the PEM certificates of the CAs that endorse TPMs.
    #[arg(long)]
    pub(crate) ek_roots: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StakeArguments {
    /// How much ALEPH, such as `1000` or `0.5`.
    pub(crate) amount: String,
    /// The node; the network's node where it is left out.
    #[arg(long)]
    pub(crate) node_id: Option<NodeId>,
    /// Wait until the stake has matured, and activate the node.
    #[arg(long)]
    pub(crate) activate: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    /// Ask for a virtual machine.
    Create(CreateArguments),
    /// List the node's machines.
    List,
    /// Print what a machine wrote to its console.
    Logs {
        /// The job.
        job: JobId,
        /// Keep printing until the machine has ended.
        #[arg(long, short)]
        follow: bool,
    },
    /// Have paid what a machine owes by now; anyone may.
    Settle {
        /// The job.
        job: JobId,
    },
    /// Show one machine, as the chain and its node see it.
    Show {
        /// The job.
        job: JobId,
    },
    /// Ask for a machine's end.
    Stop {
        /// The job.
        job: JobId,
        /// Wait until it has ended.
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// The CID of the root file system's image (see `aleph upload`).
    #[arg(long)]
    pub(crate) rootfs: Cid,
    /// Virtual processors.
    #[arg(long, default_value_t = 1)]
    pub(crate) vcpus: u32,
    /// Memory in MiB.
    #[arg(long, default_value_t = 512)]
    pub(crate) memory: u64,
    /// Size of the first disk in MiB.
    #[arg(long, default_value_t = 1024)]
    pub(crate) disk: u64,
    /// What an hour is worth to you, in ALEPH; paid for the time that the node proves.
    #[arg(long, default_value = "0")]
    pub(crate) price_per_hour: String,
    /// For how many hours the payment contract is allowed to take the price.
    #[arg(long, default_value_t = 24)]
    pub(crate) funded_hours: u32,
    /// Wait until the machine runs.
    #[arg(long)]
    pub(crate) wait: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}

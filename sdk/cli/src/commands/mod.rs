//! The commands, a module each.

mod attest;
mod devnet;
mod instance;
mod node;
mod stake;
mod upload;

use anyhow::Result;
use clap::CommandFactory;

pub(crate) use self::attest::Refused;
use crate::{
    args::{Arguments, AttestCommand, Command, NodeCommand},
    context::Context,
};

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { common, command } = arguments;
    let context = Context::new(common);
    match command {
        Command::Attest(AttestCommand::Verify { file, policy }) => {
            attest::verify_file(&context, &file, &policy)
        }
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "aleph", &mut out);
            context.output.bytes(&out)
        }
        Command::Devnet(command) => devnet::run(&context, command).await,
        Command::Instance(command) => instance::run(&context, command).await,
        Command::Node(NodeCommand::Attest(arguments)) => {
            attest::attest_node(&context, &arguments).await
        }
        Command::Node(NodeCommand::Status { url }) => node::status(&context, url.as_deref()).await,
        Command::Stake(arguments) => stake::run(&context, arguments).await,
        Command::Upload { file } => upload::run(&context, &file).await,
    }
}

//! `aleph`: the command line of customers, owners and operators.
//!
//! Standard output carries results alone, for people or (`--json`) for programs; everything else
//! goes to standard error. Exit codes: 0 done; 1 failed; 2 wrong usage; 3 an attestation was
//! refused; 4 a node or the chain cannot be reached; 5 what was named does not exist.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod context;
mod output;

use std::process::ExitCode;

use aleph_sdk::SdkError;
use aleph_types::text::{in_words, printable};
use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{args::Arguments, commands::Refused};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_env("ALEPH_LOG")
        .unwrap_or_else(|_| "warn,aleph=info,aleph_devnet=info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    match commands::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let words = in_words(error.as_ref()).replace('\n', " ");
            eprintln!("error: {}", printable(&words));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Refused>() {
        return 3;
    }
    match error.downcast_ref::<SdkError>() {
        Some(SdkError::KeyChanged { .. } | SdkError::OtherNode { .. }) => 3,
        Some(SdkError::Unreachable { .. } | SdkError::Chain(_)) => 4,
        Some(SdkError::NoSuchJob(_)) => 5,
        Some(SdkError::Problem(problem)) if problem.status == 404 => 5,
        _ => 1,
    }
}

//! The agent of a node; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    aleph_node::run_command()
}

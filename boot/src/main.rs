//! `/init`: the machine's first process.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("aleph-init is started by the kernel, as process 1");
        return ExitCode::from(64);
    }
    aleph_init::boot::run()
}

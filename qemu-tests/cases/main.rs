//! The cases. Each boots machines of its own; a failed one leaves their consoles and logs in
//! `build/networks/<case>`.

mod devnet;
mod disk;
mod duties;
mod refusals;
mod spine;

use std::time::Duration;

use aleph_devnet::{Layout, Machine};
use aleph_qemu_tests::Paths;
use anyhow::{Result, ensure};

const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(120);

/// What a case needs of the build, or a line that says why the case is skipped.
fn paths(image: &str, name: &str) -> Option<(Layout, Paths)> {
    let layout = match Layout::find() {
        Ok(layout) => layout,
        Err(error) => return skip(&error.to_string()),
    };
    let paths = Paths::of(&layout, image, name);
    match paths.missing() {
        None => Some((layout, paths)),
        Some(missing) => skip(&missing),
    }
}

fn skip<T>(reason: &str) -> Option<T> {
    println!("skipped: {reason}");
    None
}

/// Switches a machine off by its power button. Its agent must have been started only once: nothing
/// that a case does to it is a reason to start again and again.
fn power_off_after_one_agent(mut machine: Machine) -> Result<()> {
    machine.press_power_button()?;
    machine.wait_for_power_off(POWER_OFF_TIMEOUT)?;
    let console = machine.console();
    let starts = console.matches("agent started as process").count();
    ensure!(starts == 1, "the agent was started {starts} times:\n{console}");
    Ok(())
}

//! A process in place of the monitor, that can be made to fail in every way: its "guest" does
//! what the first line of its disk says.
//!
//! - `run`: runs until its power button is pressed;
//! - `exit CODE`: runs, and ends at once with this code;
//! - `deaf`: runs, and ignores its power button;
//! - `hung`: runs, and its monitor answers to nothing;
//! - `stuck`: never comes to run.
//!
//! Each start adds one to a counter on the disk and prints a line with what it was given.

use std::{
    env,
    fs::{self, File},
    os::{
        fd::{AsFd as _, FromRawFd as _, OwnedFd},
        unix::fs::{FileExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use aleph_vmm::{
    control::{Exit, MachineConfig, Request, Response, Status, receive, send},
    status::{State, Writer},
};
use anyhow::{Context as _, Result};

/// Where the number of starts is kept on a disk.
pub(crate) const STARTS_OFFSET: u64 = 4096;

const CONFIG_VARIABLE: &str = "ALEPH_STANDIN_CONFIG_FD";

/// A program with the monitor's command line that becomes this very file's `monitor`.
pub(crate) fn install(folder: &Path) -> PathBuf {
    let path = folder.join("monitor");
    let this = env::current_exe().expect("a process has a file");
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1\" = --config-fd ] || exit 64\n\
         {CONFIG_VARIABLE}=$2 exec '{}' --exact standin::monitor --ignored --nocapture\n",
        this.display()
    );
    fs::write(&path, script).expect("the folder can be written to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is our file");
    path
}

/// Not a test: the stand-in itself.
#[test]
#[ignore = "started by the executor under test"]
fn monitor() {
    let code = match run() {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("stand-in: {error:#}");
            Exit::BadConfig.code()
        }
    };
    process::exit(code);
}

fn run() -> Result<i32> {
    let started = Instant::now();
    let config_fd = env::var(CONFIG_VARIABLE).context("no configuration")?;
    let config = MachineConfig::from_file(&open(config_fd.parse()?)?)?;
    open(config.kernel_fd).context("kernel")?;
    let disk_fd = config.disks.first().context("no disk")?.fd;
    let files = inherited_files(disk_fd)?;
    let disk = open(disk_fd)?;
    let mut sector = [0; 512];
    disk.read_exact_at(&mut sector, 0)?;
    let sector = String::from_utf8_lossy(&sector).into_owned();
    let behaviour = sector.lines().next().unwrap_or_default();

    let mut starts = [0];
    disk.read_exact_at(&mut starts, STARTS_OFFSET)?;
    starts[0] += 1;
    disk.write_all_at(&starts, STARTS_OFFSET)?;

    let page: &'static Writer = Box::leak(Box::new(Writer::new(&open(config.status_fd)?)?));
    let MachineConfig { vcpus, memory_mib, cmdline, control_fd, .. } = config;
    let disk_bytes = disk.metadata()?.len();
    let line = format!(
        "start {} with {vcpus} vCPU, {memory_mib} MiB, {disk_bytes} bytes, {files}: {cmdline}\n",
        starts[0]
    );
    page.append_console(line.as_bytes());
    match behaviour.split_once(' ') {
        Some(("exit", code)) => {
            page.set_running();
            let code = code.parse()?;
            if let Some(exit) = Exit::from_code(code) {
                page.set_stopped(exit, &format!("the stand-in was to exit with {code}"));
            }
            return Ok(code);
        }
        _ if behaviour == "stuck" => {}
        _ => page.set_running(),
    }
    if behaviour == "hung" {
        thread::sleep(Duration::from_secs(600));
    }
    // SAFETY: the number is that of a socket which this process inherited, and nothing else in
    // it uses or closes.
    let socket = unsafe { OwnedFd::from_raw_fd(control_fd) };
    let mut status = Status {
        pid: process::id(),
        state: State::Running,
        vcpus,
        memory_mib,
        uptime_ms: 0,
        console_bytes: 0,
        counters: page.counters(),
    };
    loop {
        let connection = rustix::net::accept(&socket)?;
        while let Some(request) = receive::<Request>(connection.as_fd())? {
            let exit = match request {
                Request::Status => {
                    status.uptime_ms = started.elapsed().as_millis() as u64;
                    send(connection.as_fd(), &Response::Status(status.clone()))?;
                    continue;
                }
                Request::PowerButton if behaviour == "run" => Some(Exit::PoweredOff),
                Request::PowerButton | Request::SetLimit { .. } => None,
                Request::Stop => Some(Exit::Stopped),
            };
            send(connection.as_fd(), &Response::Done)?;
            if let Some(exit) = exit {
                page.append_console(b"bye\n");
                page.set_stopped(exit, "");
                return Ok(exit.code());
            }
        }
    }
}

/// The names of the inherited files, standard streams apart. What this process has from whoever
/// started the tests lies elsewhere than the folders of all tests, and is left out.
fn inherited_files(disk_fd: i32) -> Result<String> {
    let disk = fs::read_link(format!("/proc/self/fd/{disk_fd}"))?;
    // It is `<folder of all tests>/<folder of this test>/data/<job>/root.img`.
    let tests = disk.ancestors().nth(4).context("not a test's disk")?;
    let mut names = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")?.flatten() {
        let fd: i32 = entry.file_name().to_str().context("a number")?.parse()?;
        let Ok(path) = fs::read_link(entry.path()) else { continue };
        let name = path.file_name().unwrap_or_default().display().to_string();
        if fd > 2 && (path.starts_with(tests) || name.starts_with("memfd:")) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.join(", "))
}

/// Another handle to an inherited file.
fn open(fd: i32) -> Result<File> {
    let path = format!("/proc/self/fd/{fd}");
    let read_write = File::options().read(true).write(true).open(&path);
    read_write.or_else(|_| File::open(&path)).with_context(|| format!("descriptor {fd}"))
}

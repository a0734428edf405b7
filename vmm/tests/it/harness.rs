//! Starts the monitor as the agent does: descriptors only, control socket, status page.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aleph_vmm::control::{self, Client, Disk, Exit, MachineConfig, RateLimit, Request};
use aleph_vmm::status::{self, Reader, Snapshot};
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

const MONITOR: &str = env!("CARGO_BIN_EXE_aleph-vmm");
/// Emulated guests on a busy machine are slow; a hang is a hang all the same.
const DEADLINE: Duration = Duration::from_secs(60);

/// True, with a word on standard error, where no guest can run at all.
pub(crate) fn kvm_is_missing() -> bool {
    let missing = File::options().read(true).write(true).open("/dev/kvm").is_err();
    if missing {
        eprintln!("skipped: /dev/kvm cannot be opened");
    }
    missing
}

/// The exit of a monitor started with these arguments.
pub(crate) fn exit_of(arguments: &[&str]) -> Exit {
    let status = Command::new(MONITOR).args(arguments).stderr(Stdio::null()).status().unwrap();
    Exit::from_code(status.code().unwrap()).unwrap()
}

/// A running monitor. Dropping it kills it.
pub(crate) struct Monitor {
    child: Child,
    status: Reader,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Monitor {
    /// Starts a machine of 32 MiB with an empty disk of 1 MiB.
    pub(crate) fn spawn(kernel: &[u8]) -> Monitor {
        Monitor::spawn_with_disk(kernel, 1 << 20)
    }

    pub(crate) fn spawn_with_disk(kernel: &[u8], disk_size_bytes: u64) -> Monitor {
        let mut kernel_file = tempfile::tempfile().unwrap();
        kernel_file.write_all(kernel).unwrap();
        let disk = tempfile::tempfile().unwrap();
        disk.set_len(disk_size_bytes).unwrap();
        Monitor::spawn_machine(kernel_file, disk, 1, 32, "")
    }

    pub(crate) fn spawn_machine(
        kernel: File,
        disk: File,
        vcpus: u8,
        memory_mib: u32,
        cmdline: &str,
    ) -> Monitor {
        let dir = tempfile::tempdir().unwrap();
        let (status_path, socket) = (dir.path().join("status"), dir.path().join("control"));
        let status = status::create(&status_path).unwrap();
        let listener = control::listen(&socket).unwrap();
        let config = MachineConfig {
            vcpus,
            memory_mib,
            cmdline: cmdline.into(),
            kernel_fd: kernel.as_raw_fd(),
            disks: vec![Disk {
                fd: disk.as_raw_fd(),
                read_only: false,
                serial: "disk".into(),
                limit: RateLimit::default(),
            }],
            cards: Vec::new(),
            status_fd: status.as_raw_fd(),
            control_fd: listener.as_raw_fd(),
        };
        let config_fd = config.to_memory_file().unwrap();
        let fds = [kernel.into(), disk.into(), status.into(), listener, config_fd].map(inheritable);
        let child = Command::new(MONITOR)
            .args(["--config-fd", &fds[4].as_raw_fd().to_string()])
            .spawn()
            .unwrap();
        Monitor { child, status: Reader::open(&status_path).unwrap(), socket, _dir: dir }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Path of the control socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// A client, once the guest runs.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::connect(&self.socket, DEADLINE).unwrap();
        // The first answer comes from a machine that is built.
        client.request(&Request::Status).unwrap();
        client
    }

    /// A connection that does not speak the protocol by itself.
    pub(crate) fn raw_connection(&self) -> OwnedFd {
        let flags = SocketFlags::CLOEXEC;
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let connection = rustix::net::socket_with(family, kind, flags, None).unwrap();
        let address = SocketAddrUnix::new(&self.socket).unwrap();
        rustix::net::connect(&connection, &address).unwrap();
        connection
    }

    pub(crate) fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
    }

    /// How the monitor ends.
    pub(crate) fn wait(&mut self) -> Exit {
        self.wait_at_most(DEADLINE)
    }

    pub(crate) fn wait_at_most(&mut self, deadline: Duration) -> Exit {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let code = status.code().expect("the monitor ends by itself");
                return Exit::from_code(code).expect("the exit code has a meaning");
            }
            assert!(start.elapsed() < deadline, "the monitor hangs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the console shows `text`.
    pub(crate) fn wait_for_console(&self, text: &str, deadline: Duration) {
        let start = Instant::now();
        while !String::from_utf8_lossy(&self.console()).contains(text) {
            let console = self.console();
            let shown = String::from_utf8_lossy(&console);
            assert!(start.elapsed() < deadline, "no {text:?} in:\n{shown}");
            let ended = self.snapshot().exit;
            assert!(ended.is_none(), "ended before {text:?}: {ended:?}\n{shown}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.status.snapshot().unwrap()
    }

    pub(crate) fn console(&self) -> Vec<u8> {
        self.status.console(0, usize::MAX).unwrap().bytes
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets a child have the descriptor.
fn inheritable(fd: OwnedFd) -> OwnedFd {
    rustix::io::fcntl_setfd(&fd, FdFlags::empty()).unwrap();
    fd
}

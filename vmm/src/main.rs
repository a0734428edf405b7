//! The monitor's process: takes a machine's parts from descriptors, or from the command line for
//! people and tests, and runs it. Its exit codes are [`aleph_vmm::control::Exit`].

use std::fs::{File, OpenOptions};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use aleph_vmm::control::{Card, Disk, MachineConfig, RateLimit};
use aleph_vmm::machine::{self, CardPart, DiskPart, Parts};
use aleph_vmm::{Error, status};
use rustix::fs::MemfdFlags;

const USAGE: &str = "usage:
  aleph-vmm --config-fd N
  aleph-vmm run --kernel FILE [--disk FILE[:ro]]... [--memory MIB] [--vcpus N] [--cmdline TEXT]";

const DEFAULT_MEMORY_MIB: u32 = 256;
const DEFAULT_CMDLINE: &str = "console=ttyS0 root=/dev/vda rw";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let started = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--config-fd", number] => inherited_machine(number),
        ["run", options @ ..] => command_line_machine(options),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return;
        }
        _ => Err(Error::Config(format!("unknown arguments\n{USAGE}"))),
    };
    let exit = match started {
        Ok((parts, status)) => machine::run(parts, status),
        Err(error) => {
            eprintln!("aleph-vmm: {}", machine::describe(&error));
            error.exit()
        }
    };
    // Not a return from main: the machine's threads may be anywhere.
    std::process::exit(exit.code());
}

type Start = (Parts, Arc<status::Writer>);

/// A machine whose files were inherited.
fn inherited_machine(number: &str) -> Result<Start, Error> {
    let config_fd = number
        .parse()
        .map_err(|_| Error::Config(format!("{number:?} is not the number of a descriptor")))?;
    let config = MachineConfig::from_file(&File::from(inherit(config_fd)?))?;
    // From here on the machine's end can be told in its status page.
    let status = Arc::new(status::Writer::new(&File::from(inherit(config.status_fd)?))?);
    let parts = inherit_parts(&config).inspect_err(|error| {
        status.set_stopped(error.exit(), &machine::describe(error));
    })?;
    Ok((parts, status))
}

fn inherit_parts(config: &MachineConfig) -> Result<Parts, Error> {
    let disk = |disk: &Disk| {
        let file = File::from(inherit(disk.fd)?);
        Ok(DiskPart {
            file,
            read_only: disk.read_only,
            serial: disk.serial.clone(),
            limit: disk.limit,
        })
    };
    let card = |card: &Card| {
        Ok(CardPart {
            tap: File::from(inherit(card.fd)?),
            mac: card.mac,
            receive_limit: card.receive_limit,
            send_limit: card.send_limit,
        })
    };
    Ok(Parts {
        vcpus: config.vcpus,
        memory_mib: config.memory_mib,
        cmdline: config.cmdline.clone(),
        kernel: inherit(config.kernel_fd)?.into(),
        disks: config.disks.iter().map(disk).collect::<Result<_, Error>>()?,
        cards: config.cards.iter().map(card).collect::<Result<_, Error>>()?,
        control: Some(inherit(config.control_fd)?),
        echo_console: false,
    })
}

/// Takes over a descriptor that the spawner left for us.
fn inherit(fd: i32) -> Result<OwnedFd, Error> {
    // SAFETY: asking for the flags changes nothing, whatever the number.
    if fd <= 2 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(Error::Config(format!("descriptor {fd} is not open")));
    }
    // SAFETY: it is open, and the spawner gave it to us alone. Nothing in this process has opened a
    // file yet, and the configuration names no descriptor twice.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A machine described by options, with its console on standard output.
fn command_line_machine(options: &[&str]) -> Result<Start, Error> {
    let mut kernel = None;
    let mut config = MachineConfig {
        vcpus: 1,
        memory_mib: DEFAULT_MEMORY_MIB,
        cmdline: DEFAULT_CMDLINE.into(),
        // Placeholders that pass the check of the limits: this machine's files are opened here.
        kernel_fd: 3,
        disks: Vec::new(),
        cards: Vec::new(),
        status_fd: 4,
        control_fd: 5,
    };
    let mut disks = Vec::new();
    let (pairs, rest) = options.as_chunks::<2>();
    for [option, value] in pairs {
        match *option {
            "--kernel" => kernel = Some(open(value, false)?),
            "--disk" => disks.push(open_disk(value)?),
            "--memory" => config.memory_mib = parse(option, value)?,
            "--vcpus" => config.vcpus = parse(option, value)?,
            "--cmdline" => config.cmdline = (*value).into(),
            _ => return Err(Error::Config(format!("unknown option {option}\n{USAGE}"))),
        }
    }
    if let Some(option) = rest.first() {
        return Err(Error::Config(format!("{option} needs a value\n{USAGE}")));
    }
    config.validate()?;
    let parts = Parts {
        vcpus: config.vcpus,
        memory_mib: config.memory_mib,
        cmdline: config.cmdline,
        kernel: kernel.ok_or(Error::Config(format!("--kernel is missing\n{USAGE}")))?,
        disks,
        cards: Vec::new(),
        control: None,
        echo_console: true,
    };
    Ok((parts, private_status_page()?))
}

fn private_status_page() -> Result<Arc<status::Writer>, Error> {
    let io = |source: std::io::Error| Error::Io { action: "make a status page", source };
    let fd = rustix::fs::memfd_create("aleph-vmm-status", MemfdFlags::CLOEXEC)
        .map_err(|error| io(error.into()))?;
    let file = File::from(fd);
    file.set_len(status::PAGE_SIZE_BYTES as u64).map_err(io)?;
    status::Writer::new(&file).map(Arc::new)
}

fn open_disk(argument: &str) -> Result<DiskPart, Error> {
    let (path, read_only) = match argument.strip_suffix(":ro") {
        Some(path) => (path, true),
        None => (argument, false),
    };
    Ok(DiskPart {
        file: open(path, !read_only)?,
        read_only,
        serial: String::new(),
        limit: RateLimit::default(),
    })
}

fn open(path: &str, write: bool) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(write)
        .open(path)
        .map_err(|reason| Error::Disk { name: path.into(), reason })
}

fn parse<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|_| Error::Config(format!("{option}: {value:?} is not a number")))
}

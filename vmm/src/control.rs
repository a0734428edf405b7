//! How the agent starts and commands a monitor.
//!
//! A monitor is started with a sealed memory file that holds a [`MachineConfig`]; the files in it
//! are numbers of inherited descriptors. One of them is a *listening* `SOCK_SEQPACKET` socket:
//! whoever connects sends one [`Request`] per packet and gets one [`Response`] back, so an agent
//! that was restarted just connects again. Each message starts with a version byte and is bounded
//! before it is decoded: neither side trusts the other.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::status::{Counters, State};

/// First byte of every message and configuration.
pub const VERSION: u8 = 2;
/// Largest packet on the control socket, and largest configuration.
pub const MESSAGE_SIZE_BYTES_MAX: usize = 64 * 1024;
/// Most virtual processors of a machine.
pub const VCPUS_MAX: u8 = 64;
/// Least memory of a machine: below it no Linux kernel starts.
pub const MEMORY_MIB_MIN: u32 = 32;
/// Most memory of a machine.
pub const MEMORY_MIB_MAX: u32 = 512 * 1024;
/// Longest kernel command line: x86 Linux reads 2048 bytes with the terminating zero.
pub const CMDLINE_SIZE_BYTES_MAX: usize = 2047;
/// Most disks of a machine.
pub const DISKS_MAX: usize = 16;
/// Most network cards of a machine.
pub const CARDS_MAX: usize = 8;
/// Longest serial number of a disk (virtio's `GET_ID` has 20 bytes).
pub const DISK_SERIAL_SIZE_BYTES_MAX: usize = 20;

/// Connections the kernel keeps waiting: the agent uses one at a time, a person debugging one more.
const BACKLOG: i32 = 4;

/// The machine a monitor is asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfig {
    /// Number of virtual processors, 1 to [`VCPUS_MAX`].
    pub vcpus: u8,
    /// Guest memory, [`MEMORY_MIB_MIN`] to [`MEMORY_MIB_MAX`].
    pub memory_mib: u32,
    /// Kernel command line: printable ASCII.
    pub cmdline: String,
    /// Descriptor of the kernel: an ELF file with a PVH note.
    pub kernel_fd: i32,
    /// Disks in the order in which the guest sees them (`vda`, `vdb`, …).
    pub disks: Vec<Disk>,
    /// Network cards in the order in which the guest sees them.
    pub cards: Vec<Card>,
    /// Descriptor of the status page (see [`crate::status`]), open for reading and writing.
    pub status_fd: i32,
    /// Descriptor of the listening control socket.
    pub control_fd: i32,
}

/// One disk: a raw image in a file or a block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Descriptor of the image.
    pub fd: i32,
    /// The guest may not write.
    pub read_only: bool,
    /// Serial number the guest reads: printable ASCII without spaces, ≤ 20 bytes, may be empty.
    pub serial: String,
    /// How fast it may be used.
    pub limit: RateLimit,
}

/// One network card, plugged into a tap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Descriptor of the tap, attached with `IFF_TAP | IFF_NO_PI | IFF_VNET_HDR`.
    pub fd: i32,
    /// Hardware address: of one card, not of a group, and not zero.
    pub mac: [u8; 6],
    /// How fast it may receive.
    pub receive_limit: RateLimit,
    /// How fast it may send.
    pub send_limit: RateLimit,
}

/// How much a device may do. A rate of zero means without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Bytes per second.
    pub bytes_per_s: u64,
    /// Bytes at once, after a rest.
    pub bytes_burst: u64,
    /// Requests or frames per second.
    pub operations_per_s: u64,
    /// Requests or frames at once, after a rest.
    pub operations_burst: u64,
}

/// What a [`RateLimit`] is for: a device of the machine, counted from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limited {
    /// A disk's requests.
    Disk(u8),
    /// The frames a card receives.
    Receive(u8),
    /// The frames a card sends.
    Send(u8),
}

/// Everything that can be asked of a running monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// How is the machine? Answered by [`Response::Status`].
    Status,
    /// Press the power button; the guest decides what it does. Answered by [`Response::Done`].
    PowerButton,
    /// End the machine now, as if its power was cut. Answered by [`Response::Done`], then the
    /// process exits with [`Exit::Stopped`].
    Stop,
    /// Hold a device to another limit from now on. Answered by [`Response::Done`].
    SetLimit {
        /// What to limit.
        limited: Limited,
        /// The new limit.
        limit: RateLimit,
    },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Status`].
    Status(Status),
    /// The request was carried out.
    Done,
    /// The request was refused; the text says why.
    Error(String),
}

/// A machine as its monitor sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Process id of the monitor.
    pub pid: u32,
    /// What the machine does now.
    pub state: State,
    /// Number of virtual processors.
    pub vcpus: u8,
    /// Guest memory.
    pub memory_mib: u32,
    /// Time since the monitor started.
    pub uptime_ms: u64,
    /// Bytes the guest has written to its console since the start.
    pub console_bytes: u64,
    /// What the monitor has counted.
    pub counters: Counters,
}

/// Why a monitor ended: its process exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Exit {
    /// The guest switched its power off.
    PoweredOff = 0,
    /// The guest asked for a reset; start a new monitor to carry it out.
    Reset = 10,
    /// The guest did what no processor can go on after: a triple fault, or code where devices are.
    Crashed = 11,
    /// [`Request::Stop`] or a termination signal.
    Stopped = 12,
    /// Arguments or configuration are wrong: the same start will fail again.
    BadConfig = 64,
    /// The kernel or a disk cannot be used.
    BadImage = 65,
    /// This machine has no usable KVM.
    NoKvm = 69,
    /// The monitor failed.
    Internal = 70,
}

impl Exit {
    /// All the ways to end.
    pub const ALL: [Exit; 8] = [
        Exit::PoweredOff,
        Exit::Reset,
        Exit::Crashed,
        Exit::Stopped,
        Exit::BadConfig,
        Exit::BadImage,
        Exit::NoKvm,
        Exit::Internal,
    ];

    /// The process exit code.
    #[must_use]
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The meaning of a process exit code, if it is one of ours.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Exit> {
        Exit::ALL.into_iter().find(|exit| exit.code() == code)
    }
}

/// What travels between agent and monitor.
pub trait Message: Serialize + DeserializeOwned + sealed::Sealed {
    /// What it is, for error messages.
    const NAME: &'static str;
}

impl Message for MachineConfig {
    const NAME: &'static str = "machine configuration";
}

impl Message for Request {
    const NAME: &'static str = "control request";
}

impl Message for Response {
    const NAME: &'static str = "control response";
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::MachineConfig {}
    impl Sealed for super::Request {}
    impl Sealed for super::Response {}
}

/// Encodes a message with its version byte.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, Error> {
    let bytes = postcard::to_extend(message, vec![VERSION]).map_err(Error::Encoding)?;
    check_size::<M>(bytes.len())?;
    Ok(bytes)
}

/// Decodes a message: size first, then version, then content; nothing may follow it.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, Error> {
    check_size::<M>(bytes.len())?;
    let body = match bytes.split_first() {
        Some((&VERSION, body)) => body,
        other => return Err(Error::Version { found: other.map(|(&version, _)| version) }),
    };
    let (message, rest) = postcard::take_from_bytes(body).map_err(Error::Encoding)?;
    if !rest.is_empty() {
        return Err(Error::TrailingBytes { size_bytes: rest.len() });
    }
    Ok(message)
}

fn check_size<M: Message>(size_bytes: usize) -> Result<(), Error> {
    if size_bytes > MESSAGE_SIZE_BYTES_MAX {
        return Err(Error::TooLarge {
            what: M::NAME,
            size_bytes,
            size_bytes_max: MESSAGE_SIZE_BYTES_MAX,
        });
    }
    Ok(())
}

impl MachineConfig {
    /// Checks every limit, so that the rest of the monitor need not.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Config(reason));
        if !(1..=VCPUS_MAX).contains(&self.vcpus) {
            return refuse(format!("vcpus is {}, must be 1 to {VCPUS_MAX}", self.vcpus));
        }
        if !(MEMORY_MIB_MIN..=MEMORY_MIB_MAX).contains(&self.memory_mib) {
            return refuse(format!(
                "memory_mib is {}, must be {MEMORY_MIB_MIN} to {MEMORY_MIB_MAX}",
                self.memory_mib
            ));
        }
        if self.cmdline.len() > CMDLINE_SIZE_BYTES_MAX {
            return refuse(format!(
                "cmdline has {} bytes, at most {CMDLINE_SIZE_BYTES_MAX} are allowed",
                self.cmdline.len()
            ));
        }
        if !self.cmdline.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return refuse("cmdline must be printable ASCII".into());
        }
        if self.disks.len() > DISKS_MAX {
            return refuse(format!("{} disks, at most {DISKS_MAX} fit", self.disks.len()));
        }
        if let Some(disk) = self.disks.iter().find(|disk| !disk.serial_is_valid()) {
            return refuse(format!(
                "disk serial {:?} must be at most {DISK_SERIAL_SIZE_BYTES_MAX} printable ASCII \
                 characters without spaces",
                disk.serial
            ));
        }
        if self.cards.len() > CARDS_MAX {
            return refuse(format!("{} cards, at most {CARDS_MAX} fit", self.cards.len()));
        }
        if let Some(card) = self.cards.iter().find(|card| !card.mac_is_valid()) {
            return refuse(format!("{:02x?} is no hardware address of a card", card.mac));
        }
        self.validate_descriptors()
    }

    /// Each descriptor is used for one thing: two owners of one number would close it twice.
    fn validate_descriptors(&self) -> Result<(), Error> {
        let mut fds = vec![self.kernel_fd, self.status_fd, self.control_fd];
        fds.extend(self.disks.iter().map(|disk| disk.fd));
        fds.extend(self.cards.iter().map(|card| card.fd));
        fds.sort_unstable();
        if fds.iter().any(|&fd| fd <= 2) {
            return Err(Error::Config("a descriptor is negative or a standard stream".into()));
        }
        if fds.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::Config("a descriptor is named twice".into()));
        }
        Ok(())
    }

    /// Writes the configuration to a sealed memory file, to be inherited by the monitor.
    ///
    /// The descriptor is close-on-exec: the spawner clears that between fork and exec.
    pub fn to_memory_file(&self) -> Result<OwnedFd, Error> {
        self.validate()?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("aleph-vmm-config", flags)
            .map_err(Error::io("create the configuration's memory file"))?;
        let mut file = File::from(fd);
        file.write_all(&encode(self)?).map_err(Error::io("write the configuration"))?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).map_err(Error::io("seal the configuration"))?;
        Ok(file.into())
    }

    /// Reads and validates a configuration from the start of a file.
    pub fn from_file(file: &File) -> Result<MachineConfig, Error> {
        // One byte more than allowed, so that too large a file is seen as such.
        let mut bytes = vec![0; MESSAGE_SIZE_BYTES_MAX + 1];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read the configuration")(error)),
            }
        }
        let config: MachineConfig = decode(&bytes[..filled])?;
        config.validate()?;
        Ok(config)
    }
}

impl Disk {
    fn serial_is_valid(&self) -> bool {
        self.serial.len() <= DISK_SERIAL_SIZE_BYTES_MAX
            && self.serial.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl Card {
    fn mac_is_valid(&self) -> bool {
        let group = self.mac[0] & 1 != 0;
        !group && self.mac != [0; 6]
    }
}

/// The agent's side of the control socket. Calls block up to the given time-out.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

impl Client {
    /// Connects to the monitor that listens at `path`. Each later send and receive may take
    /// `timeout`.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Client, Error> {
        let address = SocketAddrUnix::new(path).map_err(Error::io("name the control socket"))?;
        let socket = seqpacket_socket()?;
        // The send time-out also bounds connect(2) to a monitor whose backlog is full.
        for side in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&socket, side, Some(timeout))
                .map_err(Error::io("set the control socket's time-out"))?;
        }
        rustix::net::connect(&socket, &address)
            .map_err(Error::io("connect to the monitor's control socket"))?;
        Ok(Client { socket })
    }

    /// Sends one request and waits for its answer.
    pub fn request(&mut self, request: &Request) -> Result<Response, Error> {
        send(self.socket.as_fd(), request)?;
        receive(self.socket.as_fd())?.ok_or(Error::ConnectionClosed)
    }
}

/// Makes the listening control socket at `path`. A file of that name must not exist.
pub fn listen(path: &Path) -> Result<OwnedFd, Error> {
    let address = SocketAddrUnix::new(path).map_err(Error::io("name the control socket"))?;
    let socket = seqpacket_socket()?;
    rustix::net::bind(&socket, &address).map_err(Error::io("bind the control socket"))?;
    rustix::net::listen(&socket, BACKLOG).map_err(Error::io("listen on the control socket"))?;
    Ok(socket)
}

/// Sends one message as one packet.
pub fn send<M: Message>(socket: BorrowedFd<'_>, message: &M) -> Result<(), Error> {
    let bytes = encode(message)?;
    // A packet socket takes all or nothing. NOSIGNAL: a peer that went away is an error, not a
    // signal.
    rustix::io::retry_on_intr(|| rustix::net::send(socket, &bytes, SendFlags::NOSIGNAL))
        .map_err(Error::io("send on the control socket"))?;
    Ok(())
}

/// Receives one message; nothing if the other side has closed the connection.
pub fn receive<M: Message>(socket: BorrowedFd<'_>) -> Result<Option<M>, Error> {
    let mut bytes = vec![0; MESSAGE_SIZE_BYTES_MAX];
    // TRUNC reports a packet's full size, so that one over the limit is refused, not cut.
    let (_, size_bytes) = rustix::io::retry_on_intr(|| {
        rustix::net::recv(socket, bytes.as_mut_slice(), RecvFlags::TRUNC)
    })
    .map_err(Error::io("receive on the control socket"))?;
    if size_bytes == 0 {
        return Ok(None);
    }
    check_size::<M>(size_bytes)?;
    decode(&bytes[..size_bytes]).map(Some)
}

fn seqpacket_socket() -> Result<OwnedFd, Error> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(Error::io("create the control socket"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn card(fd: i32, mac: [u8; 6]) -> Card {
        let limit = RateLimit { bytes_per_s: 1, ..RateLimit::default() };
        Card { fd, mac, receive_limit: limit, send_limit: RateLimit::default() }
    }

    fn config() -> MachineConfig {
        MachineConfig {
            vcpus: 2,
            memory_mib: 256,
            cmdline: "console=ttyS0 root=/dev/vda rw".into(),
            kernel_fd: 3,
            disks: vec![Disk {
                fd: 4,
                read_only: false,
                serial: "root".into(),
                limit: RateLimit::default(),
            }],
            cards: vec![card(7, [2, 0, 0, 0, 0, 1])],
            status_fd: 5,
            control_fd: 6,
        }
    }

    fn any_config() -> impl Strategy<Value = MachineConfig> {
        let disk =
            (any::<i32>(), any::<bool>(), ".{0,30}").prop_map(|(fd, read_only, serial)| Disk {
                fd,
                read_only,
                serial,
                limit: RateLimit { operations_burst: 7, ..RateLimit::default() },
            });
        let card = any::<(i32, [u8; 6])>().prop_map(|(fd, mac)| self::card(fd, mac));
        (
            any::<(u8, u32, i32, i32, i32)>(),
            ".{0,200}",
            proptest::collection::vec(disk, 0..DISKS_MAX + 2),
            proptest::collection::vec(card, 0..CARDS_MAX + 2),
        )
            .prop_map(
                |((vcpus, memory_mib, kernel_fd, status_fd, control_fd), cmdline, disks, cards)| {
                    MachineConfig {
                        vcpus,
                        memory_mib,
                        cmdline,
                        kernel_fd,
                        disks,
                        cards,
                        status_fd,
                        control_fd,
                    }
                },
            )
    }

    #[test]
    fn configuration_survives_its_memory_file() {
        let fd = config().to_memory_file().unwrap();
        let mut file = File::from(fd);
        assert_eq!(MachineConfig::from_file(&file).unwrap(), config());
        assert!(file.write_all(b"x").is_err(), "the file must be sealed");
    }

    #[test]
    fn configuration_limits_are_refused() {
        let broken: [fn(&mut MachineConfig); 15] = [
            |c| c.vcpus = 0,
            |c| c.vcpus = VCPUS_MAX + 1,
            |c| c.memory_mib = MEMORY_MIB_MIN - 1,
            |c| c.memory_mib = MEMORY_MIB_MAX + 1,
            |c| c.cmdline = "x".repeat(CMDLINE_SIZE_BYTES_MAX + 1),
            |c| c.cmdline = "a\0b".into(),
            |c| c.disks = vec![c.disks[0].clone(); DISKS_MAX + 1],
            |c| c.disks[0].serial = "x".repeat(DISK_SERIAL_SIZE_BYTES_MAX + 1),
            |c| c.disks[0].serial = "a b".into(),
            |c| c.cards = vec![c.cards[0].clone(); CARDS_MAX + 1],
            |c| c.cards[0].mac = [0; 6],
            |c| c.cards[0].mac[0] |= 1,
            |c| c.cards[0].fd = c.disks[0].fd,
            |c| c.kernel_fd = 2,
            |c| c.status_fd = c.control_fd,
        ];
        config().validate().unwrap();
        for breaks in broken {
            let mut config = config();
            breaks(&mut config);
            assert!(matches!(config.validate(), Err(Error::Config(_))), "{config:?}");
        }
    }

    #[test]
    fn other_versions_and_trailing_bytes_are_refused() {
        let mut bytes = encode(&Request::Stop).unwrap();
        assert_eq!(bytes, [VERSION, 2], "the wire format is fixed");
        bytes.push(0);
        assert!(matches!(decode::<Request>(&bytes), Err(Error::TrailingBytes { size_bytes: 1 })));
        bytes[0] = VERSION + 1;
        assert!(matches!(decode::<Request>(&bytes), Err(Error::Version { .. })));
        assert!(matches!(decode::<Request>(&[]), Err(Error::Version { found: None })));
        let huge = vec![VERSION; MESSAGE_SIZE_BYTES_MAX + 1];
        assert!(matches!(decode::<Request>(&huge), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn a_response_over_the_limit_is_not_sent() {
        let response = Response::Error("x".repeat(MESSAGE_SIZE_BYTES_MAX));
        assert!(matches!(encode(&response), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn exit_codes_have_one_meaning_each() {
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), Some(exit));
        }
        assert_eq!(Exit::from_code(1), None);
    }

    #[test]
    fn client_and_listener_exchange_packets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let listener = listen(&path).unwrap();
        let server = std::thread::spawn(move || {
            let connection = rustix::net::accept(&listener).unwrap();
            let request: Request = receive(connection.as_fd()).unwrap().unwrap();
            assert_eq!(request, Request::PowerButton);
            send(connection.as_fd(), &Response::Done).unwrap();
            assert!(receive::<Request>(connection.as_fd()).unwrap().is_some());
            // Closing instead of answering.
        });
        let mut client = Client::connect(&path, Duration::from_secs(10)).unwrap();
        assert_eq!(client.request(&Request::PowerButton).unwrap(), Response::Done);
        assert!(matches!(client.request(&Request::Status), Err(Error::ConnectionClosed)));
        server.join().unwrap();
    }

    #[test]
    fn a_packet_over_the_limit_is_refused_not_cut() {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let huge = vec![VERSION; MESSAGE_SIZE_BYTES_MAX + 1];
        rustix::net::send(&theirs, &huge, SendFlags::NOSIGNAL).unwrap();
        assert!(matches!(receive::<Request>(ours.as_fd()), Err(Error::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn configurations_round_trip(config in any_config()) {
            let bytes = encode(&config).unwrap();
            prop_assert_eq!(decode::<MachineConfig>(&bytes).unwrap(), config.clone());
            // Whatever the values: a verdict, never a panic.
            let _ = config.validate();
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut versioned = vec![VERSION];
            versioned.extend(&bytes);
            for input in [&bytes, &versioned] {
                if let Ok(message) = decode::<Response>(input) {
                    // What is accepted is what its encoding says again.
                    prop_assert_eq!(decode::<Response>(&encode(&message).unwrap()).unwrap(), message);
                }
                let _ = decode::<Request>(input);
                let _ = decode::<MachineConfig>(input);
            }
        }

        #[test]
        fn truncated_configurations_are_refused(cut in 1usize..60) {
            let bytes = encode(&config()).unwrap();
            let cut = cut.min(bytes.len());
            prop_assert!(decode::<MachineConfig>(&bytes[..bytes.len() - cut]).is_err());
        }
    }
}

//! The start, from the kernel's first instruction of ours to the main loop.

use std::{convert::Infallible, fs, path::Path, time::Duration};

use rustix::system::{RebootCommand, reboot, sethostname};

use crate::{
    clock,
    config::{MachineConfig, TimeConfig},
    console::{self, say},
    debug::DebugConsole,
    disk::{
        self,
        volume::{self, PlainVolume},
    },
    error::{Context, Error, Result},
    image::ImageInfo,
    loader::ModuleLoader,
    main_loop::{self, MainLoop},
    mounts,
    network::{Network, NetworkStatus},
    root, seed, shutdown,
    status::StatusBlock,
    watchdog::Watchdog,
};

const NEW_ROOT: &str = "/newroot";
const DEFAULT_HOSTNAME: &str = "aleph-node";

/// Runs the machine. Does not come back.
pub fn run() -> ! {
    shutdown::reboot_on_panic();
    match start() {
        Err(error) => shutdown::fatal(&error.to_string()),
    }
}

fn start() -> Result<Infallible> {
    // Before any thread: each inherits the mask.
    main_loop::handled_signals().thread_block().while_trying(|| "block signals".to_owned())?;
    mounts::early();
    console::open_all();
    say!("starting, Linux {}", rustix::system::uname().release().to_string_lossy());

    enter_root()?;
    let image = ImageInfo::read();
    let floor_epoch_s = image.as_ref().map_or(0, |image| image.source_date_epoch);
    clock::raise_to(floor_epoch_s);

    let loader = load_modules();
    mounts::late();
    let watchdog = Watchdog::arm_for_boot();
    // Ctrl-Alt-Del becomes a signal to us instead of an immediate reset.
    let _ = reboot(RebootCommand::CadOff);

    let boot_disk = disk::wait_for_boot_disk().map_err(|error| error.to_string());
    let (seed_source, seed) = seed::find(boot_disk.as_ref().ok());
    seed::publish(&seed)?;
    let config = machine_config(&seed);
    let hostname = config.hostname.as_ref().map_or(DEFAULT_HOSTNAME, |name| name.as_str());
    sethostname(hostname.as_bytes()).while_trying(|| "set the host name".to_owned())?;

    let offered_name = config.hostname.as_ref().map(|name| name.as_str().to_owned());
    let network = Network::start(config.network.clone(), offered_name)
        .while_trying(|| "start the network thread".to_owned())?;
    keep_time(&network, config.time.clone(), floor_epoch_s)?;

    let data = volume::mount_data(boot_disk.as_ref().map_err(Clone::clone), &PlainVolume);
    let tpm_present = Path::new("/dev/tpmrm0").exists();
    if !tpm_present {
        say!("DEGRADED: no TPM 2.0 (/dev/tpmrm0) was found, this machine cannot prove itself");
    }
    let watchdog = watchdog.and_then(|watchdog| watchdog.enter_main_loop(&config.watchdog));
    let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let debug_console = DebugConsole::open(&command_line);
    let (watchdog_armed, debug_open) = (watchdog.is_some(), debug_console.is_some());
    let hostname = hostname.to_owned();

    let main_loop = MainLoop {
        network,
        loader,
        watchdog,
        debug_console,
        agent_output: console::forwarder()
            .while_trying(|| "start the console thread".to_owned())?,
        on_boot_finished: Box::new(move |network| {
            let block = StatusBlock {
                image: image.as_ref(),
                hostname: &hostname,
                network: &network.status(),
                tpm_present,
                data: &data,
                seed: seed_source,
                watchdog_armed,
                debug_console: debug_open,
            };
            console::line(&block.to_string());
        }),
    };
    let goal = main_loop.run().while_trying(|| "run the main loop".to_owned())?;
    shutdown::finish(goal)
}

/// From the initramfs into the EROFS root.
fn enter_root() -> Result<()> {
    match ModuleLoader::open() {
        Ok(mut loader) => loader.load_always(),
        Err(error) => say!("{error}; going on with what the kernel has built in"),
    }
    fs::create_dir_all(NEW_ROOT).while_trying(|| format!("create {NEW_ROOT}"))?;
    let how = root::mount_image(root::IMAGE_PATH, NEW_ROOT)?;
    mounts::switch_root(NEW_ROOT)?;
    say!("root mounted ({how})");
    Ok(())
}

/// Without drivers there may be no disk and no network, but there is a console to say so.
fn load_modules() -> Option<ModuleLoader> {
    match ModuleLoader::open() {
        Ok(mut loader) => {
            loader.load_always();
            loader.coldplug();
            say!("{} modules loaded", loader.loaded_count());
            Some(loader)
        }
        Err(error) => {
            say!("DEGRADED: {error}");
            None
        }
    }
}

/// A wrong `[machine]` table must not take the machine off the network: the defaults let the
/// operator reach it. The agent refuses the same file, and says so.
fn machine_config(seed: &[u8]) -> MachineConfig {
    MachineConfig::from_seed(seed).unwrap_or_else(|error| {
        say!("DEGRADED: {error}");
        say!("the defaults are used for [machine]");
        MachineConfig::default()
    })
}

/// Asks for the time as long as the machine runs, on a thread of its own.
fn keep_time(network: &Network, config: TimeConfig, floor_epoch_s: u64) -> Result<()> {
    let network = network.clone();
    let run = move || {
        loop {
            let known = |status: &NetworkStatus| {
                status.is_online() && !(config.ntp.is_empty() && status.ntp.is_empty())
            };
            let offered = network.wait_until(known).ntp;
            let servers = if config.ntp.is_empty() {
                offered.iter().map(ToString::to_string).collect()
            } else {
                config.ntp.clone()
            };
            let known = clock::synchronise(&servers, floor_epoch_s);
            let pause: Duration = if known { clock::POLL_INTERVAL } else { clock::RETRY_INTERVAL };
            std::thread::sleep(pause);
        }
    };
    std::thread::Builder::new()
        .name("clock".to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|source| Error::System { action: "start the clock thread".to_owned(), source })
}

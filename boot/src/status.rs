//! The block that a person at the console looks for.

use std::fmt;

use crate::{disk::volume::DataState, image::ImageInfo, network::NetworkStatus, seed::SeedSource};

/// The agent's port unless its configuration says otherwise.
const API_PORT: u16 = 8443;

/// Everything that the block tells.
pub(crate) struct StatusBlock<'a> {
    /// The image, if it says what it is.
    pub image: Option<&'a ImageInfo>,
    /// The machine's name.
    pub hostname: &'a str,
    /// Addresses and links.
    pub network: &'a NetworkStatus,
    /// Whether a TPM was found.
    pub tpm_present: bool,
    /// Where `/data` is.
    pub data: &'a DataState,
    /// Where the configuration came from.
    pub seed: SeedSource,
    /// Whether the hardware watchdog is armed.
    pub watchdog_armed: bool,
    /// Whether the debug console is open.
    pub debug_console: bool,
}

impl fmt::Display for StatusBlock<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RULE: &str = "------------------------------------------------------------";
        let mut row =
            |name: &str, value: &dyn fmt::Display| writeln!(formatter, "{name:<10} {value}");
        row(RULE, &"")?;
        match self.image {
            Some(image) => {
                row("version", &format_args!("{} ({})", image.version, image.profile))?;
            }
            None => row("version", &"unknown: the image does not say")?,
        }
        row("hostname", &self.hostname)?;
        if self.network.addresses.is_empty() {
            let links = self.network.links.join(", ");
            let links = if links.is_empty() { "no link was found".to_owned() } else { links };
            row("address", &format_args!("none yet ({links})"))?;
        }
        for (link, address) in &self.network.addresses {
            row("address", &format_args!("{address} ({link})"))?;
        }
        for (_, address) in &self.network.addresses {
            let url = std::net::SocketAddr::new(*address, API_PORT);
            row("node API", &format_args!("https://{url}/"))?;
        }
        row(
            "TPM",
            if self.tpm_present { &"present" } else { &"ABSENT: this machine cannot prove itself" },
        )?;
        match self.data {
            DataState::Disk { device, size_bytes } => {
                row("data", &format_args!("{}, {} MiB", device.display(), size_bytes >> 20))?;
            }
            DataState::Memory => row("data", &"IN MEMORY: lost at restart")?,
        }
        row("config", &self.seed)?;
        row("watchdog", if self.watchdog_armed { &"armed" } else { &"none" })?;
        if self.debug_console {
            row("debug", &"TEST CONSOLE OPEN on ttyS1: not for production")?;
        }
        row(RULE, &"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_names_what_is_degraded() {
        let network = NetworkStatus {
            addresses: vec![
                ("eth0".to_owned(), "192.0.2.9".parse().unwrap()),
                ("eth0".to_owned(), "2001:db8::9".parse().unwrap()),
            ],
            ..NetworkStatus::default()
        };
        let text = StatusBlock {
            image: None,
            hostname: "node-7",
            network: &network,
            tpm_present: false,
            data: &DataState::Memory,
            seed: SeedSource::FwCfg,
            watchdog_armed: true,
            debug_console: false,
        }
        .to_string();
        for expected in [
            "https://192.0.2.9:8443/",
            "https://[2001:db8::9]:8443/",
            "ABSENT",
            "IN MEMORY",
            "fw_cfg",
            "armed",
        ] {
            assert!(text.contains(expected), "{text} lacks {expected}");
        }
        assert!(!text.contains("TEST CONSOLE"));
    }
}

//! The power button, on whichever input device it is.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    os::{fd::AsFd, fd::BorrowedFd, unix::fs::OpenOptionsExt},
    path::Path,
};

const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// `struct input_event` on 64-bit machines: 16 bytes of time, type, code, value.
const EVENT_BYTES: usize = 24;

/// Every input device that has a power key.
#[derive(Default)]
pub(crate) struct PowerButtons {
    devices: Vec<(String, File)>,
}

impl PowerButtons {
    /// Opens those that are there now.
    pub(crate) fn open() -> Self {
        let mut buttons = Self::default();
        let names = fs::read_dir("/sys/class/input").into_iter().flatten().flatten();
        for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
            buttons.add(&name);
        }
        buttons
    }

    /// Opens one by its name, such as `event3`, if it has a power key.
    pub(crate) fn add(&mut self, name: &str) {
        let known = self.devices.iter().any(|(known, _)| known == name);
        if known || !name.starts_with("event") || !has_power_key(name) {
            return;
        }
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(Path::new("/dev/input").join(name));
        if let Ok(device) = opened {
            self.devices.push((name.to_owned(), device));
        }
    }

    /// Readable when a key was touched.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.devices.iter().map(|(_, device)| device.as_fd())
    }

    /// Reads what came in: whether the power key was pressed. A device that is gone is dropped.
    pub(crate) fn pressed(&mut self) -> bool {
        let mut pressed = false;
        self.devices.retain_mut(|(_, device)| {
            let mut events = [0; EVENT_BYTES * 32];
            loop {
                match device.read(&mut events) {
                    Ok(0) => return false,
                    Ok(length) => pressed |= has_power_press(&events[..length]),
                    Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
                }
            }
        });
        pressed
    }
}

fn has_power_key(name: &str) -> bool {
    let path = format!("/sys/class/input/{name}/device/capabilities/key");
    fs::read_to_string(path).is_ok_and(|bitmap| bit_is_set(&bitmap, KEY_POWER))
}

/// 64-bit words in hexadecimal, the highest first.
fn bit_is_set(bitmap: &str, bit: u16) -> bool {
    let word = bitmap.split_whitespace().rev().nth(usize::from(bit / 64));
    word.and_then(|word| u64::from_str_radix(word, 16).ok())
        .is_some_and(|word| word >> (bit % 64) & 1 == 1)
}

fn has_power_press(events: &[u8]) -> bool {
    const PRESSED: i32 = 1;
    events.chunks_exact(EVENT_BYTES).any(|event| {
        u16::from_ne_bytes([event[16], event[17]]) == EV_KEY
            && u16::from_ne_bytes([event[18], event[19]]) == KEY_POWER
            && i32::from_ne_bytes([event[20], event[21], event[22], event[23]]) == PRESSED
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bitmap_of_an_acpi_button_has_the_power_key() {
        assert!(bit_is_set("10000000000000 0\n", KEY_POWER));
        assert!(!bit_is_set("10000000000000\n", KEY_POWER));
        assert!(!bit_is_set("0 ffffffffffffffff\n", KEY_POWER));
        assert!(!bit_is_set("\n", KEY_POWER));
    }

    #[test]
    fn a_press_is_told_from_a_release_and_other_keys() {
        let event = |kind: u16, code: u16, value: i32| {
            let mut bytes = vec![0; 16];
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(&code.to_ne_bytes());
            bytes.extend_from_slice(&value.to_ne_bytes());
            bytes
        };
        assert!(has_power_press(&[event(0, 0, 0), event(1, 116, 1)].concat()));
        assert!(!has_power_press(&event(1, 116, 0)));
        assert!(!has_power_press(&event(1, 30, 1)));
        assert!(!has_power_press(&event(1, 116, 1)[..23]));
    }
}

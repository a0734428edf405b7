//! The power registers: sleep, reset, and the event that tells of a pressed power button.
//!
//! Four byte-wide ports, described to the guest by the ACPI tables.

/// Port of the sleep control register, from the device's first port.
pub const SLEEP_CONTROL_OFFSET: u16 = 0;
/// Port of the sleep status register.
pub const SLEEP_STATUS_OFFSET: u16 = 1;
/// Port of the reset register.
pub const RESET_OFFSET: u16 = 2;
/// Port of the event register: reading clears it.
pub const EVENT_OFFSET: u16 = 3;

/// What the guest writes to reset the machine.
pub const RESET_VALUE: u8 = 0xa5;
/// The sleep type of the off state.
pub const SLEEP_TYPE_OFF: u8 = 5;
/// Event bit: the power button was pressed.
pub const EVENT_POWER_BUTTON: u8 = 1;

/// Sleep control: bits 2 to 4 are the type, bit 5 starts the sleep.
const SLEEP_ENABLE: u8 = 1 << 5;

/// What a write to the registers asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Switch the machine off.
    PowerOff,
    /// Reset the machine.
    Reset,
}

/// State of the power registers.
#[derive(Debug, Default)]
pub struct Power {
    events: u8,
}

impl Power {
    /// Records that the power button was pressed. The caller raises the interrupt.
    pub fn press_button(&mut self) {
        self.events |= EVENT_POWER_BUTTON;
    }

    /// The guest reads a port. Nothing sleeps here, so the status register is always clear.
    pub fn read(&mut self, offset: u16) -> u8 {
        match offset {
            EVENT_OFFSET => std::mem::take(&mut self.events),
            _ => 0,
        }
    }

    /// The guest writes a port.
    #[must_use]
    pub fn write(&mut self, offset: u16, value: u8) -> Option<Action> {
        match offset {
            SLEEP_CONTROL_OFFSET if value == SLEEP_ENABLE | (SLEEP_TYPE_OFF << 2) => {
                Some(Action::PowerOff)
            }
            RESET_OFFSET if value == RESET_VALUE => Some(Action::Reset),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_values_end_the_machine() {
        let mut power = Power::default();
        for offset in 0..=u16::from(u8::MAX) {
            for value in 0..=u8::MAX {
                let expected = match (offset, value) {
                    (SLEEP_CONTROL_OFFSET, 0x34) => Some(Action::PowerOff),
                    (RESET_OFFSET, RESET_VALUE) => Some(Action::Reset),
                    _ => None,
                };
                assert_eq!(power.write(offset, value), expected);
            }
        }
    }

    #[test]
    fn a_pressed_button_is_read_once() {
        let mut power = Power::default();
        assert_eq!(power.read(EVENT_OFFSET), 0);
        power.press_button();
        power.press_button();
        assert_eq!(power.read(SLEEP_STATUS_OFFSET), 0);
        assert_eq!(power.read(EVENT_OFFSET), EVENT_POWER_BUTTON);
        assert_eq!(power.read(EVENT_OFFSET), 0);
    }
}

//! The serial port, the guest's console: a 16550 whose output goes to the status page.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_superio::Trigger;
use vm_superio::serial::NoEvents;

use crate::status;

/// The port and its pending interrupt.
pub(crate) struct Serial {
    port: vm_superio::Serial<Edge, NoEvents, Output>,
}

impl Serial {
    /// A port that writes to the status page, and to standard output too if `echo` is set.
    pub(crate) fn new(status: Arc<status::Writer>, echo: bool) -> Serial {
        Serial { port: vm_superio::Serial::new(Edge::default(), Output { status, echo }) }
    }

    /// The guest reads a port.
    pub(crate) fn read(&mut self, offset: u16) -> u8 {
        self.port.read(offset as u8)
    }

    /// The guest writes a port.
    pub(crate) fn write(&mut self, offset: u16, value: u8) {
        // The only failures are those of the sinks, and none of `Output` and `Edge` fails.
        let _ = self.port.write(offset as u8, value);
    }

    /// Whether the port has asked for an interrupt since the last call.
    pub(crate) fn take_interrupt(&self) -> bool {
        self.port.interrupt_evt().0.swap(false, Ordering::Relaxed)
    }
}

/// Remembers that the port wants an interrupt; the bus sends it after the access.
#[derive(Default)]
struct Edge(AtomicBool);

impl Trigger for Edge {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

struct Output {
    status: Arc<status::Writer>,
    echo: bool,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.status.append_console(bytes);
        if self.echo {
            // A reader that went away must not end the machine.
            let _ = io::stdout().write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.echo {
            let _ = io::stdout().flush();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_reaches_the_status_page_and_interrupts_when_enabled() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(status::PAGE_SIZE_BYTES as u64).unwrap();
        let status = Arc::new(status::Writer::new(&file).unwrap());
        let mut serial = Serial::new(status.clone(), false);
        serial.write(0, b'A');
        assert!(!serial.take_interrupt(), "no interrupt was enabled");
        serial.write(1, 0b10);
        assert!(serial.take_interrupt(), "the transmitter is empty");
        assert_eq!(serial.read(2) & 0xf, 0b10, "reading the cause acknowledges it");
        serial.write(0, b'B');
        assert!(serial.take_interrupt());
        assert!(!serial.take_interrupt());
        let console = status::Reader::new(file).console(0, 10).unwrap();
        assert_eq!(console.bytes, b"AB");
        // Ports beyond the eight do not exist, whatever the bus does.
        serial.write(300, 0);
        let _ = serial.read(300);
    }
}

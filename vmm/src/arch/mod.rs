//! What differs from processor to processor: addresses, tables, entry state, interrupts.

mod x86_64;

pub(crate) use x86_64::*;

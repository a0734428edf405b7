//! Storage as a whole, under the accidents that happen to machines.

mod crash;
mod full_disk;

//! The house rules, kept by tests: see `tests/it`.
//!
//! The crate has no code of its own: what it is for is said by ARCHITECTURE.md and checked here.

#![forbid(unsafe_code)]

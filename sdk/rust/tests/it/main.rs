//! The client against nodes that do not do as they should.

mod download;
mod peer;

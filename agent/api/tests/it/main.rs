//! The interface over real TLS, in front of a small node made for the purpose.

mod blobs;
mod client;
mod health;
mod instances;
mod limits;
mod messages;
mod node;

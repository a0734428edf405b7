use std::{io, net::SocketAddr};

/// Why the interface could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: choose another api.listen or stop who uses it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// No key or certificate could be made.
    #[error("cannot make a TLS key and certificate: check that the machine has entropy")]
    Certificate(#[source] rcgen::Error),
    /// The TLS library refuses our own key or parameters.
    #[error("cannot set up TLS: this build is not usable, take another release")]
    Tls(#[source] rustls::Error),
}

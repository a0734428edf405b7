use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// Declares a set of metrics: the field is the name, its one-line doc comment the help text.
///
/// `register` makes the set and puts it into a registry.
#[macro_export]
macro_rules! metric_set {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $(#[doc = $help:literal] $field:ident: $type:ty = $new:expr,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone)]
        $visibility struct $name {
            $(#[doc = $help] pub $field: $type,)+
        }

        impl $name {
            /// A set of metrics that counts from zero, known to the registry.
            $visibility fn register(
                registry: &mut ::prometheus_client::registry::Registry,
            ) -> Self {
                let set = Self { $($field: $new,)+ };
                $(
                    // The exposition format ends every help text with a full stop of its own.
                    let help = $help.trim().trim_end_matches('.');
                    registry.register(stringify!($field), help, set.$field.clone());
                )+
                set
            }
        }
    };
}

/// Which requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern, so that hostile paths make no new series.
    pub route: String,
    /// The method, `other` for what the interface does not use.
    pub method: String,
    /// The status of the answer.
    pub status: u16,
}

/// Which answers are timed together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    /// The route's pattern.
    pub route: String,
}

type RouteSeconds = Family<RouteLabels, Histogram, fn() -> Histogram>;

metric_set! {
    /// What the interface counts.
    pub struct Metrics {
        /// Connections that are open.
        api_connections: Gauge = Gauge::default(),
        /// Connections closed at once because their client had too many.
        api_connections_refused: Counter = Counter::default(),
        /// Connections that ended before their TLS handshake did.
        api_handshake_failures: Counter = Counter::default(),
        /// Answers to requests, by route, method and status.
        api_requests: Family<RequestLabels, Counter> = Family::default(),
        /// Seconds from a request's headers to the answer's, by route.
        api_request_seconds: RouteSeconds = Family::new_with_constructor(request_seconds),
        /// Requests refused because too many were under way.
        api_requests_shed: Counter = Counter::default(),
        /// Bytes of blobs that were stored.
        api_upload_bytes: Counter = Counter::default(),
        /// Bytes of blobs that were sent.
        api_download_bytes: Counter = Counter::default(),
        /// Logs that are being followed.
        api_logs_followed: Gauge = Gauge::default(),
    }
}

fn request_seconds() -> Histogram {
    // From an answer out of memory to a TPM's quote on a slow machine.
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn names_and_help_come_from_the_struct() {
        let mut registry = Registry::with_prefix("aleph");
        let metrics = Metrics::register(&mut registry);
        metrics.api_requests_shed.inc();
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("# HELP aleph_api_connections Connections that are open.\n"));
        assert!(text.contains("aleph_api_requests_shed_total 1\n"), "{text}");
    }
}

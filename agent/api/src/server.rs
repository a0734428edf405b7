use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{
    ApiError, Identity, Metrics, Node,
    clients::{ClientPlace, Clients},
    routes,
    stall::WriteStall,
};

/// What clients may take of the node.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Connections at once of one client, which is an IPv4 address or a /64 of IPv6; more are closed.
    pub connections_per_client_max: usize,
    /// Requests at once that wait for an answer; more are refused.
    pub requests_max: usize,
    /// Uploads at once; more are refused.
    pub uploads_max: usize,
    /// Logs followed at once; more are refused.
    pub follows_max: usize,
    /// The size of a blob.
    pub blob_size_bytes_max: u64,
    /// From the connection to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From one request to the end of the next one's headers.
    pub header_timeout: Duration,
    /// From a request to its answer, uploads apart.
    pub answer_timeout: Duration,
    /// Without a byte of a body read or of an answer taken; and how far an upload may be behind its
    /// least rate.
    pub stall_timeout: Duration,
    /// The least rate of an upload, of which only the time counts in which its sender is waited for.
    pub upload_bytes_per_s_min: u32,
    /// For requests under way when the server stops.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // About 40 KiB each in TLS and HTTP buffers: 10 MiB.
            connections_max: 256,
            // More than any program of ours opens, and eight clients get along.
            connections_per_client_max: 32,
            // An answer comes from memory or one disk read; more at once only grow the queue.
            requests_max: 64,
            // One saturates a disk; a few let a slow sender and a fast one share it.
            uploads_max: 4,
            follows_max: 32,
            blob_size_bytes_max: 64 << 30,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            // A quote of an emulated TPM takes seconds.
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            // Slower than any line that a blob of some size is sent over.
            upload_bytes_per_s_min: 16 << 10,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// The listener, bound and ready to serve.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    limits: Limits,
    metrics: Metrics,
}

impl Server {
    /// Takes the address; clients can connect from now on and are answered by [`Server::serve`].
    pub async fn bind(
        address: SocketAddr,
        identity: Identity,
        limits: Limits,
        metrics: Metrics,
    ) -> Result<Self, ApiError> {
        let tls = identity.server_config()?;
        let listen = |source| ApiError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, tls, limits, metrics })
    }

    /// The address listened on, with the port that the system chose where none was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until told to stop; then takes no connection, lets requests under way end within
    /// [`Limits::drain_timeout`], and returns.
    pub async fn serve(
        self,
        node: Arc<impl Node>,
        registry: Arc<Registry>,
        stop: CancellationToken,
    ) {
        let Self { listener, tls, limits, metrics, .. } = self;
        let app = routes::router(node, registry, metrics.clone(), limits, stop.clone());
        let acceptor = TlsAcceptor::from(tls);
        let door = Door {
            listener,
            places: Arc::new(Semaphore::new(limits.connections_max)),
            clients: Clients::new(limits.connections_per_client_max),
            metrics: metrics.clone(),
        };
        let tasks = TaskTracker::new();

        // Nothing once it is time to stop.
        while let Some((stream, place)) = stop.run_until_cancelled(door.admit()).await.flatten() {
            let connection = Connection {
                acceptor: acceptor.clone(),
                app: app.clone(),
                limits,
                metrics: metrics.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(async move {
                connection.metrics.api_connections.inc();
                connection.run(stream).await;
                connection.metrics.api_connections.dec();
                drop(place);
            });
        }
        drop(door);
        tasks.close();
        tasks.wait().await;
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Lets connections in.
struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
    clients: Clients,
    metrics: Metrics,
}

/// What a connection holds as long as it is open.
type Place = (OwnedSemaphorePermit, ClientPlace);

impl Door {
    /// The next connection, when there is a place for it. One whose client has too many is closed:
    /// it would wait where others wait, and before them.
    async fn admit(&self) -> Option<(TcpStream, Place)> {
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.ok()?;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => match self.clients.admit(peer.ip()) {
                    Some(of_client) => return Some((stream, (place, of_client))),
                    None => {
                        self.metrics.api_connections_refused.inc();
                        debug!(%peer, "closed a connection: its client has too many");
                    }
                },
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    // No file descriptors or memory: connections have to end first.
                    warn!(%error, "cannot accept connections; waiting");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The peer went away before it was accepted: nothing is wrong here.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    acceptor: TlsAcceptor,
    app: Router,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Connection {
    async fn run(&self, stream: TcpStream) {
        // Answers are small and written whole: waiting for more to send only delays them.
        stream.set_nodelay(true).ok();
        let handshake = timeout(self.limits.handshake_timeout, self.acceptor.accept(stream));
        let stream = match self.stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => {
                self.metrics.api_handshake_failures.inc();
                debug!(%error, "a TLS handshake failed");
                return;
            }
            Some(Err(_)) => {
                self.metrics.api_handshake_failures.inc();
                return;
            }
            None => return,
        };

        let io = TokioIo::new(WriteStall::new(stream, self.limits.stall_timeout));
        let service = TowerToHyperService::new(self.app.clone());
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.header_timeout)
                .max_headers(HEADERS_MAX)
                .max_buf_size(BUFFER_BYTES_MAX)
                .serve_connection(io, service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let Ok(ended) = timeout(self.limits.drain_timeout, connection).await else {
                    debug!("a request was cut off: the server stops");
                    return;
                };
                ended
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection ended early");
        }
    }
}

/// While nothing can be accepted; long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Clients of ours send about ten.
const HEADERS_MAX: usize = 64;
/// For headers and for a piece of a body.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

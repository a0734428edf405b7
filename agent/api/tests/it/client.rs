use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use aleph_api::{Identity, Limits, Metrics, Server};
use aleph_types::{Digest, api::Problem};
use prometheus_client::registry::Registry;
use reqwest::{Certificate, Client, RequestBuilder, Response};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::node::TestNode;

/// A server of one test and a client that trusts exactly its key.
pub(crate) struct Harness {
    pub(crate) node: Arc<TestNode>,
    pub(crate) address: SocketAddr,
    pub(crate) spki_sha256: Digest,
    pub(crate) stop: CancellationToken,
    pub(crate) client: Client,
    certificate: Vec<u8>,
    serving: JoinHandle<()>,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let mut registry = Registry::with_prefix("aleph");
        let metrics = Metrics::register(&mut registry);
        let identity = Identity::generate().unwrap();
        let spki_sha256 = identity.spki_sha256();
        let certificate = identity.certificate_der().to_vec();
        let localhost = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(localhost, identity, limits, metrics).await.unwrap();
        let address = server.local_addr();
        let node = Arc::new(TestNode::default());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(node.clone(), Arc::new(registry), stop.clone()));
        let client = client(&certificate, address, None);
        Self { node, address, spki_sha256, stop, client, certificate, serving }
    }

    /// Another client, with an address of its own.
    pub(crate) fn client_at(&self, own: IpAddr) -> Client {
        client(&self.certificate, self.address, Some(own))
    }

    /// A connection whose handshake is done, and on which nothing was said yet.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.certificate.clone())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = "aleph-node".try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://aleph-node:{}{path}", self.address.port())
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").send().await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))[name.len() + 1..].parse().unwrap()
    }

    /// Stops the server; every connection has ended when this returns.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.serving).await.unwrap().unwrap();
    }
}

fn client(certificate: &[u8], address: SocketAddr, own: Option<IpAddr>) -> Client {
    Client::builder()
        .tls_certs_only([Certificate::from_der(certificate).unwrap()])
        .tls_info(true)
        .resolve("aleph-node", address)
        .local_address(own)
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// The problem that an answer is, with the status that it must have.
pub(crate) async fn problem(response: Response, status: u16) -> Problem {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(problem.status, status);
    assert!(problem.next.as_ref().is_some_and(|next| !next.is_empty()), "{problem:?}");
    problem
}

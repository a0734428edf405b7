//! A node of one answer, which may be a hostile one.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What the node sends to whoever asks for anything.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These bytes, announced by their number.
    Bytes(Vec<u8>),
    /// Bytes without end and unannounced, a piece of this size after every pause.
    Endless(usize, Duration),
}

pub(crate) struct Peer {
    pub(crate) url: String,
    serving: JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let params = CertificateParams::new(vec!["aleph-node".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().into();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    // An error is a client that has seen enough.
                    let _ = serve(stream, &answer).await;
                }
            }
        });
        Self { url, serving }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, answer: &Answer) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    match answer {
        Answer::Bytes(bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(bytes).await?;
            stream.flush().await
        }
        Answer::Endless(piece_bytes, pause) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&vec![7; *piece_bytes]).await?;
                stream.flush().await?;
                sleep(*pause).await;
            }
        }
    }
}

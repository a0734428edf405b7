use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, Write},
    sync::{Mutex, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use aleph_api::{BlobFile, BlobReader, LOG_CHUNK_BYTES_MAX, LogChunk, Node, Refusal, RefusalKind};
use aleph_types::{
    Address, Cid, Digest, JobId, JobStatus, Resources,
    api::{
        BlobInfo, ChainInfo, Condition, InstanceInfo, InstanceState, MessageReceipt, NodeInfo,
        Readiness, Registration,
    },
};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

/// Keeps everything in memory; its one machine prints what a test tells it to.
#[derive(Default)]
pub(crate) struct TestNode {
    pub(crate) ready: AtomicBool,
    pub(crate) slow: AtomicBool,
    blobs: Mutex<BTreeMap<Cid, Vec<u8>>>,
    messages: Mutex<BTreeMap<Digest, Bytes>>,
    console: Mutex<(Vec<u8>, bool)>,
}

pub(crate) const JOB: JobId = JobId(7);

impl TestNode {
    pub(crate) fn print(&self, text: &str) {
        self.console.lock().unwrap().0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn end(&self) {
        self.console.lock().unwrap().1 = true;
    }

    fn machine(&self) -> InstanceInfo {
        InstanceInfo {
            job: JOB,
            job_status: JobStatus::Running,
            manifest: Digest([1; 32]),
            state: InstanceState::Running,
            detail: "its processors run".to_owned(),
            rootfs: None,
            resources: Resources::default(),
            starts: 1,
            monitor_pid: Some(42),
        }
    }
}

impl Node for TestNode {
    fn readiness(&self) -> Readiness {
        let ready = self.ready.load(Ordering::SeqCst);
        let detail = "asked of the test".to_owned();
        Readiness {
            ready,
            conditions: vec![Condition { name: "test".to_owned(), ok: ready, detail }],
        }
    }

    async fn info(&self) -> Result<NodeInfo, Refusal> {
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        Ok(NodeInfo {
            node_id: None,
            version: "0.0.0".to_owned(),
            profile: "host".to_owned(),
            operator: Address([2; 20]),
            owner: None,
            chain: ChainInfo {
                chain_id: 42161,
                head: None,
                registration: Registration::Unknown,
                problem: None,
            },
            capacity: Resources::default(),
            reserved: Resources::default(),
            uptime_s: 1,
        })
    }

    async fn attestation_identity(&self) -> Result<Bytes, Refusal> {
        Err(Refusal::new(RefusalKind::Unavailable, "no TPM").next("enable the TPM"))
    }

    async fn quote(&self, request: Bytes) -> Result<Bytes, Refusal> {
        Ok(request)
    }

    async fn put_blob(
        &self,
        expected: Option<Cid>,
        mut body: BlobReader,
    ) -> Result<BlobInfo, Refusal> {
        let mut bytes = Vec::new();
        let read = body.read_to_end(&mut bytes).await;
        read.map_err(|error| Refusal::new(RefusalKind::Invalid, error.to_string()))?;
        let cid = Cid::of(&bytes);
        if expected.is_some_and(|expected| expected != cid) {
            return Err(Refusal::new(RefusalKind::Conflict, format!("the bytes are {cid}")));
        }
        let size_bytes = bytes.len() as u64;
        self.blobs.lock().unwrap().insert(cid, bytes);
        Ok(BlobInfo { cid, size_bytes })
    }

    async fn open_blob(&self, cid: Cid) -> Result<BlobFile, Refusal> {
        let blobs = self.blobs.lock().unwrap();
        let bytes =
            blobs.get(&cid).ok_or_else(|| Refusal::new(RefusalKind::NotFound, "no blob"))?;
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Ok(BlobFile { file, size_bytes: bytes.len() as u64 })
    }

    async fn put_message(&self, envelope: Bytes) -> Result<MessageReceipt, Refusal> {
        if envelope.is_empty() {
            return Err(Refusal::new(RefusalKind::Invalid, "empty"));
        }
        let item_hash = Cid::of(&envelope).digest();
        self.messages.lock().unwrap().insert(item_hash, envelope);
        Ok(MessageReceipt { item_hash })
    }

    async fn message(&self, item_hash: Digest) -> Result<Bytes, Refusal> {
        let found = self.messages.lock().unwrap().get(&item_hash).cloned();
        found.ok_or_else(|| Refusal::new(RefusalKind::NotFound, "no message"))
    }

    async fn instances(&self) -> Result<Vec<InstanceInfo>, Refusal> {
        Ok(vec![self.machine()])
    }

    async fn instance(&self, job: JobId) -> Result<InstanceInfo, Refusal> {
        if job == JOB {
            return Ok(self.machine());
        }
        Err(Refusal::new(RefusalKind::NotFound, format!("job {job} is not on this node")))
    }

    async fn log(&self, job: JobId, offset: u64) -> Result<LogChunk, Refusal> {
        self.instance(job).await?;
        let console = self.console.lock().unwrap();
        let (printed, ended) = &*console;
        let start = printed.len().min(offset as usize);
        let end = printed.len().min(start + LOG_CHUNK_BYTES_MAX);
        Ok(LogChunk {
            offset: start as u64,
            bytes: printed[start..end].to_vec(),
            ended: *ended && end == printed.len(),
        })
    }
}

use std::{fs, path::Path, time::Duration};

use aleph_sdk::{DownloadLimits, NodeClient, SdkError};
use aleph_types::Cid;

use crate::peer::{Answer, Peer};

const LIMITS: DownloadLimits = DownloadLimits {
    size_bytes_max: 1 << 20,
    bytes_per_s_min: 10_000,
    patience: Duration::from_secs(1),
};

async fn download(answer: Answer, wanted: &[u8], path: &Path) -> Result<u64, SdkError> {
    let peer = Peer::start(answer).await;
    let node = NodeClient::new(&peer.url).unwrap();
    let download = node.download(Cid::of(wanted), path, LIMITS);
    tokio::time::timeout(Duration::from_secs(30), download).await.unwrap()
}

#[tokio::test]
async fn what_was_asked_for_is_there_under_its_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.raw");
    let bytes = vec![3; 1 << 20];
    let size_bytes = download(Answer::Bytes(bytes.clone()), &bytes, &path).await.unwrap();
    assert_eq!(size_bytes, 1 << 20);
    assert!(fs::read(&path).unwrap() == bytes);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[tokio::test]
async fn other_bytes_and_too_many_leave_nothing() {
    let endless = Answer::Endless(100_000, Duration::ZERO);
    let announced = Answer::Bytes(vec![7; (1 << 20) + 1]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.raw");
    // What was there before stays.
    fs::write(&path, b"before").unwrap();
    let error = download(Answer::Bytes(b"other".to_vec()), b"wanted", &path).await.unwrap_err();
    assert!(matches!(error, SdkError::WrongBlob { .. }), "{error}");
    for answer in [endless, announced] {
        let error = download(answer, b"wanted", &path).await.unwrap_err();
        assert!(matches!(error, SdkError::BlobTooLarge { size_bytes_max: 0x10_0000 }), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"before");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[tokio::test]
async fn a_node_that_crawls_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.raw");
    let crawl = Answer::Endless(1, Duration::from_millis(100));
    let error = download(crawl, b"wanted", &path).await.unwrap_err();
    assert!(matches!(error, SdkError::TooSlow { .. }), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

//! A process that stores things is killed at random moments; what it had acknowledged is there
//! afterwards, and nothing else is visible in part.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use aleph_storage::{
    Batch, BlobLimits, BlobOptions, BlobState, Blobs, Scan, Store, StoreOptions, Table,
};
use aleph_types::Cid;
use anyhow::{Context as _, Result, ensure};

const FOLDER_VARIABLE: &str = "ALEPH_STORAGE_CRASH_FOLDER";
const ROUNDS: u64 = 5;
/// Asks for more of them.
const ROUNDS_VARIABLE: &str = "ALEPH_CRASH_ROUNDS";

#[test]
fn nothing_acknowledged_is_lost_and_nothing_partial_is_visible() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut acknowledged = Acknowledged::default();
    let rounds = env::var(ROUNDS_VARIABLE).ok().and_then(|text| text.parse().ok());
    for round in 0..rounds.unwrap_or(ROUNDS) {
        let killed_after = Duration::from_millis(20 + random_below(400));
        println!("round {round}: kill -9 {killed_after:?} after the first acknowledgement");
        acknowledged.extend(run_writer_until_killed(folder.path(), killed_after)?);
        acknowledged.check(folder.path())?;
    }
    ensure!(!acknowledged.rows.is_empty() && !acknowledged.blobs.is_empty(), "no work was done");
    Ok(())
}

/// Not a test by itself: the process that is killed.
#[test]
#[ignore = "started by the test above"]
fn writer() -> Result<()> {
    let folder = env::var_os(FOLDER_VARIABLE).context("started by the test above only")?;
    let (store, blobs) = open(Path::new(&folder))?;
    let first = store.scan(Table::Messages, &Scan::all().rows_max(usize::MAX))?.len() as u64;
    for number in first.. {
        // Two rows that belong together: one without the other would be a torn batch.
        let mut batch = Batch::new();
        batch.put(Table::Messages, number.to_be_bytes(), number.to_be_bytes());
        batch.put(Table::Outbox, number.to_be_bytes(), number.to_be_bytes());
        store.commit(&batch)?;
        println!("row {number}");

        let mut upload = blobs.upload(BlobLimits { size_bytes_max: u64::MAX, expected: None })?;
        for piece in content(number).chunks(64 << 10) {
            upload.write(piece)?;
        }
        println!("blob {number} {}", upload.finish()?.cid);
    }
    Ok(())
}

#[derive(Default)]
struct Acknowledged {
    rows: Vec<u64>,
    blobs: Vec<(u64, Cid)>,
}

impl Acknowledged {
    fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.blobs.extend(other.blobs);
    }

    fn check(&self, folder: &Path) -> Result<()> {
        let (store, blobs) = open(folder)?;
        let scan = Scan::all().rows_max(usize::MAX);
        let jobs = store.scan(Table::Messages, &scan)?;
        ensure!(jobs == store.scan(Table::Outbox, &scan)?, "half a batch is visible");
        for number in &self.rows {
            let key = number.to_be_bytes();
            ensure!(
                store.get(Table::Messages, &key)? == Some(key.to_vec()),
                "row {number} is lost"
            );
        }

        for (number, cid) in &self.blobs {
            let mut bytes = Vec::new();
            crate::open_verified(&blobs, *cid)?.read_to_end(&mut bytes)?;
            ensure!(bytes == content(*number), "blob {number} reads differently");
        }
        let listed = blobs.list(None, usize::MAX)?;
        for info in &listed {
            ensure!(info.state == BlobState::Ready, "{} is marked as damaged", info.cid);
            crate::open_verified(&blobs, info.cid)?;
        }
        ensure!(files(&folder.join("blobs"))? == listed.len(), "files without rows are left over");
        Ok(())
    }
}

fn run_writer_until_killed(folder: &Path, killed_after: Duration) -> Result<Acknowledged> {
    let mut writer = Command::new(env::current_exe()?)
        .args(["crash::writer", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(writer.stdout.take().context("stdout is piped")?).lines();
    let mut acknowledged = Acknowledged::default();
    let mut killer = None;
    for line in &mut lines {
        let line = line?;
        // The harness prints its own words before the writer's, on the same line.
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            [.., "row", number] => acknowledged.rows.push(number.parse()?),
            [.., "blob", number, cid] => acknowledged.blobs.push((number.parse()?, cid.parse()?)),
            _ => continue,
        }
        if killer.is_none() {
            let pid = writer.id().to_string();
            killer = Some(thread::spawn(move || {
                thread::sleep(killed_after);
                Command::new("kill").args(["-9", &pid]).status()
            }));
        }
    }
    let status = writer.wait()?;
    let killer = killer.context("the writer ended before it did anything")?;
    ensure!(killer.join().expect("the killer does not panic")?.success(), "kill failed");
    ensure!(status.code().is_none(), "the writer ended by itself: {status}");
    Ok(acknowledged)
}

fn open(folder: &Path) -> Result<(Store, Blobs)> {
    let store = Store::open(&folder.join("db"), StoreOptions::default())?;
    let options = BlobOptions { floor_bytes: 0 };
    let blobs = Blobs::open(&folder.join("blobs"), store.clone(), options)?;
    Ok((store, blobs))
}

/// Between a few bytes and 2 MiB, so that kills hit every step.
fn content(number: u64) -> Vec<u8> {
    let size_bytes = (number.wrapping_mul(7919) % 33) * (64 << 10) + 8;
    let mut bytes = vec![number as u8; size_bytes as usize];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn files(root: &Path) -> Result<usize> {
    let mut count = 0;
    for folder in root.read_dir()? {
        count += folder?.path().read_dir()?.count();
    }
    Ok(count)
}

fn random_below(bound: u64) -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    u64::from(now.subsec_nanos()) / 7 % bound
}

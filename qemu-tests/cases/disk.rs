//! A data disk that gives back other bytes than were written to it, and then fills up: both are
//! told with what to do, and cost nothing but what they must.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use aleph_devnet::{Machine, MachineOptions, Tpm};
use aleph_sdk::{DownloadLimits, NodeClient, SdkError};
use anyhow::{Context, Result, ensure};

use crate::{paths, power_off_after_one_agent};

const BOOT_TIMEOUT: Duration = Duration::from_secs(240);
/// How long the node may take to notice that its disk is full.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(60);
/// Leaves a little over a hundred mebibytes for blobs.
const DISK_MIB: u64 = 720;
const BLOCK_BYTES: usize = 4096;
const KEPT_BLOCKS: u32 = 256;
const FILL_BYTES_FIRST: u64 = 64 << 20;

#[tokio::test]
async fn a_damaged_block_and_a_full_disk_are_told_and_cost_nothing_else() -> Result<()> {
    let Some((_, paths)) = paths("build", "disk") else { return Ok(()) };
    let _ = fs::remove_dir_all(&paths.folder);
    fs::create_dir_all(&paths.folder)?;
    let options = MachineOptions {
        folder: paths.folder.join("machine"),
        image: paths.image.join("aleph-node.raw"),
        disk_mib: DISK_MIB,
        memory_mib: 1024,
        tpm: Tpm::Absent,
        seed: String::new(),
        port: 0,
    };
    let (kept, got) = (paths.folder.join("kept"), paths.folder.join("got"));
    write_kept(&kept)?;

    let mut machine = Machine::start(options.clone())?;
    machine.wait_for_node(BOOT_TIMEOUT).await?;
    let cid = NodeClient::new(&machine.url())?.upload_file(&kept).await?.cid;
    power_off_after_one_agent(machine)?;
    damage_kept(&options.folder.join("disk.raw"))?;

    let mut machine = Machine::start(options)?;
    machine.wait_for_node(BOOT_TIMEOUT).await?;
    let node = NodeClient::new(&machine.url())?;
    let limits = DownloadLimits::of_size(FILL_BYTES_FIRST);
    let told = node.download(cid, &got, limits).await.unwrap_err().to_string();
    ensure!(told.contains("damaged") && told.contains("upload it again"), "{told}");
    node.upload_file(&kept).await?;
    node.download(cid, &got, limits).await?;

    let told = fill(&node, &paths.folder).await?.to_string();
    ensure!(told.contains("the data disk is full") && told.contains("remove blobs"), "{told}");
    wait_for_full(&node).await?;
    node.download(cid, &got, limits).await?;
    power_off_after_one_agent(machine)
}

/// A file of blocks of which no two are the same, and none is in the image.
fn write_kept(path: &Path) -> Result<()> {
    let blocks: Vec<u8> = (0..KEPT_BLOCKS).flat_map(kept_block).collect();
    fs::write(path, blocks)?;
    Ok(())
}

fn kept_block(number: u32) -> Vec<u8> {
    let line = format!("block {number:8} of a blob that is kept\n");
    line.bytes().cycle().take(BLOCK_BYTES).collect()
}

/// Changes one byte in the middle of the kept file where it lies on the disk of a machine that is
/// off.
fn damage_kept(disk: &Path) -> Result<()> {
    let wanted = kept_block(KEPT_BLOCKS / 2);
    let mut disk = File::options().read(true).write(true).open(disk)?;
    let mut found = None;
    let mut block = vec![0; BLOCK_BYTES];
    let block_count = disk.metadata()?.len() / BLOCK_BYTES as u64;
    for number in 0..block_count {
        disk.read_exact(&mut block)?;
        if block == wanted {
            ensure!(found.is_none(), "the kept file is on the disk twice");
            found = Some(number * BLOCK_BYTES as u64);
        }
    }
    disk.seek(SeekFrom::Start(found.context("the kept file is not on the disk")?))?;
    disk.write_all(b"B")?;
    Ok(())
}

/// Uploads ever smaller files until nothing more is taken, and gives the last refusal.
async fn fill(node: &NodeClient, folder: &Path) -> Result<SdkError> {
    let path = folder.join("filler");
    let mut size_bytes = FILL_BYTES_FIRST;
    let mut number = 0_u32;
    loop {
        number += 1;
        let mut file = File::create(&path)?;
        file.write_all(&number.to_be_bytes())?;
        file.set_len(size_bytes)?;
        match node.upload_file(&path).await {
            Ok(_) => {}
            Err(refusal) if size_bytes == BLOCK_BYTES as u64 => return Ok(refusal),
            Err(_) => size_bytes /= 2,
        }
    }
}

/// The node says itself that its disk is full, and goes on.
async fn wait_for_full(node: &NodeClient) -> Result<()> {
    let deadline = Instant::now() + NOTICE_TIMEOUT;
    loop {
        let readiness = node.readiness().await?;
        let disk = readiness.conditions.iter().find(|condition| condition.name == "disk");
        let disk = disk.context("no condition disk")?;
        if !disk.ok {
            ensure!(disk.detail.contains("remove blobs"), "no word of what to do: {disk:?}");
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "a full disk is not noticed: {disk:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

//! Disks: which one the machine was started from, and its data partition.

pub(crate) mod filesystem;
pub(crate) mod partition_table;
pub(crate) mod volume;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::error::{Error, Result};
use partition_table::{Partition, PartitionTable};

/// The data partition's name in the GPT.
pub(crate) const DATA_PARTITION_NAME: &str = "aleph-data";

/// How long drivers may take to show the disk that the firmware just read from.
const KNOWN_DISK_DEADLINE: Duration = Duration::from_secs(20);

/// How long to look for a disk when it is not known whether there is one (network boot).
const UNKNOWN_DISK_DEADLINE: Duration = Duration::from_secs(4);

/// How long after a disk its partitions may appear.
const PARTITION_DEADLINE: Duration = Duration::from_secs(3);

/// One disk that has a readable GPT.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// The kernel's name, such as `nvme0n1`.
    pub name: String,
    /// Its partitions.
    pub table: PartitionTable,
}

impl Disk {
    /// The device node.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// The EFI system partition, if there is exactly one.
    pub(crate) fn esp(&self) -> Option<&Partition> {
        let mut found = self.table.partitions.iter().filter(|partition| partition.is_esp);
        found.next().filter(|_| found.next().is_none())
    }

    /// The data partition.
    pub(crate) fn data(&self) -> Result<&Partition> {
        let mut named = self.data_partitions();
        match (named.next(), named.next()) {
            (Some(partition), None) => Ok(partition),
            (None, _) => Err(refused(format!(
                "{} has no partition named {DATA_PARTITION_NAME}; create one, or flash the image \
                 again",
                self.name
            ))),
            (Some(_), Some(_)) => Err(refused(format!(
                "{} has several partitions named {DATA_PARTITION_NAME}; rename all but one",
                self.name
            ))),
        }
    }

    fn data_partitions(&self) -> impl Iterator<Item = &Partition> {
        self.table.partitions.iter().filter(|partition| partition.name == DATA_PARTITION_NAME)
    }
}

/// Waits for the disk that the machine was started from.
pub(crate) fn wait_for_boot_disk() -> Result<Disk> {
    let boot_partition = firmware_boot_partition();
    let started = Instant::now();
    let patience =
        if boot_partition.is_some() { KNOWN_DISK_DEADLINE } else { UNKNOWN_DISK_DEADLINE };
    loop {
        let disks = scan(Path::new("/sys/class/block"));
        match choose(&disks, boot_partition.as_deref()) {
            Ok(Some(disk)) => return Ok(disk.clone()),
            Err(error) => return Err(error),
            Ok(None) if started.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(None) => {
                return Err(match &boot_partition {
                    Some(guid) => refused(format!(
                        "the disk that the machine was started from (partition {guid}) has not \
                         appeared; the image may lack its driver"
                    )),
                    None => no_candidate(&disks),
                });
            }
        }
    }
}

/// The disk to use, `None` while it may still appear, or why none may be used. Never guesses:
/// the wrong disk would be another machine's data.
fn choose<'a>(disks: &'a [Disk], boot_partition: Option<&str>) -> Result<Option<&'a Disk>> {
    let Some(boot_partition) = boot_partition else {
        // Nobody knows what else is coming, but one that is unmistakable will do.
        return choose_only(disks);
    };
    let holds = |disk: &&Disk| {
        disk.table.partitions.iter().any(|partition| partition.guid == boot_partition)
    };
    let holders: Vec<&Disk> = disks.iter().filter(holds).collect();
    match holders.as_slice() {
        [] => Ok(None),
        [disk] => Ok(Some(disk)),
        several => Err(refused(format!(
            "{} are copies of each other (all hold the boot partition {boot_partition}); \
             remove all but one",
            names(several)
        ))),
    }
}

/// Without a known boot disk: the only disk that has a data partition.
fn choose_only(disks: &[Disk]) -> Result<Option<&Disk>> {
    match candidates(disks).as_slice() {
        [] => Ok(None),
        [disk] => Ok(Some(disk)),
        several => Err(refused(format!(
            "{} all have a partition named {DATA_PARTITION_NAME}, and the firmware did not say \
             which one the machine was started from; remove all but one",
            names(several)
        ))),
    }
}

fn no_candidate(disks: &[Disk]) -> Error {
    refused(format!(
        "no disk has a partition named {DATA_PARTITION_NAME} ({} with a GPT were seen)",
        disks.len()
    ))
}

fn candidates(disks: &[Disk]) -> Vec<&Disk> {
    disks.iter().filter(|disk| disk.data_partitions().next().is_some()).collect()
}

fn names(disks: &[&Disk]) -> String {
    disks.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The GUID of the partition that the boot stub was loaded from, as it told us through UEFI.
fn firmware_boot_partition() -> Option<String> {
    const VARIABLE: &str = "/sys/firmware/efi/efivars/\
        LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
    decode_loader_partition(&fs::read(VARIABLE).ok()?)
}

/// Four bytes of attributes, then UTF-16 with a NUL.
fn decode_loader_partition(variable: &[u8]) -> Option<String> {
    let units: Vec<u16> = variable
        .get(4..)?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|&unit| unit != 0)
        .collect();
    let text = String::from_utf16(&units).ok()?.to_ascii_lowercase();
    (text.len() == 36).then_some(text)
}

/// Every disk with a readable GPT. Those without hardware (loop, RAM, device mapper) are left out.
fn scan(class: &Path) -> Vec<Disk> {
    let Ok(entries) = fs::read_dir(class) else { return Vec::new() };
    let mut disks: Vec<Disk> = entries
        .flatten()
        .filter(|entry| is_disk(&entry.path()))
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let table = PartitionTable::read(&Path::new("/dev").join(&name)).ok()?;
            Some(Disk { name, table })
        })
        .collect();
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    disks
}

fn is_disk(device: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(device.join(name)).unwrap_or_default();
    device.join("device").exists()
        && !device.join("partition").exists()
        // Optical and floppy drives spin up for seconds, and no data partition is on them.
        && !device.file_name().is_some_and(|name| {
            let name = name.as_encoded_bytes();
            name.starts_with(b"sr") || name.starts_with(b"fd")
        })
        && read("size").trim().parse::<u64>().is_ok_and(|sectors| sectors > 0)
}

/// The device node of a disk's partition. The kernel shows a disk a little before its partitions.
pub(crate) fn partition_node(disk: &str, number: u32) -> Result<PathBuf> {
    let class = Path::new("/sys/class/block").join(disk);
    let started = Instant::now();
    loop {
        if let Some(node) = find_partition_node(&class, number) {
            return Ok(node);
        }
        if started.elapsed() >= PARTITION_DEADLINE {
            return Err(refused(format!(
                "the kernel shows no device for partition {number} of {disk}"
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn find_partition_node(disk: &Path, number: u32) -> Option<PathBuf> {
    let is_wanted = |entry: &fs::DirEntry| {
        fs::read_to_string(entry.path().join("partition"))
            .is_ok_and(|text| text.trim() == number.to_string())
    };
    let entry = fs::read_dir(disk).ok()?.flatten().find(is_wanted)?;
    Some(Path::new("/dev").join(entry.file_name()))
}

fn refused(reason: String) -> Error {
    Error::DataPartition { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, partitions: &[(&str, &str)]) -> Disk {
        let partition = |(index, (guid, name)): (usize, &(&str, &str))| Partition {
            number: index as u32 + 1,
            guid: (*guid).to_owned(),
            name: (*name).to_owned(),
            is_esp: *name == "ALEPH-ESP",
            first_lba: 0,
            last_lba: 0,
        };
        let partitions = partitions.iter().enumerate().map(partition).collect();
        Disk { name: name.to_owned(), table: PartitionTable { partitions } }
    }

    fn ours(name: &str, guid: &str) -> Disk {
        disk(name, &[(guid, "ALEPH-ESP"), ("data", DATA_PARTITION_NAME)])
    }

    #[test]
    fn the_firmware_decides_between_two_disks() {
        let disks = [ours("sda", "a"), ours("sdb", "b")];
        assert_eq!(choose(&disks, Some("b")).unwrap().unwrap().name, "sdb");
        assert!(choose(&disks, Some("c")).unwrap().is_none());
        let message = choose(&disks, None).unwrap_err().to_string();
        assert!(message.contains("sda, sdb"), "{message}");
    }

    #[test]
    fn copies_of_the_boot_disk_are_refused() {
        let disks = [ours("sda", "a"), ours("sdb", "a")];
        let message = choose(&disks, Some("a")).unwrap_err().to_string();
        assert!(message.contains("copies"), "{message}");
    }

    #[test]
    fn without_firmware_the_only_data_partition_is_taken() {
        let disks = [disk("sda", &[("x", "windows")]), ours("sdb", "b")];
        assert_eq!(choose(&disks, None).unwrap().unwrap().name, "sdb");
        assert!(choose(&disks[..1], None).unwrap().is_none());
    }

    #[test]
    fn the_data_partition_must_be_the_only_one_of_its_name() {
        assert_eq!(ours("sda", "a").data().unwrap().number, 2);
        assert_eq!(ours("sda", "a").esp().unwrap().number, 1);
        let none = disk("sda", &[("a", "ALEPH-ESP")]);
        assert!(none.data().unwrap_err().to_string().contains("no partition named"));
        let two = disk("sda", &[("a", DATA_PARTITION_NAME), ("b", DATA_PARTITION_NAME)]);
        assert!(two.data().unwrap_err().to_string().contains("several"));
    }

    #[test]
    fn disks_and_partitions_are_told_apart() {
        let class = tempfile::tempdir().unwrap();
        let device = |name: &str, size: &str, has_hardware: bool| {
            let path = class.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("size"), size).unwrap();
            if has_hardware {
                fs::create_dir(path.join("device")).unwrap();
            }
            is_disk(&path)
        };
        assert!(device("nvme0n1", "4096\n", true));
        assert!(!device("loop0", "4096\n", false));
        assert!(!device("sr0", "4096\n", true));
        assert!(!device("sdb", "0\n", true));
        let partition = class.path().join("nvme0n1/nvme0n1p2");
        fs::create_dir(&partition).unwrap();
        fs::write(partition.join("partition"), "2\n").unwrap();
        let disk = class.path().join("nvme0n1");
        assert_eq!(find_partition_node(&disk, 2), Some("/dev/nvme0n1p2".into()));
        assert_eq!(find_partition_node(&disk, 1), None);
    }

    #[test]
    fn the_loader_variable_is_decoded() {
        let guid = "12345678-ABCD-ABCD-ABCD-1234567890AB";
        let mut variable = vec![6, 0, 0, 0];
        variable.extend(guid.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        assert_eq!(decode_loader_partition(&variable), Some(guid.to_ascii_lowercase()));
        assert_eq!(decode_loader_partition(&variable[..20]), None);
        assert_eq!(decode_loader_partition(&[]), None);
    }
}

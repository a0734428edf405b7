use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use aleph_types::JobSpec;
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::{ExecutorError, VmState, process::ProcessId};

/// What is kept of a machine over restarts of the agent and of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    pub(crate) spec: JobSpec,
    pub(crate) failures: u32,
    pub(crate) monitor: Option<ProcessId>,
    pub(crate) end: Option<End>,
}

/// How a machine's life ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum End {
    /// Final, unless it was only because it was desired so and is now desired otherwise.
    Stopped { exit: String, desired: bool },
    /// Final.
    Failed { reason: String },
}

impl Record {
    pub(crate) fn new(spec: JobSpec) -> Self {
        Self { version: VERSION, spec, failures: 0, monitor: None, end: None }
    }

    /// What a machine without a monitor does.
    pub(crate) fn resting_state(&self) -> VmState {
        match self.end.clone() {
            Some(End::Stopped { exit, .. }) => VmState::Stopped { exit },
            Some(End::Failed { reason }) => VmState::Failed { reason },
            None => VmState::Preparing { detail: "waiting for its turn".into() },
        }
    }

    /// The record of a machine; nothing if there is none that can be read.
    pub(crate) fn load(path: &Path) -> Option<Self> {
        match fs::read(path) {
            Ok(bytes) if bytes.len() > SIZE_BYTES_MAX => None,
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| error!(path = %path.display(), %error, "unreadable record"))
                .ok()
                .filter(|record: &Self| record.version == VERSION),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                error!(path = %path.display(), %error, "unreadable record");
                None
            }
        }
    }

    /// Replaces the record as a whole. Blocks on the disk.
    pub(crate) fn save(&self, path: &Path) -> Result<(), ExecutorError> {
        let write = || {
            let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
            fs::create_dir_all(folder)?;
            let new = path.with_extension("new");
            let mut file = File::create(&new)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(ExecutorError::file("write the record", path))
    }
}

const VERSION: u32 = 1;
const SIZE_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use aleph_types::{Cid, Digest, JobId, Resources};

    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7/vm.json");
        assert_eq!(Record::load(&path), None);
        let spec = JobSpec {
            id: JobId(7),
            manifest: Digest([1; 32]),
            rootfs: Cid::of(b"x"),
            resources: Resources::default(),
        };
        let mut record = Record::new(spec);
        record.failures = 2;
        record.monitor = Some(ProcessId::of(std::process::id()).unwrap());
        record.end = Some(End::Stopped { exit: "the guest powered off".into(), desired: true });
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path), Some(record.clone()));

        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert_eq!(Record::load(&path), None);
        fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        assert_eq!(Record::load(&path), None);
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path), Some(record));
    }
}

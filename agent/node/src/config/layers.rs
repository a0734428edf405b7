//! One configuration out of file, environment and command line.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use aleph_init::config::{MachineConfig, SEED_SIZE_BYTES_MAX};
use toml::{Table, Value};

use super::Config;

/// What is wrong with the configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: name the file with --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{} is larger than {SEED_SIZE_BYTES_MAX} bytes: this is no configuration", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A layer says something that cannot be.
    #[error("{origin}: {problem}")]
    Wrong {
        /// The file, variable or flag.
        origin: String,
        /// What is wrong, and if it is known, what was meant.
        problem: String,
    },
}

/// A key that is set in the environment or on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As the person wrote it, for messages.
    origin: String,
    /// Tables, and the key at the end.
    path: Vec<String>,
    value: String,
}

impl Setting {
    /// Reads `table.key=value`.
    pub fn from_flag(text: &str) -> Result<Self, String> {
        let (path, value) =
            text.split_once('=').ok_or("expected table.key=value, such as api.listen=[::]:443")?;
        Ok(Self {
            origin: format!("--set {path}"),
            path: path.split('.').map(|part| part.trim().to_owned()).collect(),
            value: value.to_owned(),
        })
    }

    /// The settings among these variables: those that begin with `ALEPH__`.
    pub fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Self> {
        let mut settings: Vec<Self> = variables
            .into_iter()
            .filter_map(|(name, value)| {
                let path = name.strip_prefix("ALEPH__")?;
                let path = path.split("__").map(str::to_lowercase).collect();
                Some(Self { origin: name, path, value })
            })
            .collect();
        // The environment has no order of its own; messages should.
        settings.sort_by(|a, b| a.origin.cmp(&b.origin));
        settings
    }

    /// The value as TOML has it where it is a TOML value, as text elsewhere, so that neither
    /// numbers need quotes nor addresses.
    fn parsed(&self) -> Value {
        let text = || Value::String(self.value.clone());
        if self.value.starts_with("0x") {
            return text();
        }
        toml::from_str::<Table>(&format!("value = {}", self.value))
            .ok()
            .filter(|table| table.len() == 1)
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(text)
    }

    fn wrong(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::Wrong { origin: self.origin.clone(), problem: problem.into() }
    }
}

/// The file, overruled by the settings in their order. Everything is checked; PID 1's table too.
pub fn load(file: &Path, settings: &[Setting]) -> Result<Config, ConfigError> {
    let text = read(file)?;
    let wrong =
        |problem: String| ConfigError::Wrong { origin: file.display().to_string(), problem };
    MachineConfig::from_seed(text.as_bytes())
        .map_err(|error| wrong(with_hint(&error.to_string())))?;
    // The file by itself first: its errors carry line and column.
    let config: Config = toml::from_str(&text).map_err(|error| wrong(explain(&error)))?;
    config.check().map_err(wrong)?;

    let mut merged: Table = toml::from_str(&text).map_err(|error| wrong(explain(&error)))?;
    let mut config = config;
    for setting in settings {
        set(&mut merged, setting)?;
        // A table such as [chain] may need several settings before it is whole, so a missing key
        // is not the fault of the setting that began it.
        match merged.clone().try_into::<Config>() {
            Ok(whole) => config = whole,
            Err(error) if is_incomplete(&error) => {}
            Err(error) => return Err(setting.wrong(explain(&error))),
        }
    }
    if let Some(last) = settings.last() {
        config = merged.try_into().map_err(|error| last.wrong(explain(&error)))?;
        config.check().map_err(|problem| last.wrong(problem))?;
    }
    Ok(config)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(SEED_SIZE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > SEED_SIZE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

fn set(merged: &mut Table, setting: &Setting) -> Result<(), ConfigError> {
    let Some((key, tables)) = setting.path.split_last().filter(|(_, tables)| !tables.is_empty())
    else {
        return Err(setting.wrong("a setting is named by a table and a key"));
    };
    if tables.first().is_some_and(|table| table == "machine") {
        return Err(setting.wrong("[machine] is PID 1's: it can be set in the file only"));
    }
    let mut table = merged;
    for name in tables {
        let entry = table.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return Err(setting.wrong(format!("{name} is no table")));
        };
        table = inner;
    }
    table.insert(key.clone(), setting.parsed());
    Ok(())
}

fn is_incomplete(error: &toml::de::Error) -> bool {
    error.message().starts_with("missing field")
}

fn explain(error: &toml::de::Error) -> String {
    with_hint(error.to_string().trim_end())
}

/// Adds the known key that an unknown one was probably meant to be.
fn with_hint(message: &str) -> String {
    match nearest_key(message) {
        Some(known) => format!("{message}\ndid you mean `{known}`?"),
        None => message.to_owned(),
    }
}

/// serde names the unknown key and the known ones in back quotes.
fn nearest_key(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    known
        .map(|known| (distance(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .map(|(_, known)| known)
}

/// How many letters must be changed, added or left out to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn error_of(text: &str, settings: &[Setting]) -> String {
        load(file(text).path(), settings).unwrap_err().to_string()
    }

    fn env(name: &str, value: &str) -> Vec<Setting> {
        Setting::from_env([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn the_command_line_overrules_the_environment_and_that_the_file() {
        let file = file("[api]\nlisten = \"127.0.0.1:1\"\nconnections_max = 7\n");
        let mut settings = env("ALEPH__API__LISTEN", "127.0.0.1:2");
        assert_eq!(load(file.path(), &settings).unwrap().api.listen.port(), 2);
        settings.push(Setting::from_flag("api.listen=127.0.0.1:3").unwrap());
        let config = load(file.path(), &settings).unwrap();
        assert_eq!(config.api.listen.port(), 3);
        assert_eq!(config.api.connections_max, 7);
    }

    #[test]
    fn a_table_can_be_built_of_settings() {
        let settings = Setting::from_env(
            [
                ("ALEPH__CHAIN__RPC_URL", "http://127.0.0.1:8545"),
                ("ALEPH__CHAIN__CHAIN_ID", "42161"),
                ("ALEPH__CHAIN__NODE_REGISTRY", "0x0000000000000000000000000000000000000001"),
                ("ALEPH__CHAIN__STAKING_MANAGER", "0x0000000000000000000000000000000000000002"),
                ("ALEPH__CHAIN__JOB_MANAGER", "0x0000000000000000000000000000000000000003"),
                ("ALEPHANT", "1"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let chain = load(file("").path(), &settings).unwrap().chain.unwrap();
        assert_eq!((chain.chain_id, chain.job_manager.0[19]), (42161, 3));
        let error = error_of("", &settings[..2]);
        assert!(error.contains("missing field"), "{error}");
    }

    #[test]
    fn unknown_keys_are_refused_with_a_hint() {
        let error = error_of("[api]\nlistn = 1\n", &[]);
        assert!(error.contains("line 2") && error.contains("did you mean `listen`?"), "{error}");
        let error = error_of("[machne]\n", &[]);
        assert!(error.contains("did you mean `machine`?"), "{error}");
        let error = error_of("[machine]\nhostnam = \"x\"\n", &[]);
        assert!(error.contains("did you mean `hostname`?"), "{error}");
        let error = error_of("[api]\nsomething_else = 1\n", &[]);
        assert!(error.contains("something_else") && !error.contains("did you mean"), "{error}");
        let error = error_of("", &env("ALEPH__API__LISTN", "x"));
        assert!(error.starts_with("ALEPH__API__LISTN: "), "{error}");
        assert!(error.contains("did you mean `listen`?"), "{error}");
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        for (text, expected) in [
            ("[api]\nconnections_max = 0\n", "api.connections_max is 0"),
            ("[api]\nlisten = \"nowhere\"\n", "line 2"),
            ("[log]\nfilter = \"a=b=c\"\n", "log.filter"),
            ("[log]\nformat = \"xml\"\n", "xml"),
            ("[node]\ncoordinator = true\n", "[chain]"),
            ("[machine.watchdog]\ntimeout_s = 1\n", "between 10 and 600"),
            ("not toml", "line 1"),
        ] {
            let error = error_of(text, &[]);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = error_of("", &env("ALEPH__MACHINE__HOSTNAME", "x"));
        assert!(error.contains("file only"), "{error}");
        let error = error_of("", &[Setting::from_flag("api=1").unwrap()]);
        assert!(error.contains("table and a key"), "{error}");
        let error = error_of(&"#".repeat(70_000), &[]);
        assert!(error.contains("larger than"), "{error}");
        assert!(Setting::from_flag("api.listen").is_err());
    }

    #[test]
    fn distances() {
        assert_eq!(distance("listn", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}

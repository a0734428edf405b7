//! Which kernel modules the image holds, and the table by which PID 1 loads them.
//!
//! `image/modules.toml` names the modules and why they are there; depmod's indices say what they
//! depend on and which devices ask for them. The table's format is PID 1's
//! (`aleph_init::modules`): it is all that replaces modprobe in the image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::IoContext;
use crate::{CRATE_DIR, Error, Result};

/// Where PID 1 looks for the table, in the initramfs and in the root alike.
pub(crate) const TABLE_PATH: &str = "usr/lib/aleph/modules.toml";

/// The choice in `image/modules.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    pub(crate) initramfs: Stage,
    pub(crate) root: Stage,
    #[serde(rename = "group")]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    pub(crate) always: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[expect(dead_code, reason = "each group must say why it is there")]
    why: String,
    modules: Vec<String>,
}

impl Choice {
    pub(crate) fn read() -> Result<Self> {
        let path = Path::new(CRATE_DIR).join("modules.toml");
        let text = fs::read_to_string(&path).at("read", &path)?;
        toml::from_str(&text)
            .map_err(|source| Error::Description { path, source: Box::new(source) })
    }

    /// All modules of all groups.
    pub(crate) fn grouped(&self) -> Vec<String> {
        self.groups.iter().flat_map(|group| group.modules.clone()).collect()
    }
}

/// The table that PID 1 reads.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    format: u32,
    kernel: String,
    always: Vec<String>,
    #[serde(rename = "module")]
    pub(crate) modules: Vec<Module>,
}

/// One module of the table.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Module {
    name: String,
    /// Absolute in the image.
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

impl Table {
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("strings and lists of strings are always valid TOML")
    }
}

/// What depmod and the kernel's build say about a kernel's modules.
pub(crate) struct ModuleIndex {
    kernel: String,
    modules: BTreeMap<String, Indexed>,
    /// By the name of the module.
    aliases: BTreeMap<String, BTreeSet<String>>,
    built_in: BTreeSet<String>,
}

struct Indexed {
    /// Below `/lib/modules/<release>`.
    path: String,
    depends: Vec<String>,
}

impl ModuleIndex {
    /// Reads the indices in `/lib/modules/<release>`.
    pub(crate) fn read(kernel: &str, dir: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).at("read", &path)
        };
        Self::parse(
            kernel,
            &text("modules.dep")?,
            &text("modules.alias")?,
            &text("modules.softdep")?,
            &text("modules.builtin")?,
        )
    }

    fn parse(kernel: &str, dep: &str, alias: &str, softdep: &str, builtin: &str) -> Result<Self> {
        let mut modules = BTreeMap::new();
        for line in dep.lines() {
            let (path, depends) =
                line.split_once(':').ok_or_else(|| not_understood("modules.dep", line))?;
            let depends = depends.split_whitespace().map(name_of).collect();
            modules.insert(name_of(path), Indexed { path: path.to_owned(), depends });
        }
        for line in entries(softdep) {
            let mut words = line.split_whitespace();
            let (Some("softdep"), Some(name)) = (words.next(), words.next()) else {
                return Err(not_understood("modules.softdep", line));
            };
            // Algorithms may stand here instead of modules (`pre: crc32c`); `always` names those.
            let before: Vec<String> = words
                .skip_while(|word| *word != "pre:")
                .skip(1)
                .take_while(|word| *word != "post:")
                .map(normalise)
                .filter(|wanted| modules.contains_key(wanted))
                .collect();
            if let Some(module) = modules.get_mut(&normalise(name)) {
                module.depends.extend(before);
            }
        }
        let mut aliases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in entries(alias) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["alias", pattern, name] = words[..] else {
                return Err(not_understood("modules.alias", line));
            };
            if names_a_device(pattern) {
                aliases.entry(normalise(name)).or_default().insert(pattern.to_owned());
            }
        }
        let built_in = builtin.lines().map(name_of).collect();
        Ok(Self { kernel: kernel.to_owned(), modules, aliases, built_in })
    }

    /// The table for one stage: `always`, `more`, and all that they depend on.
    pub(crate) fn table(&self, always: &[String], more: &[String]) -> Result<Table> {
        let mut wanted = BTreeSet::new();
        for name in always.iter().chain(more) {
            self.add_with_dependencies(&normalise(name), &mut wanted)?;
        }
        let modules = wanted.iter().filter_map(|name| {
            let indexed = self.modules.get(name)?;
            Some(Module {
                name: name.clone(),
                path: format!("/usr/lib/modules/{}/{}", self.kernel, indexed.path),
                depends: indexed.depends.clone(),
                aliases: self.aliases.get(name).into_iter().flatten().cloned().collect(),
            })
        });
        let modular = |name: &String| wanted.contains(name);
        Ok(Table {
            format: 1,
            kernel: self.kernel.clone(),
            always: always.iter().map(|name| normalise(name)).filter(modular).collect(),
            modules: modules.collect(),
        })
    }

    fn add_with_dependencies(&self, name: &str, wanted: &mut BTreeSet<String>) -> Result<()> {
        if wanted.contains(name) {
            return Ok(());
        }
        let Some(indexed) = self.modules.get(name) else {
            // A module may move into the kernel from one release to the next.
            return if self.built_in.contains(name) {
                Ok(())
            } else {
                Err(Error::UnknownModule { kernel: self.kernel.clone(), name: name.to_owned() })
            };
        };
        wanted.insert(name.to_owned());
        for dependency in &indexed.depends {
            self.add_with_dependencies(dependency, wanted)?;
        }
        Ok(())
    }
}

/// Where a module of the table is in an unpacked package.
pub(crate) fn source_path(module: &Module, kernel: &str, modules_dir: &Path) -> PathBuf {
    let prefix = format!("/usr/lib/modules/{kernel}/");
    modules_dir.join(module.path.trim_start_matches(&prefix))
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Devices ask by `bus:details`; the kernel asks for algorithms, file systems and device nodes
/// through modprobe, which the image does not have.
fn names_a_device(pattern: &str) -> bool {
    pattern.contains(':') && !pattern.starts_with("devname:")
}

fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalise(file.split(".ko").next().unwrap_or(file))
}

fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

fn not_understood(file: &'static str, line: &str) -> Error {
    Error::ModuleIndex { file, line: line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz kernel/drivers/net/net_failover.ko.xz
kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz
kernel/net/core/failover.ko.xz:
kernel/drivers/net/r8169.ko.xz:
kernel/drivers/net/phy/real-tek.ko.xz:
kernel/fs/erofs/erofs.ko.xz: kernel/lib/libcrc32c.ko.xz
kernel/lib/libcrc32c.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
";
    const ALIAS: &str = "\
# Aliases extracted from modules themselves.
alias virtio:d00000001v* virtio_net
alias fs-erofs erofs
alias crypto-crc32c crc32c_generic
alias devname:erofs erofs
alias mdio:0000000000011100110010???????????? real_tek
";
    const SOFTDEP: &str = "\
# Soft dependencies
softdep r8169 pre: real-tek post: failover
softdep libcrc32c pre: crc32c
";

    fn index() -> ModuleIndex {
        ModuleIndex::parse("6.12-test", DEP, ALIAS, SOFTDEP, "kernel/drivers/char/tpm/tpm_crb.ko\n")
            .unwrap()
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn names(table: &Table) -> Vec<&str> {
        table.modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn the_closure_follows_hard_and_soft_dependencies_and_is_sorted() {
        let table = index().table(&[], &strings(&["virtio-net", "r8169"])).unwrap();
        assert_eq!(names(&table), ["failover", "net_failover", "r8169", "real_tek", "virtio_net"]);
        assert_eq!(table.modules[2].depends, ["real_tek"]);
        assert_eq!(table.modules[4].aliases, ["virtio:d00000001v*"]);
        assert_eq!(
            table.modules[3].path,
            "/usr/lib/modules/6.12-test/kernel/drivers/net/phy/real-tek.ko.xz"
        );
    }

    #[test]
    fn always_keeps_its_order_and_loses_what_is_built_in() {
        let always = strings(&["tpm_crb", "erofs", "crc32c-generic"]);
        let table = index().table(&always, &[]).unwrap();
        assert_eq!(table.always, ["erofs", "crc32c_generic"]);
        assert_eq!(names(&table), ["crc32c_generic", "erofs", "libcrc32c"]);
        assert!(table.modules.iter().all(|module| module.aliases.is_empty()));
    }

    #[test]
    fn an_unknown_module_is_an_error_that_names_it() {
        let error = index().table(&[], &strings(&["no_such"])).unwrap_err();
        assert!(error.to_string().contains("no_such"), "{error}");
    }

    #[test]
    fn the_table_is_the_documented_toml() {
        let table = index().table(&strings(&["erofs"]), &strings(&["virtio_net"])).unwrap();
        let value: toml::Table = toml::from_str(&table.to_toml()).unwrap();
        assert_eq!(value["format"].as_integer(), Some(1));
        assert_eq!(value["kernel"].as_str(), Some("6.12-test"));
        assert_eq!(value["always"].as_array().unwrap().len(), 1);
        let modules = value["module"].as_array().unwrap();
        let virtio = modules.iter().find(|module| module["name"].as_str() == Some("virtio_net"));
        assert_eq!(virtio.unwrap()["depends"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_choice_in_the_checkout_parses_and_names_every_module_of_always() {
        let choice = Choice::read().unwrap();
        let grouped: BTreeSet<_> = choice.grouped().into_iter().collect();
        for name in &choice.root.always {
            assert!(grouped.contains(name), "{name} is in no group");
        }
    }
}

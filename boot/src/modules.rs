//! Which kernel modules to load, and in which order. Pure: reading files and calling the kernel
//! is [`crate::loader`]'s part.
//!
//! The image has no `modprobe` and no `modules.dep`. The image builder writes one TOML file per
//! stage, at [`TABLE_PATH`] in the initramfs (only what mounting the root needs) and at the same
//! path in the EROFS root (everything else):
//!
//! ```toml
//! format = 1
//! kernel = "6.12.117+deb12-amd64"      # compared with the running kernel
//! always = ["loop", "erofs"]           # loaded in this order, each after its dependencies
//!
//! [[module]]
//! name = "virtio_net"                  # '-' and '_' mean the same
//! path = "/usr/lib/modules/6.12.117+deb12-amd64/kernel/drivers/net/virtio_net.ko.xz"
//! depends = ["net_failover"]           # names, each with an entry; built-in ones left out
//! aliases = ["virtio:d00000001v*"]     # as in modules.alias
//! options = ""                         # module parameters
//! ```
//!
//! A module that is in no `always` list, and whose aliases no device shows, is never loaded.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::error::{Error, Result};

/// Where the table is, in the initramfs and in the root alike.
pub const TABLE_PATH: &str = "/usr/lib/aleph/modules.toml";

/// The generic Debian kernel's whole alias list is under 3 MiB.
pub const TABLE_SIZE_BYTES_MAX: u64 = 4 * 1024 * 1024;

const FORMAT: u32 = 1;

const ANY_BUS: &str = "*";

/// One kernel module of the image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The kernel's name for it, with underscores.
    pub name: String,
    /// The file, absolute in the stage's root.
    pub path: String,
    /// Modules that must be loaded first.
    #[serde(default)]
    pub depends: Vec<String>,
    /// Patterns of the devices that it drives.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Module parameters, as on a command line.
    #[serde(default)]
    pub options: String,
}

/// A checked table: names are unique, and everything that is named has an entry.
#[derive(Debug)]
pub struct ModuleTable {
    kernel: String,
    always: Vec<usize>,
    modules: Vec<Module>,
    dependencies: Vec<Vec<usize>>,
    /// Aliases by their bus, the part before the first colon: a device is compared with those of
    /// its own bus only, and with those whose bus is itself a pattern (`acpi*:`), at [`ANY_BUS`].
    aliases_by_bus: HashMap<String, Vec<(String, usize)>>,
}

impl ModuleTable {
    /// Parses and checks the builder's file.
    pub fn parse(text: &str) -> Result<Self> {
        let file: TableFile = toml::from_str(text)
            .map_err(|source| Error::ModuleTable { reason: source.message().to_owned() })?;
        if file.format != FORMAT {
            return Err(table_error(format!("format {} is not {FORMAT}", file.format)));
        }
        let mut modules = file.module;
        let mut index_by_name = HashMap::new();
        for (index, module) in modules.iter_mut().enumerate() {
            module.name = normalise(&module.name);
            if index_by_name.insert(module.name.clone(), index).is_some() {
                return Err(table_error(format!("module {} is listed twice", module.name)));
            }
        }
        let find = |name: &String, wanted_by: &str| {
            index_by_name
                .get(&normalise(name))
                .copied()
                .ok_or_else(|| table_error(format!("{wanted_by} names {name}, which has no entry")))
        };
        let always =
            file.always.iter().map(|name| find(name, "`always`")).collect::<Result<Vec<_>>>()?;
        let dependencies = modules
            .iter()
            .map(|module| module.depends.iter().map(|name| find(name, &module.name)).collect())
            .collect::<Result<Vec<Vec<usize>>>>()?;

        let mut aliases_by_bus: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        for (index, module) in modules.iter().enumerate() {
            for alias in &module.aliases {
                aliases_by_bus
                    .entry(bus_of(alias).to_owned())
                    .or_default()
                    .push((alias.clone(), index));
            }
        }
        Ok(Self { kernel: file.kernel, always, modules, dependencies, aliases_by_bus })
    }

    /// The kernel release that the modules were built for.
    pub fn kernel(&self) -> &str {
        &self.kernel
    }

    /// What a stage loads at its start, dependencies first, each module once.
    pub fn always(&self) -> Vec<&Module> {
        self.in_load_order(&self.always)
    }

    /// What these devices want, dependencies first, each module once.
    pub fn for_devices<'a>(&self, modaliases: impl IntoIterator<Item = &'a str>) -> Vec<&Module> {
        let mut wanted = Vec::new();
        for modalias in modaliases {
            let of_bus = |bus| self.aliases_by_bus.get(bus).into_iter().flatten();
            for (pattern, index) in of_bus(bus_of(modalias)).chain(of_bus(ANY_BUS)) {
                if !wanted.contains(index) && glob_matches(pattern, modalias) {
                    wanted.push(*index);
                }
            }
        }
        self.in_load_order(&wanted)
    }

    fn in_load_order(&self, roots: &[usize]) -> Vec<&Module> {
        let mut seen = HashSet::new();
        let mut order = Vec::new();
        for &root in roots {
            self.visit(root, &mut seen, &mut order);
        }
        order.into_iter().map(|index| &self.modules[index]).collect()
    }

    /// Depth first; `seen` is marked on entry, so that a cycle in the table ends.
    fn visit(&self, index: usize, seen: &mut HashSet<usize>, order: &mut Vec<usize>) {
        if !seen.insert(index) {
            return;
        }
        for &dependency in &self.dependencies[index] {
            self.visit(dependency, seen, order);
        }
        order.push(index);
    }
}

/// Whether a device's modalias matches a module's alias: `*`, `?` and `[…]` as in `fnmatch`.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // The last star, and the text position that it was tried with: on a mismatch the star takes
    // one byte more. Only the last star matters, so this is O(pattern × text), never exponential.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match one_matches(&pattern[p..], text[t]) {
            Some(width) => {
                p += width;
                t += 1;
            }
            None if pattern.get(p) == Some(&b'*') => {
                star = Some((p, t));
                p += 1;
            }
            None => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// How many pattern bytes a single text byte uses up, if the pattern's head matches it.
fn one_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'*' => None,
        b'?' => Some(1),
        b'[' => {
            let close = pattern.iter().skip(2).position(|&b| b == b']').map(|at| at + 2);
            let Some(close) = close else { return (byte == b'[').then_some(1) };
            class_contains(&pattern[1..close], byte).then_some(close + 1)
        }
        literal => (literal == byte).then_some(1),
    }
}

fn class_contains(class: &[u8], byte: u8) -> bool {
    let (negated, mut rest) = match class {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [low, b'-', high, tail @ ..] => {
                found |= (*low..=*high).contains(&byte);
                tail
            }
            [single, tail @ ..] => {
                found |= *single == byte;
                tail
            }
            [] => return found != negated,
        };
    }
}

fn bus_of(alias: &str) -> &str {
    let bus = alias.split(':').next().unwrap_or(alias);
    if bus.contains(['*', '?', '[']) { ANY_BUS } else { bus }
}

fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

fn table_error(reason: String) -> Error {
    Error::ModuleTable { reason }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    format: u32,
    kernel: String,
    #[serde(default)]
    always: Vec<String>,
    #[serde(default)]
    module: Vec<Module>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        format = 1
        kernel = "6.12.0"
        always = ["erofs", "loop"]
        [[module]]
        name = "libcrc32c"
        path = "/m/libcrc32c.ko.xz"
        depends = ["crc32c-generic"]
        [[module]]
        name = "crc32c_generic"
        path = "/m/crc32c_generic.ko.xz"
        [[module]]
        name = "erofs"
        path = "/m/erofs.ko.xz"
        depends = ["libcrc32c"]
        [[module]]
        name = "loop"
        path = "/m/loop.ko"
        [[module]]
        name = "virtio_net"
        path = "/m/virtio_net.ko.xz"
        depends = ["net_failover"]
        aliases = ["virtio:d00000001v*"]
        [[module]]
        name = "net_failover"
        path = "/m/net_failover.ko.xz"
        depends = ["virtio_net"]
        [[module]]
        name = "kvm_amd"
        path = "/m/kvm-amd.ko.xz"
        aliases = ["cpu:type:x86,ven*fam*mod*:feature:*00C2*"]
        options = "npt=1"
        [[module]]
        name = "qemu_fw_cfg"
        path = "/m/qemu_fw_cfg.ko.xz"
        aliases = ["acpi*:QEMU0002:*"]
    "#;

    fn names(modules: Vec<&Module>) -> Vec<&str> {
        modules.into_iter().map(|module| module.name.as_str()).collect()
    }

    #[test]
    fn dependencies_come_first_and_each_module_once() {
        let table = ModuleTable::parse(TABLE).unwrap();
        assert_eq!(names(table.always()), ["crc32c_generic", "libcrc32c", "erofs", "loop"]);
        assert_eq!(table.kernel(), "6.12.0");
    }

    #[test]
    fn devices_pull_in_their_drivers_and_a_cycle_ends() {
        let table = ModuleTable::parse(TABLE).unwrap();
        let devices = ["virtio:d00000001v00001AF4", "virtio:d00000001v00001AF4", "pci:v1d2"];
        assert_eq!(names(table.for_devices(devices)), ["net_failover", "virtio_net"]);
        let cpu = "cpu:type:x86,ven0002fam0017mod0001:feature:,0000,00C2,0144";
        let wanted = table.for_devices([cpu]);
        assert_eq!(wanted[0].options, "npt=1");
        assert_eq!(names(wanted), ["kvm_amd"]);
    }

    #[test]
    fn an_alias_may_leave_the_bus_open() {
        let table = ModuleTable::parse(TABLE).unwrap();
        assert_eq!(names(table.for_devices(["acpi:QEMU0002:"])), ["qemu_fw_cfg"]);
        assert!(names(table.for_devices(["pci:QEMU0002:"])).is_empty());
    }

    #[test]
    fn a_wrong_table_is_refused_with_the_reason() {
        for (text, expected) in [
            ("format = 2\nkernel = \"x\"", "format 2"),
            ("format = 1\nkernel = \"x\"\nalways = [\"nope\"]", "names nope"),
            ("format = 1\nkernel = \"x\"\nalwys = []", "alwys"),
            (
                "format = 1\nkernel = \"x\"\n[[module]]\nname = \"a-b\"\npath = \"/a\"\n\
                 [[module]]\nname = \"a_b\"\npath = \"/b\"",
                "listed twice",
            ),
        ] {
            let message = ModuleTable::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        }
    }

    #[test]
    fn globs_match_as_fnmatch_does() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a", "", false),
            (
                "pci:v00008086d000025ABsv*sd*bc*sc*i*",
                "pci:v00008086d000025ABsv1sd2bc08sc80i00",
                true,
            ),
            (
                "pci:v00008086d000025ABsv*sd*bc*sc*i*",
                "pci:v00008086d000025ACsv1sd2bc08sc80i00",
                false,
            ),
            ("usb:v0403p6001d0[0-5]*", "usb:v0403p6001d0600dc00", false),
            ("usb:v0403p6001d0[0-56]*", "usb:v0403p6001d0600dc00", true),
            ("a[!b]c", "abc", false),
            ("a[!b]c", "axc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "aaab", true),
            ("*a*b", "aaabx", false),
            ("a[", "a[", true),
            ("[]]x", "]x", true),
            ("input:*-e*1,*k*74,*", "input:b0019v0000p0001e0000-e0,1,k74,ramlsfw", true),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!glob_matches(&pattern, &"a".repeat(20_000)));
    }
}

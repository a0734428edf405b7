//! The bill of materials, as an SPDX 2.3 document: which Debian packages the image's files come
//! from, which crates our programs are made of, and the versions of them all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand, PackageId};
use serde_json::{Value, json};

use crate::hash::derived_uuid;
use crate::tool::Tool;
use crate::{Error, Result};

/// Our programs in the image; their dependencies are looked up from here.
const PROGRAMS: [&str; 3] = ["aleph-init", "aleph-node", "aleph-vmm"];
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// One component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Its place in the world of packages (package-url).
    purl: String,
    /// An SPDX expression, where one is declared.
    licence: Option<String>,
}

impl Component {
    fn debian(name: &str, version: &str, architecture: &str) -> Self {
        let purl_version = version.replace('~', "%7E").replace('+', "%2B").replace(':', "%3A");
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            purl: format!(
                "pkg:deb/debian/{}@{purl_version}?arch={architecture}&distro=bookworm",
                name.replace('+', "%2B")
            ),
            licence: None,
        }
    }

    fn krate(name: &str, version: &str, licence: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            purl: format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")),
            // Cargo's old way to write a choice.
            licence: licence.map(|text| text.replace('/', " OR ")),
        }
    }
}

/// The Debian packages that installed files belong to.
pub(crate) fn packages_of(files: &BTreeSet<PathBuf>) -> Result<BTreeSet<Component>> {
    // The package database may know a file by its path from before /lib became /usr/lib.
    let known_as = |path: &Path| Path::new("/").join(path.strip_prefix("/usr").unwrap_or(path));
    let patterns = files.iter().map(|file| {
        let path = known_as(file);
        format!("*{}", path.display())
    });
    let listing = Tool::new("dpkg-query", "dpkg").arg("--search").args(patterns).run_text()?;
    let mut names = BTreeSet::new();
    for file in files {
        let mut owners = listing.lines().filter_map(|line| line.split_once(": ")).filter_map(
            |(packages, path)| {
                let path = Path::new(path);
                (path == file || path == known_as(file)).then_some(packages)
            },
        );
        let owner = owners.next().ok_or_else(|| Error::NoPackage { path: file.clone() })?;
        names.extend(owner.split(", ").map(str::to_owned));
    }
    installed(names)
}

/// Installed Debian packages, by name.
pub(crate) fn installed(
    names: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<BTreeSet<Component>> {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    let listing = Tool::new("dpkg-query", "dpkg")
        .args(["--show", "--showformat=${Package}\\t${Version}\\t${Architecture}\\n"])
        .args(names)
        .run_text()?;
    let components = listing.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Component::debian(fields.next()?, fields.next()?, fields.next()?))
    });
    Ok(components.collect())
}

/// A Debian package that is not installed here, but unpacked into the image.
pub(crate) fn unpacked(name: &str, version: &str) -> Component {
    Component::debian(name, version, "amd64")
}

/// The crates that our programs are built from, by the lock file.
pub(crate) fn crates(manifest: &Path) -> Result<BTreeSet<Component>> {
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(["--locked", "--filter-platform", TARGET].map(str::to_owned))
        .exec()
        .map_err(|source| Error::CargoMetadata { source: Box::new(source) })?;
    let resolve = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let nodes: BTreeMap<&PackageId, _> = resolve.map(|node| (&node.id, node)).collect();
    let mut queue: VecDeque<&PackageId> = metadata
        .packages
        .iter()
        .filter(|package| PROGRAMS.contains(&package.name.as_str()))
        .map(|package| &package.id)
        .collect();
    let mut linked = BTreeSet::new();
    while let Some(id) = queue.pop_front() {
        if !linked.insert(id) {
            continue;
        }
        for dependency in nodes.get(id).iter().flat_map(|node| &node.deps) {
            let kinds = &dependency.dep_kinds;
            if kinds.iter().any(|kind| kind.kind == DependencyKind::Normal) {
                queue.push_back(&dependency.pkg);
            }
        }
    }
    let packages = metadata.packages.iter().filter(|package| linked.contains(&package.id));
    Ok(packages
        .map(|package| {
            let version = package.version.to_string();
            Component::krate(package.name.as_str(), &version, package.license.as_deref())
        })
        .collect())
}

/// The document for an image with these components.
pub(crate) fn document(
    image: &str,
    version: &str,
    epoch: u64,
    components: &BTreeSet<Component>,
) -> Value {
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-Image",
        "name": image,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")];
    for component in components {
        let id = format!("SPDXRef-{}", identifier(&component.purl));
        relationships.push(relationship("SPDXRef-Image", "CONTAINS", &id));
        packages.push(json!({
            "SPDXID": id,
            "name": component.name,
            "versionInfo": component.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseDeclared": component.licence.as_deref().unwrap_or("NOASSERTION"),
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": component.purl,
            }],
        }));
    }
    let content = Value::Array(packages.clone()).to_string();
    let uuid = derived_uuid("bill of materials", content.as_bytes());
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{image}-{version}"),
        "documentNamespace": format!("urn:uuid:{uuid}"),
        "creationInfo": {
            "created": timestamp(epoch),
            "creators": [concat!("Tool: aleph-image-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    })
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// Identifiers are letters, digits, dots and hyphens. What else is in a purl becomes hyphens; the
/// purls of one document stay different, since they differ in names and versions.
fn identifier(purl: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.';
    purl.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

/// The time in the form of RFC 3339.
fn timestamp(epoch: u64) -> String {
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    // Howard Hinnant's civil-from-days: years begin in March, so that leap days are last.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_traced_to_their_packages_by_either_path() {
        let files = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/dpkg-query"];
        let packages = packages_of(&files.iter().map(PathBuf::from).collect()).unwrap();
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["dpkg", "libc6"]);
        assert!(packages.iter().all(|package| !package.version.is_empty()));
    }

    #[test]
    fn a_file_of_no_package_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(packages_of(&BTreeSet::from([file.path().to_owned()])).is_err());
    }

    #[test]
    fn the_document_lists_every_component_once() {
        let components = BTreeSet::from([
            Component::debian("libstdc++6", "12.2.0-14+deb12u1", "amd64"),
            Component::krate("serde", "1.0.0", Some("MIT/Apache-2.0")),
        ]);
        let document = document("aleph-node", "0.1.0", 1_793_491_200, &components);
        assert_eq!(document["creationInfo"]["created"], "2026-11-01T00:00:00Z");
        let packages = document["packages"].as_array().unwrap();
        let ids: BTreeSet<_> = packages.iter().map(|package| package["SPDXID"].as_str()).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(document["relationships"].as_array().unwrap().len(), 3);
        assert_eq!(packages[2]["licenseDeclared"], "MIT OR Apache-2.0");
        assert_eq!(
            packages[1]["externalRefs"][0]["referenceLocator"],
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm"
        );
    }

    #[test]
    fn time_stamps_know_leap_years() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}

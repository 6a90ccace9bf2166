//! Holds the dependencies against `deny.toml`: licences, banned crates,
//! crates that may be there once only, and sources.
//!
//! The file has cargo-deny's format, and cargo-deny is used as well where it
//! is installed. Our own check is here because it needs neither a download
//! nor a clone of the advisory database.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, Workspace};

/// What `deny.toml` says, as far as we check it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Policy {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
    single: BTreeSet<String>,
}

/// A dependency.
#[derive(Debug, Clone)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// Empty: the registry.
    source: String,
}

/// Checks every dependency of the workspace.
///
/// # Errors
/// Everything that the policy does not allow, one per line.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let text = std::fs::read_to_string(workspace.root.join("deny.toml"))
        .context("cannot read deny.toml")?;
    let policy = parse_policy(&text)?;
    let packages = dependencies(workspace)?;
    let objections = judge(&policy, &packages);
    if !objections.is_empty() {
        bail!("{} objections:\n  {}", objections.len(), objections.join("\n  "));
    }
    println!("{} dependencies are within deny.toml", packages.len());
    if workspace.has_cargo("deny") {
        let mut command =
            workspace.cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"]);
        let outcome = shell::run(&mut command, shell::test_totals)?;
        ensure!(outcome.status.success(), "cargo deny objects");
    }
    Ok(())
}

fn parse_policy(text: &str) -> Result<Policy> {
    let table: toml::Table = text.parse().context("deny.toml is not TOML")?;
    let mut policy = Policy::default();
    let allow = table.get("licenses").and_then(|licences| licences.get("allow"));
    for licence in allow.and_then(toml::Value::as_array).context("[licenses] allow is missing")? {
        policy.licences.insert(licence.as_str().context("a licence is a string")?.to_owned());
    }
    let bans = table.get("bans").and_then(|bans| bans.get("deny"));
    for ban in bans.and_then(toml::Value::as_array).context("[bans] deny is missing")? {
        let name = ban.get("crate").and_then(toml::Value::as_str).context("a ban names a crate")?;
        let once = ban.get("deny-multiple-versions").and_then(toml::Value::as_bool);
        let set = if once == Some(true) { &mut policy.single } else { &mut policy.banned };
        set.insert(name.to_owned());
    }
    let ignores = table.get("advisories").and_then(|advisories| advisories.get("ignore"));
    for ignore in ignores.and_then(toml::Value::as_array).into_iter().flatten() {
        let reason = ignore.get("reason").and_then(toml::Value::as_str).unwrap_or_default();
        ensure!(!reason.is_empty(), "an ignored advisory has a reason: {ignore}");
    }
    Ok(policy)
}

/// What is compiled of anything, with all features, on any platform: the
/// lock file alone would name crates that no feature switches on. Where the
/// crates of other platforms were never downloaded and cannot be, only this
/// platform's.
fn dependencies(workspace: &Workspace) -> Result<Vec<Package>> {
    let tree = [
        "tree",
        "--locked",
        "--workspace",
        "--all-features",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
        "--target",
        "all",
    ];
    let mut output = workspace.cargo(&tree).output().context("cannot start cargo tree")?;
    if !output.status.success() {
        println!("note: without the network, only this platform's dependencies can be checked");
        let mut here = tree[..tree.len() - 2].to_vec();
        here.push("--offline");
        output = workspace.cargo(&here).output().context("cannot start cargo tree")?;
    }
    ensure!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let packages = parse_tree(&String::from_utf8_lossy(&output.stdout))?;
    ensure!(!packages.is_empty(), "cargo tree names no dependency");
    Ok(packages)
}

/// Reads lines such as `bytes v1.12.2|MIT` and `serde_derive v1.0.229
/// (proc-macro)|MIT OR Apache-2.0 (*)`; in parentheses there is also where a
/// package comes from, unless that is the registry.
fn parse_tree(tree: &str) -> Result<Vec<Package>> {
    let mut packages = BTreeMap::new();
    for line in tree.lines().filter(|line| !line.trim().is_empty()) {
        let (package, licence) = line.split_once('|').context("a package and its licence")?;
        let (name, rest) = package.split_once(" v").context("a name and a version")?;
        let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let source = rest.replace("(proc-macro)", "").trim().to_owned();
        if source.starts_with("(/") || source.contains(":\\") {
            continue;
        }
        let licence = licence.trim_end_matches("(*)").trim();
        packages.insert(
            (name.to_owned(), version.to_owned()),
            Package {
                name: name.to_owned(),
                version: version.to_owned(),
                licence: (!licence.is_empty()).then(|| licence.to_owned()),
                source,
            },
        );
    }
    Ok(packages.into_values().collect())
}

fn judge(policy: &Policy, packages: &[Package]) -> Vec<String> {
    let mut objections = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let Package { name, version, licence, source } = package;
        versions.entry(name).or_default().push(version);
        match licence {
            None => objections.push(format!("{name} {version} names no licence")),
            Some(licence) if !licence_allowed(licence, &policy.licences) => {
                objections.push(format!("{name} {version} has licence {licence}"));
            }
            Some(_) => {}
        }
        if policy.banned.contains(name) {
            objections.push(format!("{name} {version} is banned"));
        }
        if !source.is_empty() {
            objections.push(format!("{name} {version} comes from {source}, not from a registry"));
        }
    }
    for (name, versions) in versions {
        if policy.single.contains(name) && versions.len() > 1 {
            objections.push(format!("{name} is there more than once: {}", versions.join(", ")));
        }
    }
    objections
}

/// Whether an SPDX expression can be satisfied by `allowed` alone.
fn licence_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    either(&mut rest, allowed) == Some(true) && rest.is_empty()
}

fn either(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut fine = both(rest, allowed)?;
    while let Some(("OR", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        *rest = after;
        fine |= both(rest, allowed)?;
    }
    Some(fine)
}

fn both(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let mut fine = one(rest, allowed)?;
    while let Some(("AND", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        *rest = after;
        fine &= one(rest, allowed)?;
    }
    Some(fine)
}

/// A name, a name `WITH` an exception, or an expression in parentheses.
fn one(rest: &mut &[&str], allowed: &BTreeSet<String>) -> Option<bool> {
    let (&first, after) = rest.split_first()?;
    *rest = after;
    if first == "(" {
        let fine = either(rest, allowed)?;
        let (&last, after) = rest.split_first()?;
        *rest = after;
        return (last == ")").then_some(fine);
    }
    if let [with, exception, after @ ..] = *rest
        && *with == "WITH"
    {
        *rest = after;
        return Some(allowed.contains(&format!("{first} WITH {exception}")));
    }
    Some(allowed.contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> BTreeSet<String> {
        ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn expressions_are_read_as_spdx_says() {
        for fine in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "MIT AND (Apache-2.0 WITH LLVM-exception OR GPL-2.0)",
        ] {
            assert!(licence_allowed(fine, &allowed()), "{fine}");
        }
        for wrong in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT )",
            "MIT OR",
            "Unicode-3.0 WITH LLVM-exception",
            "(MIT OR Apache-2.0) AND GPL-3.0",
        ] {
            assert!(!licence_allowed(wrong, &allowed()), "{wrong}");
        }
    }

    #[test]
    fn each_kind_of_objection_is_raised() {
        let policy = Policy {
            licences: allowed(),
            banned: ["openssl".to_owned()].into(),
            single: ["tokio".to_owned()].into(),
        };
        let package = |name: &str, version: &str, licence: Option<&str>, source: &str| Package {
            name: name.into(),
            version: version.into(),
            licence: licence.map(str::to_owned),
            source: source.into(),
        };
        let fine = [
            package("tokio", "1.0.0", Some("MIT"), ""),
            package("rand", "0.9.0", Some("MIT"), ""),
            package("rand", "0.10.0", Some("MIT"), ""),
        ];
        assert_eq!(judge(&policy, &fine), Vec::<String>::new());
        for wrong in [
            package("a", "1.0.0", None, ""),
            package("a", "1.0.0", Some("GPL-3.0"), ""),
            package("a", "1.0.0", Some("MIT"), "(https://example.org/a#1)"),
            package("openssl", "1.0.0", Some("MIT"), ""),
            package("tokio", "2.0.0", Some("MIT"), ""),
        ] {
            let mut packages = fine.to_vec();
            packages.push(wrong.clone());
            assert_eq!(judge(&policy, &packages).len(), 1, "{wrong:?}");
        }
    }

    #[test]
    fn the_tree_is_read_without_our_own_crates_and_each_package_once() {
        let tree = "ours v0.1.0 (/somewhere/ours)|Apache-2.0\nbytes v1.2.0|MIT\n\
                    derive v2.0.0 (proc-macro)|MIT OR Apache-2.0\nbytes v1.2.0|MIT (*)\n\
                    forked v3.0.0 (https://example.org/forked?rev=1#1)|\n";
        let packages = parse_tree(tree).unwrap();
        let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["bytes", "derive", "forked"]);
        assert_eq!(packages[1].licence.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(packages[2].licence, None);
        assert!(packages[1].source.is_empty() && !packages[2].source.is_empty());
    }

    #[test]
    fn an_ignored_advisory_needs_a_reason() {
        let head = "[licenses]\nallow = ['MIT']\n[bans]\ndeny = [{ crate = 'a' }]\n[advisories]\n";
        assert!(parse_policy(&format!("{head}ignore = [{{ id = 'X', reason = 'y' }}]")).is_ok());
        assert!(parse_policy(&format!("{head}ignore = [{{ id = 'X' }}]")).is_err());
    }
}

//! Which crate may import what: docs/STYLE.md, "Who may import whom".

use std::collections::BTreeSet;

use crate::source::{code, lines_with};
use crate::tree::File;

/// What one crate may and may not use. Development dependencies are free.
#[derive(Debug)]
pub struct Rule {
    /// Its folder.
    pub folder: &'static str,
    /// Crates of ours that it may depend on.
    pub ours: &'static [&'static str],
    /// Other crates that it must not depend on.
    pub never: &'static [&'static str],
    /// What must not stand in its `src`.
    pub words: &'static [&'static str],
}

const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];
const PURE: &[&str] = &[
    CLOCKS[0],
    CLOCKS[1],
    "std::fs",
    "std::thread",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
];

/// The table, one row for each crate of the workspace.
pub const RULES: &[Rule] = &[
    Rule {
        folder: "protocol",
        ours: &[],
        never: &["tokio", "mio", "sled", "rand", "getrandom", "tracing", "parking_lot"],
        words: PURE,
    },
    Rule {
        folder: "server/core",
        ours: &["hongyan-protocol"],
        never: &[
            "tokio",
            "mio",
            "sled",
            "parking_lot",
            "rand",
            "getrandom",
            "crossbeam-channel",
            "socket2",
            "rustix",
        ],
        words: &[
            CLOCKS[0],
            CLOCKS[1],
            "std::fs",
            "std::thread",
            "TcpStream",
            "Mutex",
            "RwLock",
            "async",
            "HashMap",
            "HashSet",
            "RandomState",
        ],
    },
    Rule {
        folder: "server/store",
        ours: &["hongyan-protocol", "hongyan-core"],
        never: &["tokio", "mio"],
        words: &["TcpStream", "async"],
    },
    Rule {
        folder: "server/host",
        ours: &["hongyan-protocol", "hongyan-core", "hongyan-store"],
        never: &["openssl", "native-tls"],
        words: &[],
    },
    Rule {
        folder: "server/simulator",
        ours: &["hongyan-protocol", "hongyan-core", "hongyan-store"],
        never: &["tokio", "mio", "sled", "rand", "getrandom"],
        words: &["std::thread::sleep", "SystemTime::now", "TcpStream", "RandomState"],
    },
    Rule { folder: "server/tidy", ours: &[], never: &[], words: &[] },
    Rule {
        folder: "server/torture",
        ours: &["hongyan-protocol", "hongyan-client-core", "hongyan-client"],
        never: &["mio", "sled"],
        words: &[],
    },
    Rule {
        folder: "server/torture",
        ours: &["hongyan-client"],
        never: &["mio", "sled"],
        words: &[],
    },
    Rule {
        folder: "client-sdk/core",
        ours: &["hongyan-protocol"],
        never: &["tokio", "mio", "rand", "getrandom", "futures"],
        words: &[CLOCKS[0], CLOCKS[1], "std::thread", "TcpStream", "async"],
    },
    Rule {
        folder: "client-sdk/tokio",
        ours: &["hongyan-protocol", "hongyan-client-core"],
        never: &["mio"],
        words: &[],
    },
    Rule {
        folder: "client-sdk/chat",
        ours: &["hongyan-protocol", "hongyan-client-core", "hongyan-client"],
        never: &["mio", "sled"],
        words: &[],
    },
    Rule {
        folder: "loadtest",
        ours: &["hongyan-protocol", "hongyan-client-core", "hongyan-client"],
        never: &["sled"],
        words: &[],
    },
    Rule {
        folder: "benches",
        ours: &[
            "hongyan",
            "hongyan-protocol",
            "hongyan-core",
            "hongyan-store",
            "hongyan-client-core",
            "hongyan-client",
            "hongyan-loadtest",
        ],
        never: &[],
        words: &[],
    },
    Rule { folder: "xtask", ours: &[], never: &[], words: &[] },
];

/// Names of the crates that a `Cargo.toml` depends on; development and build
/// dependencies are left out.
pub fn dependencies(cargo_toml: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut within = false;
    for line in cargo_toml.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            let own = |section: &str| {
                section == "dependencies"
                    || section.starts_with("target.") && section.ends_with(".dependencies")
            };
            within = own(section);
            if let Some((table, name)) = section.rsplit_once('.')
                && own(table)
            {
                names.insert(name.to_owned());
            }
        } else if within
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
        {
            names.insert(name.trim().to_owned());
        }
    }
    names
}

/// What a crate depends on against its rule.
pub fn wrong_dependencies(rule: &Rule, cargo_toml: &str) -> Vec<String> {
    dependencies(cargo_toml)
        .into_iter()
        .filter(|name| {
            let ours = name == "hongyan" || name.starts_with("hongyan-");
            ours && !rule.ours.contains(&name.as_str()) || rule.never.contains(&name.as_str())
        })
        .map(|name| format!("{} must not depend on {name}", rule.folder))
        .collect()
}

/// Words in a source file of a crate that its rule forbids.
pub fn wrong_words(rule: &Rule, file: &File) -> Vec<String> {
    if !file.within(&format!("{}/src", rule.folder)) || !file.is(".rs") {
        return Vec::new();
    }
    let code = code(&file.text);
    rule.words
        .iter()
        .flat_map(|word| {
            lines_with(&code, word)
                .map(move |line| format!("{}:{line}: {word} has no place here", file.path))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Members of the workspace that have no rule.
pub fn without_rule(workspace_toml: &str) -> Vec<String> {
    let members = workspace_toml
        .split_once("members = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(members, _)| members);
    members
        .split(',')
        .map(|member| member.trim().trim_matches('"'))
        .filter(|member| !member.is_empty() && RULES.iter().all(|rule| rule.folder != *member))
        .map(|member| format!("{member} has no rule in the table of imports"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(folder: &str) -> &'static Rule {
        RULES.iter().find(|rule| rule.folder == folder).unwrap()
    }

    #[test]
    fn dependencies_of_each_notation_are_read() {
        let text = "[dependencies]\nbytes.workspace = true\nmio = \"1\"\n# sled = \"0\"\n\
                    tokio = { version = \"1\" }\n[target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n\
                    [dependencies.prost]\nversion = \"0\"\n[dev-dependencies]\nrand = \"0\"\n";
        let names: Vec<_> = dependencies(text).into_iter().collect();
        assert_eq!(names, ["bytes", "mio", "prost", "rustix", "tokio"]);
    }

    #[test]
    fn a_forbidden_dependency_is_seen() {
        let core = rule("server/core");
        assert!(
            wrong_dependencies(core, "[dependencies]\nhongyan-protocol.workspace = true")
                .is_empty()
        );
        assert_eq!(wrong_dependencies(core, "[dependencies]\ntokio.workspace = true").len(), 1);
        assert_eq!(wrong_dependencies(core, "[dependencies]\nhongyan-store = \"1\"").len(), 1);
        assert!(wrong_dependencies(core, "[dev-dependencies]\ntokio = \"1\"").is_empty());
    }

    #[test]
    fn a_forbidden_word_is_seen_in_code_only() {
        let core = rule("server/core");
        for bad in ["let t = Instant::now();", "use std::collections::HashMap;", "async fn a() {}"]
        {
            let file = File::new("server/core/src/a.rs", bad);
            assert_eq!(wrong_words(core, &file).len(), 1, "{bad}");
            let elsewhere = File::new("server/host/src/a.rs", bad);
            assert!(wrong_words(core, &elsewhere).is_empty());
        }
        let fine = "// no Instant::now\nlet s = \"HashMap\"; struct FxHashMapLike;";
        assert!(wrong_words(core, &File::new("server/core/src/a.rs", fine)).is_empty());
    }

    #[test]
    fn a_crate_without_a_rule_is_seen() {
        assert!(without_rule("members = [\n  \"protocol\",\n  \"xtask\",\n]").is_empty());
        assert_eq!(without_rule("members = [\"protocol\", \"attic\"]").len(), 1);
    }
}

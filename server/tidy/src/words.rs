//! Words that may not stand anywhere, or not in some places.

use crate::source::{code, lines_with};
use crate::tree::File;

/// A word, the folders that it is about (empty: all), and what to do instead.
struct Ban {
    word: &'static str,
    folders: &'static [&'static str],
    instead: &'static str,
}

const fn everywhere(word: &'static str, instead: &'static str) -> Ban {
    Ban { word, folders: &[], instead }
}

const fn server(word: &'static str, instead: &'static str) -> Ban {
    Ban { word, folders: &["server"], instead }
}

const BANS: &[Ban] = &[
    everywhere("todo!", "finish it, or leave it out"),
    everywhere("unimplemented!", "finish it, or leave it out"),
    everywhere("dbg!", "use tracing, or nothing"),
    everywhere("#[ignore]", "say why: #[ignore = \"...\"]"),
    everywhere("use crate::*", "name what is used"),
    everywhere("unbounded_channel", "every queue has a maximum"),
    everywhere("channel::unbounded", "every queue has a maximum"),
    everywhere("unbounded(", "every queue has a maximum"),
    everywhere("mpsc::channel()", "every queue has a maximum: sync_channel"),
    server("sled::Batch", "one insert of one packed block is the atomic unit"),
    server("apply_batch", "one insert of one packed block is the atomic unit"),
    server(".transaction(", "one insert of one packed block is the atomic unit"),
    Ban {
        word: "async",
        folders: &["server/host/src/reactor"],
        instead: "nothing on a shard's thread waits",
    },
    everywhere("fn get_", "name the thing: `user`, not `get_user`"),
    everywhere("fn do_", "say what it does"),
    everywhere("fn process_", "say what it does"),
];

/// Names of files that say nothing.
const EMPTY_NAMES: [&str; 5] = ["/util.rs", "/utils.rs", "/helpers.rs", "/common.rs", "/misc.rs"];

/// Folders of one machine. In two parts, so that this file passes itself.
const MACHINE: [(&str, &str); 4] = [("/", "tmp/"), ("/", "home/"), ("/", "root/"), ("/", "work/")];

/// Banned words in the code of a Rust file.
pub fn banned(file: &File) -> Vec<String> {
    let code = code(&file.text);
    let mut objections = Vec::new();
    for Ban { word, folders, instead } in BANS {
        if !folders.is_empty() && !folders.iter().any(|folder| file.within(folder)) {
            continue;
        }
        // A word that begins a longer one, such as `fn get_`.
        let prefix = word.starts_with("fn ");
        let lines: Vec<usize> = if prefix {
            code.lines()
                .enumerate()
                .filter(|(_, line)| line.contains(word))
                .map(|(index, _)| index + 1)
                .collect()
        } else {
            lines_with(&code, word).collect()
        };
        for line in lines {
            objections.push(format!("{}:{line}: {word}: {instead}", file.path));
        }
    }
    if EMPTY_NAMES.iter().any(|name| file.is(name)) {
        objections.push(format!("{}: a name that says nothing", file.path));
    }
    objections
}

/// Paths of one machine in any text file, comments and strings included.
pub fn machine_paths(file: &File) -> Vec<String> {
    let mut objections = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for (first, rest) in MACHINE {
            let path = format!("{first}{rest}");
            let found = line.match_indices(&path).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && !"_.-/})>*".contains(c))
            });
            if found {
                objections.push(format!("{}:{}: {path} is one machine's", file.path, index + 1));
            }
        }
    }
    objections
}

/// An unsafe block or function without the reason above it.
pub fn unsafe_without_reason(file: &File) -> Vec<String> {
    let code = code(&file.text);
    let lines: Vec<&str> = file.text.lines().collect();
    ["unsafe {", "unsafe impl", "unsafe extern"]
        .iter()
        .flat_map(|word| lines_with(&code, word))
        .filter(|line| {
            // The comment may be longer than a line and stands just above.
            let above = lines[..line - 1].iter().rev().take(8);
            !above.clone().any(|line| line.contains("SAFETY:"))
        })
        .map(|line| format!("{}:{line}: unsafe without SAFETY:", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_banned_word_is_seen() {
        for (path, bad) in [
            ("a.rs", "fn a() { todo!() }"),
            ("a.rs", "fn a() { unimplemented!(\"x\") }"),
            ("a.rs", "dbg!(x);"),
            ("a.rs", "#[ignore]\nfn a() {}"),
            ("a.rs", "use crate::*;"),
            ("a.rs", "let (a, b) = mpsc::unbounded_channel();"),
            ("a.rs", "let (a, b) = crossbeam_channel::unbounded();"),
            ("a.rs", "let (a, b) = std::sync::mpsc::channel();"),
            ("server/store/src/a.rs", "let b = sled::Batch::default();"),
            ("server/store/src/a.rs", "tree.apply_batch(b)"),
            ("server/store/src/a.rs", "tree.transaction(|t| {})"),
            ("server/host/src/reactor/a.rs", "async fn a() {}"),
            ("a.rs", "fn get_user() {}"),
            ("a/utils.rs", "//! A."),
        ] {
            assert!(!banned(&File::new(path, bad)).is_empty(), "{bad}");
        }
    }

    #[test]
    fn words_that_only_look_like_it_pass() {
        for (path, fine) in [
            ("a.rs", "// todo!() stands here\nlet a = \"dbg!\";"),
            ("a.rs", "#[ignore = \"needs root\"]\nfn a() {}"),
            ("a.rs", "let (a, b) = tokio::sync::mpsc::channel(16);"),
            ("server/host/src/admin/a.rs", "async fn a() {}"),
            ("client-sdk/tokio/src/a.rs", "db.transaction(|t| {})"),
            ("a.rs", "fn user() {} x.get_mut()"),
        ] {
            assert_eq!(banned(&File::new(path, fine)), Vec::<String>::new(), "{fine}");
        }
    }

    #[test]
    fn a_path_of_one_machine_is_seen() {
        let path = |folder: &str| format!("see {}{folder}/x", "/");
        for folder in ["tmp", "home", "root", "work"] {
            assert_eq!(machine_paths(&File::new("a.md", &path(folder))).len(), 1, "{folder}");
        }
        for fine in ["network/work/x", "dir.join(\"data\")", "https://example.org/x/home/y"] {
            assert!(machine_paths(&File::new("a.md", fine)).is_empty(), "{fine}");
        }
    }

    #[test]
    fn unsafe_needs_its_reason() {
        let bare = File::new("a.rs", "fn a() {\n    unsafe { b() }\n}");
        assert_eq!(unsafe_without_reason(&bare).len(), 1);
        let said = File::new("a.rs", "fn a() {\n    // SAFETY: b is fine.\n    unsafe { b() }\n}");
        assert!(unsafe_without_reason(&said).is_empty());
    }
}

//! The files of the tree, read once.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file.
#[derive(Debug, Clone)]
pub struct File {
    /// Path from the root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl File {
    /// A file that is not on the disk, for tests of the checks.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether its name ends like this.
    pub fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    /// Whether it lies in this folder.
    pub fn within(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Endings of the files that are read.
const ENDINGS: [&str; 7] = [".rs", ".toml", ".md", ".proto", ".yml", ".ts", "/run"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text file of ours under `root`, in order of its path. Build
/// products, data and hidden folders are passed over.
///
/// # Panics
/// When a folder cannot be listed.
pub fn files(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    visit(root, "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn visit(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).expect("a folder of the tree can be listed");
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
            let built = name.starts_with("target") || name == "node_modules";
            if !hidden && !built && path != "data" && name != "corpus" {
                visit(&entry.path(), &format!("{path}/"), files);
            }
        } else if ENDINGS.iter().any(|ending| path.ends_with(ending))
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(File { path, text });
        }
    }
}

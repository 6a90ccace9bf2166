//! What a peer is started with: files that ship, filled in for one run.
//!
//! A placeholder is a name in capitals between two `@`. One that has no value is refused, so that
//! a misspelt one cannot reach a server as text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::catalog::ConfigFile;

/// The values of one run.
#[derive(Debug, Clone, Default)]
pub struct Values {
    values: BTreeMap<&'static str, String>,
}

impl Values {
    /// Gives `name` a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.insert(name, value.to_string());
        self
    }

    /// `text` with every placeholder replaced.
    ///
    /// # Errors
    /// One has no value.
    pub fn fill(&self, text: &str) -> anyhow::Result<String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let (before, after) = rest.split_at(at);
            filled.push_str(before);
            let after = &after[1..];
            let length = after.bytes().take_while(|byte| is_name(*byte)).count();
            let name = &after[..length];
            if length == 0 || !after[length..].starts_with('@') {
                filled.push('@');
                rest = after;
                continue;
            }
            let Some(value) = self.values.get(name) else {
                bail!("@{name}@ has no value");
            };
            filled.push_str(value);
            rest = &after[length + 1..];
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

/// Writes the files of `peer` into `dir`, filled in. A file of the same name in
/// `instead/<peer>/` is taken rather than the one that ships.
///
/// # Errors
/// A file cannot be read or written, or has a placeholder without a value.
pub fn write(
    peer: &str,
    files: &[ConfigFile],
    values: &Values,
    instead: Option<&Path>,
    dir: &Path,
) -> anyhow::Result<()> {
    for file in files {
        let text = text(peer, file, instead)?;
        let filled = values.fill(&text).with_context(|| format!("{peer}/{}", file.name))?;
        let path = dir.join(file.name_there);
        fs::write(&path, filled).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn text(peer: &str, file: &ConfigFile, instead: Option<&Path>) -> anyhow::Result<String> {
    let own: Option<PathBuf> = instead.map(|dir| dir.join(peer).join(file.name));
    match own.filter(|path| path.exists()) {
        Some(path) => {
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        }
        None => Ok(file.text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_other_signs_stay() {
        let values = Values::default().with("PORT", 1883).with("DIR", "a/b");
        let text = "port @PORT@ at @DIR@/@PORT@, user@host @ @lower@ @@ @PORT";
        let filled = "port 1883 at a/b/1883, user@host @ @lower@ @@ @PORT";
        assert_eq!(values.fill(text).unwrap(), filled);
        let error = values.fill("x @PROT@").unwrap_err().to_string();
        assert!(error.contains("@PROT@"), "{error}");
    }

    #[test]
    fn an_own_file_is_taken_instead_of_the_one_that_ships() {
        let dir = tempfile::tempdir().unwrap();
        let (own, into) = (dir.path().join("own"), dir.path().join("into"));
        fs::create_dir_all(own.join("peer")).unwrap();
        fs::create_dir(&into).unwrap();
        let file = |name, text| ConfigFile { name, name_there: name, text };
        let files = [file("a.conf", "ships @PORT@"), file("b.conf", "ships, too")];
        fs::write(own.join("peer/a.conf"), "own @PORT@").unwrap();
        let values = Values::default().with("PORT", 7);
        write("peer", &files, &values, Some(&own), &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("a.conf")).unwrap(), "own 7");
        assert_eq!(fs::read_to_string(into.join("b.conf")).unwrap(), "ships, too");
        write("peer", &files, &values, None, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("a.conf")).unwrap(), "ships 7");
    }
}

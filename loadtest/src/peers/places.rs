//! Where programs are: `PATH`, and the folders that servers are often in besides.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Stands for this program itself among the names that are looked for.
pub const SELF: &str = "@SELF@";

/// Folders to look into.
#[derive(Debug, Clone)]
pub struct Places {
    folders: Vec<PathBuf>,
    own: PathBuf,
}

impl Places {
    /// Those of this process: `PATH`, folders of system programs that a plain user's `PATH` may
    /// lack, and where `cargo install` puts programs.
    ///
    /// # Errors
    /// The system does not say which program this is.
    pub fn of_this_process() -> anyhow::Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
        folders.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
        folders.extend(env::var_os("HOME").map(|home| Path::new(&home).join(".cargo/bin")));
        Ok(Self { folders, own: env::current_exe()? })
    }

    /// Some folders only; `own` is this program.
    #[must_use]
    pub fn of(folders: Vec<PathBuf>, own: PathBuf) -> Self {
        Self { folders, own }
    }

    /// This program.
    #[must_use]
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// The first of `names` that is there: an absolute path, a name to look for in the folders, or
    /// [`SELF`].
    #[must_use]
    pub fn find(&self, names: &[&str]) -> Option<PathBuf> {
        names.iter().find_map(|name| {
            if *name == SELF {
                return Some(self.own.clone());
            }
            if name.starts_with('/') {
                return Some(PathBuf::from(name)).filter(|path| is_program(path));
            }
            self.folders.iter().map(|folder| folder.join(name)).find(|path| is_program(path))
        })
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_found_and_the_first_name_wins() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for (folder, name, mode) in [(&one, "broker", 0o644), (&two, "broker", 0o755)] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let own = dir.path().join("own");
        let places = Places::of(vec![one.clone(), two.clone()], own.clone());
        assert_eq!(places.find(&["broker"]), Some(two.join("broker")));
        assert_eq!(places.find(&["absent", "broker"]), Some(two.join("broker")));
        let absolute = two.join("broker").to_string_lossy().into_owned();
        assert_eq!(places.find(&[&absolute]), Some(two.join("broker")));
        assert_eq!(places.find(&["absent", "one"]), None);
        assert_eq!(places.find(&[SELF]), Some(own));
    }
}

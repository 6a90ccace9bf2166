//! What is installed, and what is missing.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::catalog::{Peer, Setup};
use super::interrupt::{Interrupt, Interrupted};
use super::places::Places;
use super::process::output_of;
use super::version;

const VERSION_LIMIT: Duration = Duration::from_secs(30);
/// Stands for a version that a program does not tell.
pub const UNKNOWN: &str = "?";

/// A peer that was looked for.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Which.
    pub peer: &'static Peer,
    /// Its program, when it can be compared with.
    pub program: Option<PathBuf>,
    /// Its version.
    pub version: String,
    /// Why it cannot be compared with; empty when it can.
    pub missing: String,
}

/// A peer, or a class of one, that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which, with the class when it is only that.
    pub what: String,
    /// Why, and what to do about it.
    pub why: String,
}

impl Survey {
    /// Looks for a peer and asks its version. `drivers` are those of this build.
    ///
    /// # Errors
    /// An interrupt.
    pub fn of(
        peer: &'static Peer,
        places: &Places,
        drivers: &[String],
        interrupt: &Interrupt,
    ) -> Result<Self, Interrupted> {
        let mut missing = Vec::new();
        let program = places.find(peer.launch.programs);
        for launch in [Some(peer.launch), peer.beside].into_iter().flatten() {
            if places.find(launch.programs).is_none() {
                let names = launch.programs.join(" or ");
                missing.push(format!("{names} is not installed ({})", peer.from));
            }
        }
        if !drivers.iter().any(|driver| driver == peer.driver) {
            missing.push(format!("this build has no driver {}", peer.driver));
        }
        let version = match program {
            Some(_) => version_of(peer.version.programs, peer.version.args, places, interrupt),
            None => UNKNOWN.to_owned(),
        };
        interrupt.check()?;
        Ok(Self { peer, program, version, missing: missing.join("; ") })
    }

    /// Whether the installed version can be that class, and why not.
    #[must_use]
    pub fn too_old_for(&self, setup: &Setup) -> Option<LeftOut> {
        let (major, minor) = setup.version_least?;
        if version::is_at_least(&self.version, (major, minor)) {
            return None;
        }
        let (name, class, version) = (self.peer.name, setup.class, &self.version);
        Some(LeftOut {
            what: format!("{name}, {class}"),
            why: format!("needs {major}.{minor}, this is {version} ({})", self.peer.from),
        })
    }
}

/// The version that a program tells; a program that cannot be asked has none.
#[must_use]
pub fn version_of(
    programs: &[&str],
    args: &[&str],
    places: &Places,
    interrupt: &Interrupt,
) -> String {
    let said = places.find(programs).and_then(|program| {
        output_of(Command::new(program).args(args), VERSION_LIMIT, interrupt).ok()
    });
    said.and_then(|said| version::find(&said)).unwrap_or_else(|| UNKNOWN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::catalog::named;

    #[test]
    fn what_is_not_installed_is_reported_with_where_to_get_it() {
        let places = Places::of(Vec::new(), PathBuf::from("own"));
        let nats = named("nats").unwrap();
        let drivers = ["jetstream".to_owned()];
        let survey = Survey::of(nats, &places, &drivers, &Interrupt::default()).unwrap();
        assert!(survey.missing.contains("nats-server is not installed"), "{survey:?}");
        assert!(survey.missing.contains(nats.from) && survey.program.is_none());
        let survey = Survey::of(nats, &places, &[], &Interrupt::default()).unwrap();
        assert!(survey.missing.contains("no driver jetstream"), "{survey:?}");
    }

    #[test]
    fn an_old_version_is_left_out_of_one_class_only() {
        let peer = named("nats").unwrap();
        let version = "2.9.10".to_owned();
        let survey = Survey { peer, program: None, version, missing: String::new() };
        let left_out: Vec<LeftOut> =
            peer.setups.iter().filter_map(|setup| survey.too_old_for(setup)).collect();
        assert_eq!(left_out.len(), 1);
        assert_eq!(left_out[0].what, "nats, fsync");
        assert!(left_out[0].why.contains("2.10") && left_out[0].why.contains("2.9.10"));
    }
}

//! Plan files: TOML, one scenario each.
//!
//! ```toml
//! scenario = "direct"
//! [load]
//! connections = 2000
//! window = 1
//! ```
//!
//! Keys are the names of the flags, in the table of their heading; a key that no flag has is
//! refused.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::cli::capacity::CapacityFlags;
use crate::cli::cold_start::ColdStartFlags;
use crate::cli::connect_storm::StormFlags;
use crate::cli::group_fanout::GroupFanoutFlags;
use crate::cli::idle::IdleFlags;
use crate::cli::load::LoadFlags;
use crate::cli::mixed_day::MixedDayFlags;
use crate::cli::offline_catchup::OfflineCatchupFlags;
use crate::cli::slow_consumers::SlowConsumersFlags;
use crate::cli::soak::SoakFlags;
use crate::plan::PlanError;

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// Name of the subcommand that carries it out.
    pub scenario: String,
    /// Load.
    #[serde(default)]
    pub load: LoadFlags,
    /// Sessions that do nothing.
    #[serde(default)]
    pub idle: IdleFlags,
    /// Sign-ins.
    #[serde(default)]
    pub storm: StormFlags,
    /// A search for the highest rate.
    #[serde(default)]
    pub capacity: CapacityFlags,
    /// Groups.
    #[serde(default, rename = "group-fanout")]
    pub group_fanout: GroupFanoutFlags,
    /// A day on one server.
    #[serde(default, rename = "mixed-day")]
    pub mixed_day: MixedDayFlags,
    /// People who were away.
    #[serde(default, rename = "offline-catchup")]
    pub offline_catchup: OfflineCatchupFlags,
    /// Slow readers.
    #[serde(default, rename = "slow-consumers")]
    pub slow_consumers: SlowConsumersFlags,
    /// A steady load for a long time.
    #[serde(default)]
    pub soak: SoakFlags,
    /// Cold starts.
    #[serde(default, rename = "cold-start")]
    pub cold_start: ColdStartFlags,
}

impl PlanFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, is not TOML, or has a key that means nothing; the message says where.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = fs::read_to_string(path)
            .map_err(|error| PlanError::new(format!("{}: {error}", path.display())))?;
        toml::from_str(&text)
            .map_err(|error| PlanError::new(format!("{}: {error}", path.display())))
    }

    /// The file's values for `scenario`; empty ones without a file.
    ///
    /// # Errors
    /// As [`PlanFile::read`], or the file is for another scenario.
    pub fn of(path: Option<&Path>, scenario: &str) -> Result<Self, PlanError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let file = Self::read(path)?;
        if file.scenario != scenario {
            let (path, is) = (path.display(), &file.scenario);
            return Err(PlanError::new(format!("{path} is a plan for {is}, not for {scenario}")));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_other_scenarios_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plan.toml");
        fs::write(&file, "scenario = \"direct\"\n[load]\nconections = 5\n").unwrap();
        let error = PlanFile::read(&file).unwrap_err().to_string();
        assert!(error.contains("conections") && error.contains("plan.toml"), "{error}");
        fs::write(&file, "scenario = \"direct\"\n[load]\nconnections = 5\n").unwrap();
        assert_eq!(PlanFile::of(Some(&file), "direct").unwrap().load.connections, Some(5));
        let error = PlanFile::of(Some(&file), "idle").unwrap_err().to_string();
        assert!(error.contains("for direct"), "{error}");
        assert_eq!(PlanFile::of(None, "idle").unwrap(), PlanFile::default());
    }

    #[test]
    fn every_plan_that_ships_can_be_read() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
        let mut plans = 0;
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let file = PlanFile::read(&entry.path()).unwrap();
            file.load.plan(crate::plan::Plan::default()).check().unwrap();
            file.storm.plan().check().unwrap();
            file.idle.plan().check().unwrap();
            file.cold_start.plan().check().unwrap();
            plans += 1;
        }
        assert!(plans > 0);
    }
}

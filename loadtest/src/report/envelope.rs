//! Results of any scenario, read back from their JSON files.
//!
//! Owns which shape belongs to which scenario: `capacity`, `cold-start`, `connect-storm` and `idle`
//! have their own, every other one is a [`RunReport`]. A file holds one result or a list of them. What is not known is refused
//! with the name of the file, never passed over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::probe::Machine;
use crate::report::{EXIT_OK, RunReport, Verdict};
use crate::scenario::cold_start::ColdStartReport;
use crate::scenario::connect_storm::StormReport;
use crate::scenario::idle::IdleReport;
use crate::series::CurvePoint;

/// Largest result file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A search for the highest rate: one point per rate that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityReport {
    /// Always `capacity`.
    pub scenario: String,
    /// Version of this program.
    #[serde(default)]
    pub generator: String,
    /// What it was pointed at.
    #[serde(default)]
    pub driver: String,
    /// Seconds since 1970, at the first send.
    #[serde(default)]
    pub started_unix_s: u64,
    /// Where it ran.
    #[serde(default)]
    pub machine: Machine,
    /// What was to be done, in the scenario's own form.
    #[serde(default)]
    pub plan: Value,
    /// By the order in which they were tried.
    pub curve: Vec<CurvePoint>,
    /// What to make of it.
    #[serde(default)]
    pub verdict: Verdict,
}

/// A result of any scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyReport {
    /// `capacity`.
    Capacity(Box<CapacityReport>),
    /// `cold-start`.
    ColdStart(Box<ColdStartReport>),
    /// `idle`.
    Idle(Box<IdleReport>),
    /// `direct`, `fill`, and whatever else is one run with one outcome.
    Run(Box<RunReport>),
    /// `connect-storm`.
    Storm(Box<StormReport>),
}

/// A result with the name it goes by on a page: that of its file, without the folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Shown beside every figure; may hold anything, so it is escaped wherever it is written.
    pub name: String,
    /// The result.
    pub report: AnyReport,
}

/// A file that cannot be used. Asking again changes nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// It holds a list without results.
    #[error("{}: there is no result in it", .0.display())]
    Empty(PathBuf),
    /// It is not JSON.
    #[error("{}: not JSON: {source}", .path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// It cannot be read, or is larger than [`FILE_BYTES_MAX`].
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its scenario is known, and its shape is not that of such a result.
    #[error("{}: not a result of {scenario:?}: {source}", .path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        scenario: String,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// It is JSON, and no result of this program.
    #[error(
        "{}: no result of hongyan-loadtest: {what} (known are direct, fill and other single runs, \
         idle, capacity, connect-storm, cold-start, and lists of these)", .path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        what: String,
    },
}

impl Source {
    /// The results in a file, in their order. Those of a list are named by their place in it.
    ///
    /// # Errors
    /// Any [`EnvelopeError`]; all name the file.
    pub fn read(path: &Path) -> Result<Vec<Self>, EnvelopeError> {
        let text = read_bounded(path)
            .map_err(|source| EnvelopeError::Read { path: path.to_path_buf(), source })?;
        let value = serde_json::from_str(&text)
            .map_err(|source| EnvelopeError::NotJson { path: path.to_path_buf(), source })?;
        let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let Value::Array(list) = value else {
            return Ok(vec![Self { name: stem, report: AnyReport::from_json(value, path)? }]);
        };
        if list.is_empty() {
            return Err(EnvelopeError::Empty(path.to_path_buf()));
        }
        list.into_iter()
            .enumerate()
            .map(|(index, value)| {
                let report = AnyReport::from_json(value, path)?;
                Ok(Self { name: format!("{stem} #{}", index + 1), report })
            })
            .collect()
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

impl AnyReport {
    /// Reads one result; `path` is only for what is said when it is none.
    ///
    /// # Errors
    /// [`EnvelopeError::Unknown`] and [`EnvelopeError::Shape`].
    pub fn from_json(value: Value, path: &Path) -> Result<Self, EnvelopeError> {
        let unknown = |what| EnvelopeError::Unknown { path: path.to_path_buf(), what };
        let Some(scenario) = value.get("scenario").and_then(Value::as_str).map(str::to_owned)
        else {
            return Err(unknown("there is no \"scenario\" in it".to_owned()));
        };
        match scenario.as_str() {
            "capacity" => of_shape(value, path, scenario).map(Self::Capacity),
            "cold-start" => of_shape(value, path, scenario).map(Self::ColdStart),
            "connect-storm" => of_shape(value, path, scenario).map(Self::Storm),
            "idle" => of_shape(value, path, scenario).map(Self::Idle),
            _ if value.get("outcome").is_some() => of_shape(value, path, scenario).map(Self::Run),
            _ => Err(unknown(format!("its scenario is {scenario:?}"))),
        }
    }

    /// Name of the scenario.
    #[must_use]
    pub fn scenario(&self) -> &str {
        match self {
            Self::Capacity(report) => &report.scenario,
            Self::ColdStart(report) => &report.scenario,
            Self::Idle(report) => &report.scenario,
            Self::Run(report) => &report.scenario,
            Self::Storm(report) => &report.scenario,
        }
    }

    /// What it was pointed at; empty where the result does not say.
    #[must_use]
    pub fn driver(&self) -> &str {
        match self {
            Self::Capacity(report) => &report.driver,
            Self::ColdStart(_) | Self::Idle(_) | Self::Storm(_) => "",
            Self::Run(report) => &report.driver,
        }
    }

    /// Where it ran.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        match self {
            Self::Capacity(report) => &report.machine,
            Self::ColdStart(report) => &report.machine,
            Self::Idle(report) => &report.machine,
            Self::Run(report) => &report.machine,
            Self::Storm(report) => &report.machine,
        }
    }

    /// What to make of it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Capacity(report) => report.verdict.clone(),
            Self::ColdStart(report) => report.verdict.clone(),
            Self::Idle(report) => Verdict {
                exit_code: report.exit_code,
                failures: match (report.exit_code, report.closed) {
                    (EXIT_OK, _) => Vec::new(),
                    (_, closed) => vec![format!("the server ended {closed} sessions")],
                },
                doubts: Vec::new(),
            },
            Self::Run(report) => report.verdict.clone(),
            Self::Storm(report) => report.verdict.clone(),
        }
    }

    /// The plan as names and values, nested names joined by a dot, in alphabetical order.
    #[must_use]
    pub fn plan_fields(&self) -> BTreeMap<String, String> {
        let plan = match self {
            Self::Capacity(report) => Ok(report.plan.clone()),
            Self::ColdStart(report) => serde_json::to_value(&report.plan),
            Self::Idle(report) => serde_json::to_value(&report.plan),
            Self::Run(report) => serde_json::to_value(&report.plan),
            Self::Storm(report) => serde_json::to_value(&report.plan),
        };
        let mut fields = BTreeMap::new();
        flatten("", &plan.unwrap_or_default(), &mut fields);
        fields
    }
}

fn of_shape<T: DeserializeOwned>(
    value: Value,
    path: &Path,
    scenario: String,
) -> Result<Box<T>, EnvelopeError> {
    serde_json::from_value(value).map(Box::new).map_err(|source| EnvelopeError::Shape {
        path: path.to_path_buf(),
        scenario,
        source,
    })
}

/// serde_json bounds the depth of what it reads, so this ends.
fn flatten(name: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, fields);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            fields.insert(name.to_owned(), text.clone());
        }
        other => {
            fields.insert(name.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Vec<Source>, EnvelopeError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.json");
        fs::write(&path, text).unwrap();
        Source::read(&path)
    }

    #[test]
    fn what_is_no_result_is_refused_by_name() {
        for (text, part) in [
            ("{", "not JSON"),
            ("[]", "no result"),
            ("3", "no \"scenario\""),
            (r#"{"scenario":"weather"}"#, "weather"),
            (r#"[{"scenario":"idle"}]"#, "not a result of \"idle\""),
            (r#"{"scenario":"direct","outcome":{}}"#, "not a result of \"direct\""),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("some.json") && error.contains(part), "{error}");
        }
        let absent = Source::read(Path::new("absent.json")).unwrap_err().to_string();
        assert!(absent.contains("absent.json"), "{absent}");
    }

    #[test]
    fn a_list_is_named_by_place() {
        let point = json!({"offered_per_s": 1.0, "acked_per_s": 1.0, "ack_p50_us": 1.0,
            "ack_p99_us": 1.0, "ack_p999_us": 1.0, "e2e_p99_us": 1.0, "valid": true});
        let one = json!({"scenario": "capacity", "curve": [point], "plan": {"a": {"b": 2}}});
        let sources = read(&json!([one, one]).to_string()).unwrap();
        assert_eq!(sources[1].name, "some #2");
        let report = &sources[0].report;
        assert_eq!((report.scenario(), report.verdict().exit_code), ("capacity", EXIT_OK));
        assert_eq!(report.plan_fields()["a.b"], "2");
    }
}

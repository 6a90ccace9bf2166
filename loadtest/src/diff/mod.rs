//! Two results, or two sets of them: better, worse or noise, figure by figure.
//!
//! Owns what may be compared at all. A comparison of other plans, other machines, or of runs that
//! are no evidence is refused ([`EXIT_NOT_EVIDENCE`]) unless it is asked for all the same. What
//! counts as more than noise is stated in `figure` and printed with every line.

mod comparable;
mod figure;
mod rank;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::{Serialize, Serializer};

pub use self::figure::{PROBABILITY_MAX, TICKS_MIN, UNTESTED_FACTOR};
use crate::number::Unit;
use crate::report::{EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK, EnvelopeError, Source};

/// Arguments of the subcommand `diff`.
#[derive(Debug, Clone, Default, Args)]
pub struct DiffArgs {
    /// The result to start from, and the one to judge.
    #[arg(num_args = 2, value_names = ["A", "B"], required_unless_present = "a",
          conflicts_with_all = ["a", "b"])]
    pub pair: Vec<PathBuf>,
    /// A result to start from; with several, what overlaps is noise.
    #[arg(long, value_name = "JSON", requires = "b")]
    pub a: Vec<PathBuf>,
    /// A result to judge; may be given several times, too.
    #[arg(long, value_name = "JSON", requires = "a")]
    pub b: Vec<PathBuf>,
    /// Compares what should not be compared, too.
    #[arg(long)]
    pub anyway: bool,
    /// Writes the comparison to a file, too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// What became of a figure from A to B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// One side does not have it.
    Absent,
    /// It changed for the better.
    Better,
    /// No change that could not be chance.
    Noise,
    /// It changed for the worse.
    Worse,
}

/// One figure on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it is.
    pub figure: &'static str,
    /// How it is written; in the JSON the name of the unit.
    #[serde(serialize_with = "unit_name")]
    pub unit: Unit,
    /// Of side A; the median of several runs.
    pub a: Option<f64>,
    /// Of side B.
    pub b: Option<f64>,
    /// From A to B; `None` when A is zero or one is absent.
    pub change_percent: Option<f64>,
    /// What to make of it.
    pub judgement: Judgement,
    /// What it would have to show to be more than noise, and what it showed.
    pub rule: String,
}

/// Everything that a comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Names of the results on side A.
    pub a: Vec<String>,
    /// Names of the results on side B.
    pub b: Vec<String>,
    /// Why the two should not be compared; with any, there are no rows unless it was asked for.
    pub objections: Vec<String>,
    /// What to keep in mind.
    pub notes: Vec<String>,
    /// The figures that at least one side has.
    pub rows: Vec<Row>,
    /// 0 no figure is worse, 1 one is, 2 not comparable.
    pub exit_code: u8,
}

/// The subcommand `diff`; gives its exit code. A file that is no result is not comparable, and so
/// ends with [`EXIT_NOT_EVIDENCE`] like every other comparison that proves nothing.
///
/// # Errors
/// The comparison cannot be written.
pub fn diff(args: &DiffArgs) -> anyhow::Result<u8> {
    let (a, b) = match args.pair.as_slice() {
        [a, b] => (std::slice::from_ref(a), std::slice::from_ref(b)),
        _ => (args.a.as_slice(), args.b.as_slice()),
    };
    let (a, b) = match (read(a), read(b)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("hongyan-loadtest: not comparable: {error}");
            return Ok(EXIT_NOT_EVIDENCE);
        }
    };
    let comparison = Comparison::of(&a, &b, args.anyway);
    print!("{comparison}");
    if let Some(path) = &args.json {
        write_json(&comparison, path)?;
    }
    Ok(comparison.exit_code)
}

fn read(paths: &[PathBuf]) -> Result<Vec<Source>, EnvelopeError> {
    let mut sources = Vec::new();
    for path in paths {
        sources.extend(Source::read(path)?);
    }
    Ok(sources)
}

fn write_json(comparison: &Comparison, path: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(comparison)?;
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

impl Comparison {
    /// Compares side `b` with side `a`; `anyway` also when there are objections.
    #[must_use]
    pub fn of(a: &[Source], b: &[Source], anyway: bool) -> Self {
        let mut objections = comparable::objections(a, b);
        let mut rows: Vec<Row> = Vec::new();
        if objections.is_empty() || anyway {
            rows = figure::FIGURES.iter().filter_map(|figure| figure.compare(a, b)).collect();
            if rows.iter().all(|row| row.judgement == Judgement::Absent) {
                objections.push("there is no figure that both sides have".to_owned());
                rows.clear();
            }
        }
        let exit_code = if rows.is_empty() {
            EXIT_NOT_EVIDENCE
        } else if rows.iter().any(|row| row.judgement == Judgement::Worse) {
            EXIT_FAILED
        } else {
            EXIT_OK
        };
        let names = |side: &[Source]| side.iter().map(|source| source.name.clone()).collect();
        let notes = comparable::notes(a, b);
        Self { a: names(a), b: names(b), objections, notes, rows, exit_code }
    }

    /// Rows with this judgement.
    #[must_use]
    pub fn count(&self, judgement: Judgement) -> usize {
        self.rows.iter().filter(|row| row.judgement == judgement).count()
    }
}

/// By reference, because serde calls it so.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn unit_name<S: Serializer>(unit: &Unit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match unit {
        Unit::Bytes => "bytes",
        Unit::Cores => "cores",
        Unit::Count => "count",
        Unit::Micros => "microseconds",
        Unit::Ratio => "ratio",
        Unit::Seconds => "seconds",
    })
}

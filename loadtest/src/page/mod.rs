//! Results as one HTML page that is whole by itself: no script, nothing fetched, readable on a
//! phone, in light and dark, and by those who cannot see the charts.
//!
//! ```text
//! head ── figures ── curve ── spectrum ── timeline ── pulse ── idle ── findings
//!                      └ traces ─ chart ─ drawing (SVG) ─ scale      markup (escaping, tables)
//! ```
//!
//! Owns how results look; judges nothing. Charts are drawn here and not by a library, because they
//! must follow the style sheet's colours in light and dark, keep their letters legible at 360
//! pixels, and carry titles and descriptions; drawing libraries write fixed colours and sizes.
//!
//! # Invariants
//! - Text from a result reaches the page only escaped.
//! - The page is bounded: [`REPORTS_MAX`] results, a bounded number of points per line.

mod chart;
mod curve;
mod drawing;
mod figures;
mod head;
mod idle;
mod markup;
mod pulse;
mod scale;
mod spectrum;
mod timeline;
mod traces;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use self::markup::{Escaped, Markup};
use crate::report::{EXIT_OK, Source};

/// Results on one page; more lines in one chart cannot be told apart.
pub const REPORTS_MAX: usize = 16;

const STYLE: &str = include_str!("style.css");

/// Arguments of the subcommand `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Results, as --json wrote them; a file may hold a list.
    #[arg(required = true, value_name = "JSON")]
    pub results: Vec<PathBuf>,
    /// Where to write the page.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub output: PathBuf,
}

/// The subcommand `report`: one page about the results in some files.
///
/// # Errors
/// A file is no result, there are too many, or the page cannot be written.
pub fn report(args: &ReportArgs) -> anyhow::Result<u8> {
    let mut sources = Vec::new();
    for path in &args.results {
        sources.extend(Source::read(path)?);
    }
    write_html(&sources, &args.output)?;
    println!("{} result(s) in {}", sources.len(), args.output.display());
    Ok(EXIT_OK)
}

/// Writes one page about `sources`.
///
/// # Errors
/// There are none or more than [`REPORTS_MAX`], or the file cannot be written.
pub fn write_html(sources: &[Source], path: &Path) -> anyhow::Result<()> {
    if sources.is_empty() || sources.len() > REPORTS_MAX {
        bail!("a page shows 1 to {REPORTS_MAX} results, not {}", sources.len());
    }
    fs::write(path, render(sources)).with_context(|| format!("writing {}", path.display()))
}

/// One page about `sources`, complete.
#[must_use]
pub fn render(sources: &[Source]) -> String {
    let mut out = Markup::default();
    let title = head::title(sources);
    // The policy makes a browser refuse what must not be there anyway.
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} - hongyan-loadtest</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        Escaped(&title)
    );
    head::put(&mut out, sources);
    figures::put(&mut out, sources);
    curve::put(&mut out, sources);
    spectrum::put(&mut out, sources);
    timeline::put(&mut out, sources);
    pulse::put(&mut out, sources);
    idle::put(&mut out, sources);
    figures::put_findings(&mut out, sources);
    out.raw(FOOT);
    out.into_string()
}

const FOOT: &str = "<footer><p>Latency counts from the planned moment of a send; \
    \u{201c}uncorrected\u{201d} counts from the real one and hides what a stall did to sends that \
    were due meanwhile. CPU and memory are what the system says about the process. A verdict \
    of \u{201c}no evidence\u{201d} means that the generator was the bottleneck or late: the \
    figures are shown and prove nothing.</p></footer>\n</main>\n</body>\n</html>\n";

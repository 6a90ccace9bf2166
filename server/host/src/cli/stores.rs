//! `hongyan check` and `hongyan audit`.

use std::path::Path;

use hongyan_store::StoreError;

use super::accounts::without_listeners;
use super::{CONFIG, DONE, Failure, IO, REFUSED, Settings, USAGE};
use crate::admin::client;
use crate::audit;
use crate::boot::store_options;
use crate::config::Config;
use crate::node::Node;

fn failure(error: &StoreError) -> Failure {
    let code = match error {
        StoreError::Misuse { .. } => USAGE,
        other => crate::shared::exit_code(other),
    };
    Failure::new(code, error)
}

/// Refuses a directory without a store, where an open would make one. A store
/// that lost its identity is one: opening it says what is wrong.
pub(super) fn demand_store(dir: &Path) -> Result<(), Failure> {
    let has = |name: &str| dir.join(name).exists();
    let parts = ["log", "log-sled", "views", "high-water", "checkpoint"];
    if has("identity") || (parts.into_iter().any(has) && !has("creating")) {
        return Ok(());
    }
    Err(Failure::new(USAGE, format!("there is no store in {}", dir.display())))
}

pub(super) fn check(dir: &Path) -> Result<u8, Failure> {
    let report = hongyan_store::check(dir).map_err(|error| failure(&error))?;
    println!(
        "log {} to {}, checkpoint {}, {} bytes verified",
        report.first.0, report.last.0, report.checkpoint.0, report.verified_bytes
    );
    for note in &report.notes {
        println!("note: {note}");
    }
    for fault in &report.faults {
        println!("fault: {fault}");
    }
    match report.exit_code() {
        0 => Ok(DONE),
        code if code == hongyan_store::EXIT_REFUSED => Ok(CONFIG),
        _ => Ok(IO),
    }
}

/// Replays and settles first, so that the log's tail is in the views too,
/// then walks the views.
pub(super) fn audit(settings: &Settings, dir: &Path) -> Result<u8, Failure> {
    demand_store(dir)?;
    if client::find(dir)?.is_some() {
        return Err(Failure::new(IO, "a server is running on it; stop it first"));
    }
    let mut raw = settings.raw()?;
    raw.store.dir = dir.display().to_string();
    let config = without_listeners(Config::check(&raw)?);
    let store = store_options(&config.store);
    if !Node::start(config)?.shutdown().settled {
        return Err(Failure::new(IO, "the log could not be settled into the views"));
    }
    let opened = hongyan_store::open(&store).map_err(|error| failure(&error))?;
    let report = audit::audit(opened.views.as_ref()).map_err(|error| failure(&error))?;
    println!(
        "{} accounts, {} conversations, {} messages in {} pages, {} list entries",
        report.accounts, report.conversations, report.messages, report.pages, report.listed
    );
    for difference in &report.differences {
        println!("difference: {difference}");
    }
    if report.hidden > 0 {
        println!("and {} more differences", report.hidden);
    }
    if report.differences.is_empty() {
        println!("no differences");
        Ok(DONE)
    } else {
        Ok(REFUSED)
    }
}

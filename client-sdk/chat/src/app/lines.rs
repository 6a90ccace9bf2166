//! Plain mode: lines in, lines out.
//!
//! A line is read only when what the one before asked for is done, so a
//! script needs no waiting of its own. At the end of the input the program
//! stays until its messages are with the server, at most ten seconds.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use hongyan_client::{Client, Status};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::Instant;

use super::engine::Engine;
use super::feed::Feed;
use super::screen::stop_signal;
use crate::io::{Command, Input};
use crate::model::Model;
use crate::plain::Printer;

/// Runs the model in lines until it quits or the input ends.
pub(super) async fn run(
    mut model: Model,
    client: Client,
    first: Vec<Command>,
) -> anyhow::Result<()> {
    let (mut engine, happened) = Engine::new(client.clone());
    let mut feed = Feed::new(client, happened);
    let mut printer = Printer::default();
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    let mut ready = false;
    let mut end_by: Option<Instant> = None;
    for command in first {
        engine.run(command);
    }
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        let reads = ready && end_by.is_none() && engine.is_idle();
        let input = tokio::select! {
            input = feed.next() => input,
            line = typed.next_line(), if reads => match line? {
                Some(line) => Input::Line(line),
                None => {
                    end_by = Some(Instant::now() + DRAIN);
                    Input::Tick(super::feed::now_ms())
                }
            },
            () = &mut stop => return Ok(()),
        };
        engine.end(std::mem::take(&mut feed.ended));
        printer.note(&model, &input);
        for command in model.update(input) {
            if !matches!(command, Command::Bell | Command::Quit) {
                engine.run(command);
            }
        }
        if let Some(objection) = model.login_objection().filter(|_| !ready) {
            bail!("cannot sign in: {objection}");
        }
        ready |= model.link.status == Status::Live;
        let mut out = std::io::stdout().lock();
        for line in printer.lines(&mut model) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        let sent = engine.is_idle() && !model.is_sending();
        let ended = end_by.is_some_and(|by| sent || by <= Instant::now());
        let signed_out = ready && model.login.is_some();
        if model.quitting || ended || signed_out {
            return Ok(());
        }
    }
}

const DRAIN: Duration = Duration::from_secs(10);

//! The terminal: set up on entry, given back in every case, panics included.

use std::io::{IsTerminal, Stdout, Write, stdout};
use std::sync::Once;

use anyhow::{Context, bail};
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange, Event,
    EventStream, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags,
    PushKeyboardEnhancementFlags,
};
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, terminal};
use hongyan_client::Client;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio_stream::StreamExt;

use super::engine::Engine;
use super::feed::Feed;
use crate::io::{Command, Input};
use crate::model::Model;
use crate::view;

/// Runs the model on the terminal until it quits.
pub(super) async fn run(
    mut model: Model,
    client: Client,
    first: Vec<Command>,
) -> anyhow::Result<()> {
    if !stdout().is_terminal() {
        bail!("this is not a terminal; --plain works with lines");
    }
    let (mut engine, happened) = Engine::new(client.clone());
    let mut feed = Feed::new(client, happened);
    let mut screen = Screen::open().context("the terminal cannot be set up")?;
    let mut keys = EventStream::new();
    let (columns, rows) = terminal::size()?;
    let mut inputs = vec![Input::Resize { columns, rows }];
    for command in first {
        engine.run(command);
    }
    let mut stop = std::pin::pin!(stop_signal());
    while !model.quitting {
        for input in inputs.drain(..) {
            for command in model.update(input) {
                match command {
                    Command::Bell => screen.ring()?,
                    Command::Quit => {}
                    command => engine.run(command),
                }
            }
        }
        screen.terminal.draw(|frame| view::draw(frame, &model))?;
        tokio::select! {
            input = feed.next() => inputs.push(input),
            key = keys.next() => match key {
                Some(event) => inputs.extend(input_of(event?)),
                None => break,
            },
            () = &mut stop => break,
        }
        engine.end(std::mem::take(&mut feed.ended));
    }
    Ok(())
}

fn input_of(event: Event) -> Option<Input> {
    match event {
        Event::FocusGained => Some(Input::Focus(true)),
        Event::FocusLost => Some(Input::Focus(false)),
        Event::Key(key) => Some(Input::Key(key)),
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Resize(columns, rows) => Some(Input::Resize { columns, rows }),
        Event::Mouse(_) => None,
    }
}

/// Waits until the system asks the program to end.
#[cfg(unix)]
pub(super) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
        (Ok(mut terminate), Ok(mut hangup)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// Waits until the system asks the program to end.
#[cfg(not(unix))]
pub(super) async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn open() -> std::io::Result<Self> {
        restore_on_panic();
        enable_raw_mode()?;
        // From here on dropping it gives the terminal back.
        let screen = Self { terminal: Terminal::new(CrosstermBackend::new(stdout()))? };
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange)?;
        // Tells Shift-Enter from Enter; terminals without it take no notice.
        let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES;
        execute!(stdout(), PushKeyboardEnhancementFlags(flags)).ok();
        Ok(screen)
    }

    fn ring(&self) -> std::io::Result<()> {
        let mut out = stdout();
        out.write_all(b"\x07")?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back; what fails has no better way out.
fn restore() {
    execute!(stdout(), PopKeyboardEnhancementFlags).ok();
    execute!(
        stdout(),
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    )
    .ok();
    disable_raw_mode().ok();
}

/// A panic's message is to be read on the user's own screen.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

//! Clients of the server under torture.

use std::time::Duration;

use anyhow::Context;
use hongyan_client::wire::RawConnection;
use hongyan_client::{Client, ConversationId, Opcode, pb};

use crate::canon::Canon;
use crate::cast::{Cast, Person};
use crate::reading::{Session, View};

/// Waits no longer for one thing that a live server does at once.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A client of the SDK on one device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Index of the person.
    pub person: usize,
    /// Which device, for people.
    pub viewer: String,
    /// The client.
    pub client: Client,
}

impl Device {
    /// A client that nobody is signed in on; it comes back to a restarted
    /// server within half a second.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub async fn new(address: &str, person: usize, letter: char) -> anyhow::Result<Self> {
        let viewer = format!("device-{person}{letter}");
        let client = Client::builder(address)
            .plaintext()
            .device_id(viewer.clone())
            .events_max(16_384)
            .configure(|config| {
                config.backoff.base_ms = 20;
                config.backoff.delay_max_ms = 400;
            })
            .build()
            .await?;
        Ok(Self { person, viewer, client })
    }

    /// Waits until the client is in session and has caught up.
    ///
    /// # Errors
    /// When it does not in time, or was signed out.
    pub async fn live(&self) -> anyhow::Result<()> {
        let live = tokio::time::timeout(PATIENCE, self.client.wait_live()).await;
        live.with_context(|| {
            format!("{} is not live again: {:?}", self.viewer, self.client.status())
        })?
        .with_context(|| format!("{} cannot come back", self.viewer))
    }
}

/// How much of the messages is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Full,
    /// From so many before the newest that is known.
    Tail(u64),
}

impl Depth {
    fn first_seq(self, canon: &Canon, id: ConversationId) -> u64 {
        match self {
            Self::Full => 1,
            Self::Tail(before) => {
                let last = canon.lines.get(&id).map_or(0, |line| line.last_seq);
                last.saturating_sub(before).max(1)
            }
        }
    }
}

/// Reads what `session` of a person is shown of all their rooms.
///
/// # Errors
/// What a request can meet.
pub async fn look(
    session: &mut Session<'_>,
    cast: &Cast,
    canon: &Canon,
    person: usize,
    viewer: &str,
    depth: impl Fn(ConversationId) -> Depth,
) -> anyhow::Result<View> {
    let mut view = View { person, viewer: viewer.to_owned(), ..View::default() };
    // Small pages for some, so that paging is tried too.
    let page_bytes = if person.is_multiple_of(2) { 0 } else { 4_096 };
    session.read_list(page_bytes, &mut view).await.with_context(|| viewer.to_owned())?;
    for room in cast.rooms_of(person) {
        if !view.list.contains_key(&room.id) {
            // Nothing may have been stored in it; the judge knows.
            continue;
        }
        let from_seq = depth(room.id).first_seq(canon, room.id);
        let backwards = person % 3 == 2;
        let shown = session.read_history(room.id, from_seq, backwards).await;
        view.shown.insert(room.id, shown.with_context(|| viewer.to_owned())?);
    }
    Ok(view)
}

/// Opens a session of `person` on a bare connection, by password.
///
/// # Errors
/// What connecting and logging in can meet.
pub async fn open_raw(address: &str, person: &Person) -> anyhow::Result<RawConnection> {
    let open = async {
        let mut connection = RawConnection::connect(address).await?;
        connection.hello("judge", "", None).await?;
        let login = pb::Login { name: person.name.clone(), password: person.password.clone() };
        connection.request::<pb::Session>(Opcode::Login, &login).await?;
        anyhow::Ok(connection)
    };
    let opened = tokio::time::timeout(PATIENCE, open).await;
    opened.context("no session in time")?.with_context(|| format!("{} cannot log in", person.name))
}

/// Reads what everybody is shown, through bare connections: each room in full
/// by its first member, its end by the others.
///
/// # Errors
/// What connecting, logging in and reading can meet.
pub async fn look_everywhere(address: &str, cast: &Cast) -> anyhow::Result<Vec<View>> {
    let mut connections = Vec::with_capacity(cast.people.len());
    for person in &cast.people {
        connections.push(open_raw(address, person).await?);
    }
    look_through(&mut connections, cast).await
}

/// As [`look_everywhere`], through sessions that are open, one for each
/// person.
///
/// # Errors
/// What reading can meet.
pub async fn look_through(
    connections: &mut [RawConnection],
    cast: &Cast,
) -> anyhow::Result<Vec<View>> {
    let mut views = Vec::with_capacity(connections.len());
    for (person, connection) in connections.iter_mut().enumerate() {
        let mut ends = Canon::default();
        for view in &views {
            note_ends(&mut ends, view);
        }
        let depth = |id| match cast.room(id).and_then(|room| room.members.first()) {
            Some(first) if *first == person => Depth::Full,
            _ => Depth::Tail(100),
        };
        let session = &mut Session::Raw(connection);
        let viewer = format!("judge of person {person}");
        let look = look(session, cast, &ends, person, &viewer, depth);
        views.push(tokio::time::timeout(PATIENCE, look).await.context("reading takes too long")??);
    }
    Ok(views)
}

fn note_ends(ends: &mut Canon, view: &View) {
    for (id, shown) in &view.shown {
        let line = ends.lines.entry(*id).or_default();
        line.last_seq = line.last_seq.max(shown.last_seq);
    }
}

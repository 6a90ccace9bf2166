//! A run: the server, its clients, and what they know.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hongyan_client::{AckLevel, ConversationId, NewMessage, UserId};

use crate::canon::Canon;
use crate::cast::{Cast, Person, Room};
use crate::client::{Depth, Device, PATIENCE, look};
use crate::fault::Fault;
use crate::journal::Journal;
use crate::judge::{FAULTS_TOLD, Survived, judge};
use crate::letter::{Size, body_of, id_of};
use crate::reading::{Session, View};

/// Everybody who uses one server, and the journal that they keep.
#[derive(Debug)]
pub struct Scene {
    /// People and rooms.
    pub cast: Arc<Cast>,
    /// Their devices.
    pub devices: Vec<Device>,
    /// What they know.
    pub journal: Arc<Journal>,
}

impl Scene {
    /// Registers `people` (at least 5) on the server at `address`, signs some
    /// of them in on a second device, and makes the rooms: direct ones in a
    /// ring, a group of all, and one whose newcomers see no history.
    ///
    /// # Errors
    /// What a client can meet.
    pub async fn set_up(
        address: &str,
        people: usize,
        journal_path: &Path,
        run: u64,
    ) -> anyhow::Result<Self> {
        let journal = Arc::new(Journal::create(journal_path)?);
        let mut cast = Cast::default();
        let mut devices = Vec::new();
        for index in 0..people {
            let device = Device::new(address, index, 'a').await?;
            let (name, password) = (format!("person-{index}"), format!("password of {index}"));
            let account = device.client.register(&name, &password, "").await;
            let user = account.with_context(|| format!("{name} cannot register"))?.user;
            cast.people.push(Person { name, password, user });
            devices.push(device);
        }
        for index in 0..people.min(3) {
            let device = Device::new(address, index, 'b').await?;
            let person = &cast.people[index];
            device.client.login(&person.name, &person.password).await?;
            devices.push(device);
        }
        for device in &devices {
            device.live().await?;
        }
        let mut scene = Self { cast: Arc::default(), devices, journal };
        scene.make_rooms(&mut cast, run).await?;
        scene.cast = Arc::new(cast);
        Ok(scene)
    }

    async fn make_rooms(&self, cast: &mut Cast, run: u64) -> anyhow::Result<()> {
        let count = cast.people.len();
        let users: Vec<UserId> = cast.people.iter().map(|person| person.user).collect();
        for index in 0..count {
            let other = (index + 1) % count;
            let id = ConversationId::direct(users[index], users[other]);
            let id = id.context("a person is alone")?;
            let members = vec![index, other];
            cast.rooms.push(Room { id, members, hidden_history: false, begun: false });
        }
        let everybody = self.devices[0].client.create_group("everybody", &users[1..], true).await?;
        cast.rooms.push(Room {
            id: everybody.conversation(),
            members: (0..count).collect(),
            hidden_history: false,
            begun: true,
        });
        let host = &self.devices[1];
        let few = host.client.create_group("a few", &users[2..4], false).await?;
        let id = id_of(run, u16::MAX, 1, Size::Usual);
        self.journal.sent(1, id, few.conversation(), AckLevel::Durable);
        let message = NewMessage {
            client_msg_id: id,
            conversation: few.conversation(),
            body: body_of(id),
            level: AckLevel::Durable,
        };
        let ack = host.client.send_message(message).await?.wait().await?;
        self.journal.acked(id, ack);
        host.client.invite_members(few.id, &users[4..5]).await?;
        cast.rooms.push(Room {
            id: few.conversation(),
            members: vec![1, 2, 3, 4],
            hidden_history: true,
            begun: true,
        });
        Ok(())
    }

    /// What every device is shown, through its own session.
    ///
    /// # Errors
    /// What a request can meet.
    pub async fn look(&self, canon: &Canon, depth: Depth) -> anyhow::Result<Vec<View>> {
        let mut views = Vec::with_capacity(self.devices.len());
        for device in &self.devices {
            device.live().await?;
            let session = &mut Session::Sdk(&device.client);
            let look = look(session, &self.cast, canon, device.person, &device.viewer, |_| depth);
            let view = tokio::time::timeout(PATIENCE * 2, look).await;
            views.push(view.context("reading takes too long")??);
        }
        Ok(views)
    }

    /// Waits until each client shows the same list that the server would send
    /// it: the SDK's own arithmetic must come to the same end.
    ///
    /// # Errors
    /// With the first difference that does not go away.
    pub async fn clients_agree(&self) -> anyhow::Result<()> {
        for device in &self.devices {
            let begun = Instant::now();
            while let Some(difference) = self.difference(device).await? {
                if begun.elapsed() > Duration::from_secs(10) {
                    bail!("{} shows another list than the server: {difference}", device.viewer);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    async fn difference(&self, device: &Device) -> anyhow::Result<Option<String>> {
        let mut view = View::default();
        Session::Sdk(&device.client).read_list(0, &mut view).await?;
        for (id, listed) in &view.list {
            let Some(state) = device.client.conversation(*id) else {
                return Ok(Some(format!("{id:?} is missing")));
            };
            let shown = (state.last_seq, state.unread);
            let right = (listed.last_seq, listed.unread);
            if shown != right {
                return Ok(Some(format!(
                    "{id:?} has (last_seq, unread) {shown:?}, the server says {right:?}"
                )));
            }
        }
        Ok(None)
    }

    /// Judges what is shown.
    ///
    /// # Errors
    /// With the faults, in words.
    pub fn judge(
        &self,
        canon: &mut Canon,
        views: &[View],
        survived: Survived,
    ) -> anyhow::Result<()> {
        let cast = &self.cast;
        let faults = self.journal.with_known(|known| judge(cast, known, canon, views, survived));
        refuse(&faults)
    }

    /// What is known, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        self.journal.with_known(|known| {
            let durable = known.sends.values().filter_map(|sent| sent.ack.as_ref());
            let durable = durable.filter(|ack| ack.level == AckLevel::Durable).count();
            format!(
                "{} sent, {} acked ({durable} durable), {} places pushed, {} cursors",
                known.sends.len(),
                known.acks,
                known.seen.len(),
                known.reads.len()
            )
        })
    }

    /// Ends the clients.
    pub async fn end(self) {
        for device in &self.devices {
            device.client.shutdown().await;
        }
    }
}

/// Turns faults into an error that tells the first of them.
///
/// # Errors
/// When there is any.
pub fn refuse(faults: &[Fault]) -> anyhow::Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let told: Vec<_> = faults.iter().take(FAULTS_TOLD).map(|fault| format!("  {fault}")).collect();
    bail!("{} faults:\n{}", faults.len(), told.join("\n"))
}

/// Finds the server's binary: as given, else beside this program.
///
/// # Errors
/// When there is none.
pub fn server_binary(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => std::env::current_exe()?.with_file_name("hongyan"),
    };
    if !path.is_file() {
        bail!("there is no server at {}: build it, or give --server", path.display());
    }
    Ok(path.canonicalize()?)
}

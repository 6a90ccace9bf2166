//! Carries commands out with the SDK, each in a task of its own, so that a
//! slow answer holds nothing up. Texts go through one lane: they are sent in
//! the order in which they were written.

use hongyan_client::{
    Client, ClientError, ConversationId, GroupId, GroupInfo, Profile, Timeline, UserId,
};
use tokio::sync::mpsc;

use crate::io::{Command, Device, Member, Outcome};

/// What a task says at its end.
pub(super) enum Happened {
    Done(Outcome),
    Opened(Timeline),
}

type Lane = mpsc::Sender<(ConversationId, String)>;

pub(super) struct Engine {
    client: Client,
    happened: mpsc::Sender<Happened>,
    lane: Lane,
    running: usize,
}

impl Engine {
    /// The engine, and where its tasks say what came of them.
    pub(super) fn new(client: Client) -> (Self, mpsc::Receiver<Happened>) {
        let (happened, receiver) = mpsc::channel(HAPPENED_MAX);
        let (lane, texts) = mpsc::channel(LANE_MAX);
        tokio::spawn(send_in_order(client.clone(), texts, happened.clone()));
        let engine = Self { client, happened, lane, running: 0 };
        (engine, receiver)
    }

    /// Begins to carry a command out.
    pub(super) fn run(&mut self, command: Command) {
        self.running += 1;
        let (client, happened) = (self.client.clone(), self.happened.clone());
        if let Command::Send { conversation, text } = command {
            if let Err(error) = self.lane.try_send((conversation, text)) {
                let (conversation, text) = error.into_inner();
                let full = Outcome::NotSent {
                    conversation,
                    text,
                    error: ClientError::OutboxFull { limit: LANE_MAX },
                };
                tokio::spawn(async move { happened.send(Happened::Done(full)).await });
            }
            return;
        }
        tokio::spawn(async move {
            let came = carry_out(&client, command).await;
            // An error says that the program is ending.
            happened.send(came).await.ok();
        });
    }

    /// So many commands came to their end.
    pub(super) const fn end(&mut self, commands: usize) {
        self.running = self.running.saturating_sub(commands);
    }

    /// Every command came to its end.
    pub(super) const fn is_idle(&self) -> bool {
        self.running == 0
    }
}

async fn send_in_order(
    client: Client,
    mut texts: mpsc::Receiver<(ConversationId, String)>,
    happened: mpsc::Sender<Happened>,
) {
    while let Some((conversation, text)) = texts.recv().await {
        let outcome = match client.send_text(conversation, text.clone()).await {
            Ok(_) => Outcome::Finished,
            Err(error) => Outcome::NotSent { conversation, text, error },
        };
        if happened.send(Happened::Done(outcome)).await.is_err() {
            return;
        }
    }
}

async fn carry_out(client: &Client, command: Command) -> Happened {
    let outcome = match command {
        Command::Open(conversation) => match client.timeline(conversation).await {
            Ok(timeline) => return Happened::Opened(timeline),
            Err(error) => failed("open the conversation", error),
        },
        Command::Authenticate(credentials) => {
            Outcome::Authenticated(client.authenticate(credentials).await)
        }
        // The screen's business.
        Command::Bell | Command::Quit | Command::Send { .. } => Outcome::Finished,
        Command::Discard(id) => quiet("forget it", client.discard(id).await),
        Command::Retry(id) => quiet("send it again", client.retry(id).await.map(drop)),
        Command::MarkRead { conversation, seq } => {
            quiet("mark it read", client.mark_read(conversation, seq).await)
        }
        Command::LoadOlder(conversation) => Outcome::Older {
            conversation,
            result: client.load_older(conversation, OLDER_MESSAGES).await,
        },
        Command::Logout => match client.logout().await {
            Ok(()) => Outcome::Finished,
            Err(error) => failed("tell the server (this device is signed out)", error),
        },
        Command::Resume => quiet("come back", client.resume().await.map(drop)),
        Command::FindProfiles(users) => Outcome::Profiles(match client.profiles(&users).await {
            Ok(profiles) => profiles,
            // The others are asked for again on the next connection.
            Err(_) => client.known_profiles(&users).await.unwrap_or_default(),
        }),
        Command::WatchPresence(users) => {
            // Who is on line is soft: the SDK asks again by itself, and who
            // may not be watched has an empty dot.
            client.watch_presence(&users).await.ok();
            Outcome::Finished
        }
        Command::ListDevices => match client.devices().await {
            Ok(devices) => Outcome::Devices(devices.into_iter().map(device).collect()),
            Err(error) => failed("list the devices", error),
        },
        Command::RevokeDevice(id) => match client.revoke_device(&id).await {
            Ok(()) => Outcome::Said("the device is signed out".into()),
            Err(error) => failed("sign the device out", error),
        },
        Command::StartChat(name) => start_chat(client, &name).await,
        command => on_group(client, command).await,
    };
    Happened::Done(outcome)
}

async fn on_group(client: &Client, command: Command) -> Outcome {
    match command {
        Command::CreateGroup { name, members } => {
            let made = async {
                let users = find_all(client, &members).await?;
                client.create_group(&name, &users, true).await.map_err(|e| (None, e))
            };
            match made.await {
                Ok(info) => Outcome::Started { conversation: info.conversation(), peer: None },
                Err((who, error)) => failed_for("make the group", who, error),
            }
        }
        Command::Invite { group, names } => {
            let invited = async {
                let users = find_all(client, &names).await?;
                client.invite_members(group, &users).await.map_err(|e| (None, e))
            };
            match invited.await {
                Ok(_) => Outcome::Finished,
                Err((who, error)) => failed_for("invite", who, error),
            }
        }
        Command::Remove { group, name } => {
            let removed = async {
                let user = client.find_user(&name).await?.user;
                client.remove_member(group, user).await
            };
            changed("remove the member", removed.await)
        }
        Command::SetRole { group, name, role } => {
            let given = async {
                let user = client.find_user(&name).await?.user;
                client.set_role(group, user, role).await
            };
            changed("give the role", given.await)
        }
        Command::Leave(group) => match client.leave_group(group).await {
            Ok(()) => Outcome::Left(group),
            Err(error) => failed("leave the group", error),
        },
        Command::Dissolve(group) => quiet("end the group", client.dissolve_group(group).await),
        Command::Rename { group, name } => {
            let renamed = client.update_group(group, Some(&name), None).await;
            changed("rename the group", renamed)
        }
        Command::SetHistory { group, visible } => {
            let set = client.update_group(group, None, Some(visible)).await;
            changed("change the group", set)
        }
        Command::ListMembers(group) => match members(client, group).await {
            Ok(members) => Outcome::Members { group, members },
            Err(error) => failed("list the members", error),
        },
        _ => Outcome::Finished,
    }
}

async fn start_chat(client: &Client, name: &str) -> Outcome {
    let found: Result<Profile, ClientError> = client.find_user(name).await;
    let started = found.and_then(|peer| Ok((client.direct(peer.user)?, peer)));
    match started {
        Ok((conversation, peer)) => Outcome::Started { conversation, peer: Some(peer) },
        Err(error) => failed_for("chat", Some(name.to_owned()), error),
    }
}

/// People by name; the error says who it was about.
async fn find_all(
    client: &Client,
    names: &[String],
) -> Result<Vec<UserId>, (Option<String>, ClientError)> {
    let mut users = Vec::with_capacity(names.len());
    for name in names {
        let found = client.find_user(name).await;
        users.push(found.map_err(|error| (Some(name.clone()), error))?.user);
    }
    Ok(users)
}

/// Everybody in a group, page by page.
async fn members(client: &Client, group: GroupId) -> Result<Vec<Member>, ClientError> {
    let mut members: Vec<Member> = Vec::new();
    loop {
        let after = members.last().map(|member| member.user);
        let page = client.group_members(group, after, MEMBERS_PER_PAGE).await?;
        let came = page.members.iter().filter_map(|member| {
            Some(Member {
                user: UserId::new(member.user)?,
                role: u32::try_from(member.role).unwrap_or(0),
            })
        });
        let before = members.len();
        members.extend(came);
        if !page.more || members.len() == before {
            return Ok(members);
        }
    }
}

fn device(state: hongyan_client::pb::DeviceState) -> Device {
    let device = state.device.unwrap_or_default();
    Device {
        id: device.id,
        name: device.name,
        online: state.online,
        current: state.current,
        last_seen_ms: state.last_seen_ms,
    }
}

fn quiet(what: &str, result: Result<(), ClientError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Finished,
        Err(error) => failed(what, error),
    }
}

/// The list has the change before this is told.
fn changed(what: &str, result: Result<GroupInfo, ClientError>) -> Outcome {
    quiet(what, result.map(drop))
}

fn failed(what: &str, error: ClientError) -> Outcome {
    failed_for(what, None, error)
}

fn failed_for(what: &str, who: Option<String>, error: ClientError) -> Outcome {
    let whom = who.map_or_else(String::new, |who| format!(" ({who})"));
    Outcome::Failed { what: format!("cannot {what}{whom}"), error }
}

const HAPPENED_MAX: usize = 256;
const LANE_MAX: usize = 1_024;
const OLDER_MESSAGES: u32 = 100;
const MEMBERS_PER_PAGE: u32 = 500;

//! Everything that the SDK and the clock say, as one stream of inputs.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hongyan_client::{
    Client, ConversationState, Event, EventError, Events, Status, Timeline, TimelineView,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::engine::Happened;
use crate::io::Input;

/// The stream.
pub(super) struct Feed {
    client: Client,
    status: watch::Receiver<Status>,
    conversations: watch::Receiver<Arc<Vec<Arc<ConversationState>>>>,
    events: Events,
    timeline: Option<Timeline>,
    happened: mpsc::Receiver<Happened>,
    ticker: Interval,
    queue: VecDeque<Input>,
    /// Commands that came to their end since the engine was told.
    pub(super) ended: usize,
}

impl Feed {
    pub(super) fn new(client: Client, happened: mpsc::Receiver<Happened>) -> Self {
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let status = client.connection_status();
        let conversations = client.conversations();
        let queue = VecDeque::from([
            Input::Tick(now_ms()),
            Input::Account(client.account()),
            Input::Status(*status.borrow()),
            Input::Conversations(conversations.borrow().clone()),
        ]);
        Self {
            events: client.events(),
            client,
            status,
            conversations,
            timeline: None,
            happened,
            ticker,
            queue,
            ended: 0,
        }
    }

    /// The next input. May be dropped without losing one.
    pub(super) async fn next(&mut self) -> Input {
        loop {
            if let Some(input) = self.queue.pop_front() {
                return input;
            }
            tokio::select! {
                Some(happened) = self.happened.recv() => {
                    self.ended += 1;
                    match happened {
                        Happened::Done(outcome) => {
                            // What came of it is in the list already.
                            if self.conversations.has_changed().unwrap_or(false) {
                                let list = self.conversations.borrow_and_update().clone();
                                self.queue.push_back(Input::Conversations(list));
                            }
                            self.queue.push_back(Input::Done(outcome));
                        }
                        Happened::Opened(timeline) => {
                            let view = timeline.view();
                            self.timeline = Some(timeline);
                            return Input::Timeline(view);
                        }
                    }
                }
                () = changed(&mut self.status) => {
                    let status = *self.status.borrow_and_update();
                    self.queue.push_back(Input::Account(self.client.account()));
                    self.queue.push_back(Input::Status(status));
                }
                () = changed(&mut self.conversations) => {
                    let list = self.conversations.borrow_and_update().clone();
                    return Input::Conversations(list);
                }
                view = next_view(&mut self.timeline) => return Input::Timeline(view),
                event = next_event(&mut self.events) => match event {
                    Ok(event) => self.on_event(event),
                    Err(lost) => return Input::EventsLost(lost),
                },
                _ = self.ticker.tick() => return Input::Tick(now_ms()),
            }
        }
    }

    /// Status, conversations and timelines come by their own ways.
    fn on_event(&mut self, event: Event) {
        let input = match event {
            Event::Disconnected(error) => Input::Disconnected(error),
            Event::Message(message) => Input::Message(message),
            Event::MessagesSkipped { conversation, from_seq, to_seq } => {
                Input::Skipped { conversation, from_seq, to_seq }
            }
            Event::Presence(presences) => Input::Presence(presences),
            Event::SignedIn(_) => Input::Account(self.client.account()),
            Event::StorageFailed(error) => Input::StorageFailed(error),
            _ => return,
        };
        self.queue.push_back(input);
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// For ever when the client is gone.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        pending::<()>().await;
    }
}

async fn next_view(timeline: &mut Option<Timeline>) -> Arc<TimelineView> {
    match timeline {
        Some(timeline) => match timeline.changed().await {
            Ok(view) => view,
            Err(_) => pending().await,
        },
        None => pending().await,
    }
}

/// The next event, or how many were dropped.
async fn next_event(events: &mut Events) -> Result<Event, u64> {
    match events.recv().await {
        Ok(event) => Ok(event),
        Err(EventError::Lagged(lost)) => Err(lost),
        Err(_) => pending().await,
    }
}

const TICK: Duration = Duration::from_millis(250);

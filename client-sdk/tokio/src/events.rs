//! The stream of events: bounded, and honest about what it dropped.

use hongyan_client_core::Event;
use thiserror::Error;
use tokio::sync::broadcast;

/// Why there is no next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventError {
    /// The client was shut down.
    #[error("the client is closed")]
    Closed,
    /// This subscriber was too slow, and so many events were dropped. The
    /// next call goes on after them; read conversations and timelines afresh.
    #[error("{0} events were dropped")]
    Lagged(u64),
}

/// A subscription to what happens from now on.
#[derive(Debug)]
pub struct Events {
    pub(crate) receiver: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event. May be dropped at any time without losing one.
    ///
    /// # Errors
    /// [`EventError::Lagged`] after being too slow; [`EventError::Closed`]
    /// for ever after the client was shut down.
    pub async fn recv(&mut self) -> Result<Event, EventError> {
        self.receiver.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Closed => EventError::Closed,
            broadcast::error::RecvError::Lagged(dropped) => EventError::Lagged(dropped),
        })
    }

    /// The next event, if it has happened already.
    ///
    /// # Errors
    /// As [`Events::recv`].
    pub fn try_recv(&mut self) -> Result<Option<Event>, EventError> {
        match self.receiver.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(broadcast::error::TryRecvError::Empty) => Ok(None),
            Err(broadcast::error::TryRecvError::Closed) => Err(EventError::Closed),
            Err(broadcast::error::TryRecvError::Lagged(dropped)) => {
                Err(EventError::Lagged(dropped))
            }
        }
    }
}

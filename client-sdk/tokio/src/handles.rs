//! What an app holds on to: a message on its way, and an open timeline.

use std::sync::Arc;

use hongyan_client_core::{
    ClientError, ClientMsgId, ConversationId, SendAck, SendState, TimelineView,
};
use tokio::sync::watch;

use crate::client::Client;

/// How far a message got, and the ack once there is one.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) state: SendState,
    pub(crate) ack: Option<SendAck>,
}

/// A message of one's own on its way. Dropping it changes nothing for the
/// message.
#[derive(Debug, Clone)]
pub struct SendHandle {
    pub(crate) client_msg_id: ClientMsgId,
    pub(crate) conversation: ConversationId,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl SendHandle {
    /// Names the message for ever.
    pub const fn client_msg_id(&self) -> ClientMsgId {
        self.client_msg_id
    }

    /// Where it goes.
    pub const fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// How far it got.
    pub fn state(&self) -> SendState {
        self.progress.borrow().state.clone()
    }

    /// Waits for the next state; `None` when no more will come. States can be
    /// skipped: the newest is what counts.
    pub async fn next_state(&mut self) -> Option<SendState> {
        self.progress.changed().await.ok()?;
        Some(self.progress.borrow_and_update().state.clone())
    }

    /// Waits until the result is definite, over any number of reconnects.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the server refused it for good: it is in
    /// the outbox as failed. [`ClientError::Closed`] when the client was shut
    /// down or signed out first; after a shutdown the message is still in the
    /// local store and goes out when the next client opens it.
    pub async fn wait(&self) -> Result<SendAck, ClientError> {
        let mut progress = self.progress.clone();
        let settled = progress
            .wait_for(|progress| {
                progress.ack.is_some() || matches!(progress.state, SendState::Failed { .. })
            })
            .await
            .map_err(|_| ClientError::Closed)?;
        match (&settled.ack, &settled.state) {
            (Some(ack), _) => Ok(*ack),
            (None, SendState::Failed { error }) => Err(error.clone()),
            (None, _) => Err(ClientError::Closed),
        }
    }
}

/// An open conversation: more of it stays in memory while this is held.
#[derive(Debug, Clone)]
pub struct Timeline {
    pub(crate) client: Client,
    pub(crate) conversation: ConversationId,
    pub(crate) view: watch::Receiver<Arc<TimelineView>>,
}

impl Timeline {
    /// Which conversation.
    pub const fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// What it looks like now.
    pub fn view(&self) -> Arc<TimelineView> {
        self.view.borrow().clone()
    }

    /// Waits for the next look. Looks can be skipped: the newest is what
    /// counts.
    ///
    /// # Errors
    /// [`ClientError::Closed`] after the client was shut down.
    pub async fn changed(&mut self) -> Result<Arc<TimelineView>, ClientError> {
        self.view.changed().await.map_err(|_| ClientError::Closed)?;
        Ok(self.view.borrow_and_update().clone())
    }

    /// Waits until the view is as `wanted`.
    ///
    /// # Errors
    /// [`ClientError::Closed`] after the client was shut down.
    pub async fn wait_for(
        &mut self,
        mut wanted: impl FnMut(&TimelineView) -> bool,
    ) -> Result<Arc<TimelineView>, ClientError> {
        let view = self.view.wait_for(|view| wanted(view)).await;
        view.map(|view| view.clone()).map_err(|_| ClientError::Closed)
    }

    /// Pages at most `limit` (0: 100, at most 500) older messages in; returns
    /// how many came. Zero: this is the beginning.
    ///
    /// # Errors
    /// [`ClientError::Offline`], [`ClientError::WindowFull`], and what a
    /// request can meet.
    pub async fn load_older(&self, limit: u32) -> Result<usize, ClientError> {
        self.client.load_older(self.conversation, limit).await
    }

    /// Marks all that is shown read.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn mark_read(&self) -> Result<(), ClientError> {
        let seq = self.view.borrow().messages.last().map_or(0, |message| message.seq);
        self.client.mark_read(self.conversation, seq).await
    }
}

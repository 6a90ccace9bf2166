//! A build without the feature `websocket`: there is no such layer.

use std::convert::Infallible;

use bytes::BytesMut;

use super::ReadEnd;
use crate::config::WebSocketConfig;
use crate::reactor::outqueue::OutQueue;

/// Nobody is let in.
pub(crate) struct Upgrades(Infallible);

impl Upgrades {
    pub(crate) const fn of(_: &WebSocketConfig) -> Option<std::sync::Arc<Self>> {
        None
    }
}

/// Never called: nobody comes here.
pub(crate) const fn busy(_: &str, _: u32) -> bytes::Bytes {
    bytes::Bytes::new()
}

/// No value of it can be made.
pub(crate) struct WebSocket(Infallible);

impl WebSocket {
    pub(super) fn new(upgrades: std::sync::Arc<Upgrades>) -> Self {
        match upgrades.0 {}
    }

    pub(super) const fn wants_write(&self) -> bool {
        match self.0 {}
    }

    pub(super) const fn is_partial(&self) -> bool {
        match self.0 {}
    }

    pub(super) const fn set_frame_bytes_max(&mut self, _: usize) {
        match self.0 {}
    }

    pub(super) const fn take(&mut self, _: &mut [u8], _: &mut BytesMut) -> Result<(), ReadEnd> {
        match self.0 {}
    }

    pub(super) const fn fill(&mut self, _: &mut OutQueue) -> bool {
        match self.0 {}
    }

    pub(super) const fn wire(&mut self) -> &mut OutQueue {
        match self.0 {}
    }
}

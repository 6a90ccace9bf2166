//! Connections that come: from the acceptor, or from another worker.
//!
//! A connection is accepted anywhere, says who it is there, and then moves to
//! the shard of its user: socket, TLS state, unread bytes, undecoded frames
//! and out-queue, in one post. It gets a new number where it arrives, so an
//! effect for the old one finds nobody.
//!
//! Invariant: a socket is registered with at most one poll; between two it is
//! with none, and the new registration raises an edge for what came meanwhile.

use hongyan_core::{ConnId, Input, Link, Peer, ShardId};
use mio::{Interest, Token};

use super::addresses::Speaks;
use super::connection::{BULK_MAX, Connection};
use super::post::{Incoming, Moved, Post};
use super::transport::Transport;
use super::worker::{CONNECTIONS_PER_WORKER_MAX, Worker};
use crate::observe::metrics::Close;

impl Worker {
    /// Takes a socket from the acceptor.
    pub(super) fn accept(&mut self, incoming: Incoming) {
        let Incoming { socket, ip, speaks } = incoming;
        if self.drain.is_some() || self.poisoned {
            self.forget();
            return;
        }
        let tls = match self.start_tls(speaks) {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "TLS cannot be started");
                self.forget();
                return;
            }
        };
        let upgrades = if speaks.is_websocket() { self.shared.upgrades.clone() } else { None };
        let transport = Transport::new(socket, tls, upgrades);
        let peer = Peer { ip, encrypted: speaks.is_encrypted() };
        let connection = Connection::new(ConnId(0), transport, peer, self.now.mono_ms);
        self.metrics().accepted.add(1);
        self.insert(connection);
    }

    /// The server's side of TLS, where TLS is spoken.
    fn start_tls(&self, speaks: Speaks) -> Result<Option<rustls::ServerConnection>, rustls::Error> {
        match &self.shared.tls {
            Some(config) if speaks.is_encrypted() => {
                rustls::ServerConnection::new(config.clone()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Takes a connection from another worker.
    pub(super) fn adopt(&mut self, moved: Moved) {
        let Moved { connection, link } = moved;
        if let Some(id) = self.insert(connection) {
            self.metrics().adopted.add(1);
            self.give(Input::Adopted { conn: id, link });
            // Frames that were read before the move raise no edge.
            self.ready_again(id);
            self.mark_dirty(id);
        }
    }

    /// Moves a connection to the worker of `shard`.
    pub(super) fn hand_off(&mut self, id: ConnId, shard: ShardId, link: Box<Link>) {
        let Some(connection) = self.find(id) else {
            return;
        };
        if !connection.is_reading() {
            return;
        }
        let Some(mut connection) = self.take(id) else {
            return;
        };
        if let Err(error) = self.poll.registry().deregister(connection.transport.socket()) {
            tracing::debug!(%error, "a connection could not be moved");
            self.forget();
            return;
        }
        connection.timer_tick = 0;
        connection.in_ready = false;
        connection.in_dirty = false;
        connection.write_blocked = false;
        connection.readable = false;
        connection.ended = false;
        connection.paused = false;
        connection.bulk = [0; BULK_MAX];
        let moved = Moved { connection, link };
        if shard == self.id {
            self.adopt(moved);
        } else {
            self.outgoing[usize::from(shard.0)].overflow.push_back(Post::Adopt(Box::new(moved)));
        }
    }

    /// Gives a connection a number, a place and its registration.
    fn insert(&mut self, mut connection: Connection) -> Option<ConnId> {
        let index = self.connections.vacant_key();
        if index >= CONNECTIONS_PER_WORKER_MAX {
            self.forget();
            return None;
        }
        let id = self.number(index);
        connection.id = id;
        let registered = self.poll.registry().register(
            connection.transport.socket(),
            Token(id.0 as usize),
            Interest::READABLE | Interest::WRITABLE,
        );
        if let Err(error) = registered {
            tracing::warn!(%error, "a connection could not be registered");
            self.metrics().closed(Close::Broken);
            self.forget();
            return None;
        }
        self.connections.insert(connection);
        self.arm(id);
        Some(id)
    }

    /// A connection that never got, or lost, its place.
    fn forget(&self) {
        self.shared.connections.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

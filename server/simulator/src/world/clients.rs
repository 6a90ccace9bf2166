//! The devices' side of the world: when they act, and what reaches them.

use hongyan_core::{Input, Peer, ShardId, effect};
use hongyan_protocol::{Frame, FrameDecoder, limits};

use super::{Event, World};
use crate::device::{Next, Stage, Surroundings};
use crate::network::{LinkId, Place, read_frame};
use crate::ops::Bench;
use crate::trace::fingerprint;
use crate::violation::{Checked, ensure};
use crate::workload::{self, Phase};

impl World {
    /// A device does the next thing, or nothing for a while.
    pub(super) fn on_device_acts(&mut self, index: usize) -> Checked {
        let delay = match self.phase {
            Phase::Work => {
                self.steps_left = self.steps_left.saturating_sub(1);
                self.trouble(index)?;
                self.work_pause()
            }
            Phase::Calm | Phase::Audit => {
                self.restore(self.devices[index].person);
                self.rng.between(500, 20_000)
            }
        };
        self.schedule.after(delay, Event::DeviceActs { device: index });
        if self.devices[index].stage == Stage::Offline {
            if self.server.is_some() && (self.phase != Phase::Work || self.rng.chance(600)) {
                self.connect(index);
            }
            return Ok(());
        }
        let device = &mut self.devices[index];
        let me = self.people.persons[device.person].user;
        let mut bench = Bench {
            rng: &mut self.rng,
            people: &mut self.people,
            model: &mut self.model,
            plan: &self.plan,
            me,
        };
        if let Some(frame) = workload::step(device, &mut bench, self.phase) {
            self.send_to_server(index, frame)?;
        }
        Ok(())
    }

    /// Pauses come in all lengths: bursts, and long silences in which only
    /// timers run.
    fn work_pause(&mut self) -> u64 {
        match self.rng.below(1000) {
            0..=699 => self.rng.between(50, 4000),
            700..=969 => self.rng.between(4_000, 150_000),
            970..=997 => self.rng.between(150_000, 3_000_000),
            _ => self.rng.between(1_000_000, self.plan.pause_max),
        }
    }

    /// What may go wrong at any time.
    fn trouble(&mut self, index: usize) -> Checked {
        if self.rng.chance(self.plan.crash) && self.server.is_some() {
            let power_cut = self.rng.chance(self.plan.power_cut);
            self.crash(power_cut)?;
        }
        if self.rng.chance(self.plan.disconnect) {
            self.disconnect(index);
        }
        self.operate(index);
        if self.rng.chance(self.plan.clock_jump) {
            let far = self.rng.chance(300);
            let span = if far { 3_600_000 } else { 20_000 };
            let jump = self.rng.below(2 * span) as i64 - span as i64;
            self.clock_offset_ms += jump;
            self.note(&[14, jump as u64], format_args!("the clock jumps by {jump} ms"));
            self.clock_set_back |= jump < 0;
            self.coverage.note("the clock jumps");
        }
        Ok(())
    }

    fn connect(&mut self, index: usize) {
        let Some(server) = &mut self.server else {
            return;
        };
        let shard = ShardId(self.rng.below(u64::from(server.layout.shards())) as u16);
        // The id is taken when the connection arrives, which is now.
        let host = server.host(shard);
        let link = self.network.open(index, shard, hongyan_core::ConnId(0));
        let conn = host.connect(link);
        if let Some(known) = self.network.links.get_mut(&link) {
            known.place = Place::At(shard, conn);
        }
        let peer = Peer { ip: std::net::Ipv4Addr::LOCALHOST.into(), encrypted: true };
        self.note(&[15, link.0], format_args!("device {index} opens {link:?} at {shard:?}"));
        self.arrive(shard, Input::Opened { conn, peer });
        let resume = self.rng.chance(800);
        let frame = self.devices[index].hello(link, resume, self.model.log.lsn);
        self.deliver_to_server(link, frame);
    }

    fn send_to_server(&mut self, index: usize, frame: Frame) -> Checked {
        // Through bytes, as a real client would.
        let mut bytes = bytes::BytesMut::from(frame.to_delimited().as_ref());
        let decoded = FrameDecoder::new(limits::FRAME_BYTES_MAX).decode(&mut bytes);
        ensure!(
            decoded.as_ref() == Ok(&Some(frame.clone())),
            "frames come back from bytes",
            "{frame:?} comes back as {decoded:?}"
        );
        let words = [16, index as u64, u64::from(frame.opcode), fingerprint(&frame.payload)];
        self.note(&words, format_args!("device {index} sends {frame:?}"));
        if let Some(link) = self.devices[index].link {
            self.deliver_to_server(link, frame);
        }
        Ok(())
    }

    fn deliver_to_server(&mut self, link: LinkId, frame: Frame) {
        let at = self.schedule.now() + self.rng.between(50, 8000);
        if let Some(known) = self.network.links.get_mut(&link) {
            known.server_reads_at = known.server_reads_at.max(at);
            let at = known.server_reads_at;
            self.schedule.at(at, Event::ToServer { link, frame: Some(frame) });
        }
    }

    /// The server has bytes for a device.
    pub(super) fn send_to_device(&mut self, link: LinkId, bytes: bytes::Bytes, push: bool) {
        let words = [17, link.0, u64::from(push), fingerprint(&bytes)];
        let Some(known) = self.network.links.get_mut(&link) else {
            return;
        };
        if push && known.unread >= self.plan.push_queue_max {
            known.lagging = true;
            self.coverage.note("push: dropped");
            self.note(&words, format_args!("{link:?} reads too slowly, a push is dropped"));
            return;
        }
        known.unread += 1;
        let slowness = self.devices[known.device].slowness;
        let at = self.schedule.now() + self.rng.between(50, 8000);
        known.device_reads_at = (known.device_reads_at + slowness).max(at);
        let at = known.device_reads_at;
        self.note(&words, format_args!("{link:?} is sent {} bytes", bytes.len()));
        self.schedule.at(at, Event::ToDevice { link, bytes });
    }

    pub(super) fn on_to_device(&mut self, link: LinkId, bytes: &bytes::Bytes) -> Checked {
        let Some(known) = self.network.links.get_mut(&link) else {
            return Ok(());
        };
        known.unread -= 1;
        let index = known.device;
        let severed = known.severed;
        if known.unread == 0 && known.lagging && known.place != Place::Gone {
            known.lagging = false;
            self.coverage.note("push: sync needed");
            self.send_to_device(link, effect::sync_needed(), false);
        }
        if severed || self.devices[index].link != Some(link) {
            return Ok(());
        }
        let frame = read_frame(bytes)?;
        self.note(
            &[18, link.0, u64::from(frame.opcode), frame.request],
            format_args!("device {index} receives {frame:?}"),
        );
        let mut around = Surroundings {
            people: &mut self.people,
            model: &mut self.model,
            coverage: &mut self.coverage,
            clock_set_back: self.clock_set_back,
        };
        if self.devices[index].on_frame(&frame, &mut around)? == Next::Disconnect {
            self.disconnect(index);
        }
        Ok(())
    }

    /// A device gives its connection up; the server hears of it later.
    pub(super) fn disconnect(&mut self, index: usize) {
        let Some(link) = self.devices[index].link else {
            return;
        };
        self.devices[index].on_disconnected();
        let delay = if self.phase == Phase::Work && self.rng.chance(100) {
            self.rng.between(100_000, 10_000_000)
        } else {
            self.rng.between(50, 10_000)
        };
        self.note(&[19, link.0], format_args!("device {index} drops {link:?}"));
        if let Some(known) = self.network.links.get_mut(&link) {
            known.open_at_device = false;
            let at = known.server_reads_at.max(self.schedule.now() + delay);
            self.schedule.at(at, Event::ToServer { link, frame: None });
        }
        self.network.sweep();
    }

    /// The connection ends at the server's side, and the device sees it.
    pub(super) fn on_cut_at_device(&mut self, link: LinkId) {
        let Some(known) = self.network.links.get_mut(&link) else {
            return;
        };
        known.open_at_device = false;
        let index = known.device;
        if self.devices[index].link == Some(link) {
            self.devices[index].on_disconnected();
            self.note(&[20, link.0], format_args!("device {index} sees {link:?} cut"));
        }
        self.network.sweep();
    }
}

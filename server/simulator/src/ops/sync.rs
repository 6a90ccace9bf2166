//! Catching up, page by page.

use hongyan_protocol::{Frame, Opcode};

use super::Bench;
use crate::device::{Device, Pending};

/// The next request of a sync that goes on, or the first of one that is
/// wanted; nothing while a page is on its way.
pub(crate) fn go_on(device: &mut Device, bench: &mut Bench<'_>) -> Option<Frame> {
    if device.pending.values().any(|sent| matches!(sent.what, Pending::Sync)) {
        return None;
    }
    let written = bench.model.log.lsn;
    if let Some(request) = device.continue_sync() {
        return Some(device.ask(Opcode::Sync, &request, Pending::Sync, written));
    }
    if !device.sync_wanted {
        return None;
    }
    let max_bytes = if bench.rng.chance(400) { bench.rng.between(200, 3000) as u32 } else { 0 };
    let request = device.begin_sync(max_bytes);
    Some(device.ask(Opcode::Sync, &request, Pending::Sync, written))
}

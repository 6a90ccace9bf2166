//! A loader: reads the views for shards that need what is not in memory.
//!
//! Several run side by side; each takes a job, blocks on the disk, and posts
//! the answer to the shard that asked.

use bytes::Bytes;
use crossbeam_channel::Receiver;
use hongyan_core::Input;
use hongyan_core::input::StoreFailure;
use hongyan_core::key::page_key;
use hongyan_protocol::ConversationId;
use hongyan_store::{StoreError, Views};

use super::{LoadJob, LoadKind};
use crate::shared::Shared;

/// Entries asked of the views at once.
const SCAN_ENTRIES: usize = 64;

/// Runs until [`LoadKind::Stop`].
pub(crate) fn run(shared: &Shared, jobs: &Receiver<LoadJob>, views: &dyn Views) {
    while let Ok(LoadJob { shard, kind }) = jobs.recv() {
        shared.metrics.store.loads.add_shared(1);
        let input = match kind {
            LoadKind::Entity { key } => {
                let value = views.read(&key.to_bytes()).map_err(report);
                Input::Loaded { key, value }
            }
            LoadKind::Pages { ticket, conversation, from_seq, to_seq, backwards, bytes_max } => {
                let wanted = Range { conversation, from_seq, to_seq };
                let pages = if backwards {
                    pages_down(views, wanted, bytes_max)
                } else {
                    pages_up(views, wanted, bytes_max)
                };
                Input::PagesRead { ticket, pages: pages.map_err(report) }
            }
            LoadKind::Stop => return,
        };
        shared.deliver(shard, input);
    }
}

fn report(error: StoreError) -> StoreFailure {
    tracing::error!(%error, "the views cannot be read");
    StoreFailure
}

#[derive(Clone, Copy)]
struct Range {
    conversation: ConversationId,
    from_seq: u64,
    to_seq: u64,
}

impl Range {
    /// The page that holds `from_seq`, if any begins at or before it: its
    /// first seq and content.
    fn first_page(self, views: &dyn Views) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        let low = page_key(self.conversation, 0);
        let high = page_key(self.conversation, self.from_seq.min(self.to_seq));
        Ok(views.scan(&low, &high, true, usize::MAX, 1)?.into_iter().next())
    }
}

fn pages_up(views: &dyn Views, range: Range, bytes_max: usize) -> Result<Vec<Bytes>, StoreError> {
    let mut pages = Vec::new();
    let mut bytes = 0;
    if let Some((_, page)) = range.first_page(views)? {
        bytes += page.len();
        pages.push(page);
    }
    let end = page_key(range.conversation, range.to_seq);
    let Some(mut next) = range.from_seq.checked_add(1) else {
        return Ok(pages);
    };
    while bytes < bytes_max && next <= range.to_seq {
        let from = page_key(range.conversation, next);
        let entries = views.scan(&from, &end, false, bytes_max - bytes, SCAN_ENTRIES)?;
        let Some((key, _)) = entries.last() else {
            break;
        };
        let Some(after) = seq_of(key).checked_add(1) else {
            break;
        };
        next = after;
        for (_, page) in entries {
            bytes += page.len();
            pages.push(page);
        }
    }
    Ok(pages)
}

fn pages_down(views: &dyn Views, range: Range, bytes_max: usize) -> Result<Vec<Bytes>, StoreError> {
    let first = range.first_page(views)?;
    let low_seq = first.as_ref().map_or(range.from_seq, |(key, _)| seq_of(key));
    let low = page_key(range.conversation, low_seq);
    let mut pages = Vec::new();
    let mut bytes = 0;
    let mut high_seq = range.to_seq;
    while bytes < bytes_max && high_seq >= low_seq {
        let high = page_key(range.conversation, high_seq);
        let entries = views.scan(&low, &high, true, bytes_max - bytes, SCAN_ENTRIES)?;
        let Some((key, _)) = entries.last() else {
            break;
        };
        let lowest = seq_of(key);
        for (_, page) in entries {
            bytes += page.len();
            pages.push(page);
        }
        if lowest == 0 {
            break;
        }
        high_seq = lowest - 1;
    }
    Ok(pages)
}

/// The first seq in a page's key. Keys come from the scans above, which are
/// bounded by page keys of one conversation on both sides.
fn seq_of(key: &[u8]) -> u64 {
    hongyan_core::key::parse_page_key(key).map_or(u64::MAX, |(_, seq)| seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hongyan_protocol::UserId;
    use hongyan_store::MemoryViews;

    fn conversation(other: u64) -> ConversationId {
        ConversationId::direct(UserId::new(4_097).unwrap(), UserId::new(other).unwrap()).unwrap()
    }

    /// Pages of ten messages, each page's content its first seq, 8 bytes.
    fn views() -> MemoryViews {
        let views = MemoryViews::new();
        for other in [8_194, 8_195, 8_196] {
            let entries: Vec<_> = (0..20_u64)
                .map(|page| {
                    let first = page * 10 + 1;
                    let value = Bytes::copy_from_slice(&first.to_be_bytes());
                    (page_key(conversation(other), first), Some(value))
                })
                .collect();
            views.write(&entries).unwrap();
        }
        views
    }

    fn firsts(pages: Vec<Bytes>) -> Vec<u64> {
        pages.iter().map(|page| u64::from_be_bytes(page.as_ref().try_into().unwrap())).collect()
    }

    fn both(from_seq: u64, to_seq: u64, bytes_max: usize) -> (Vec<u64>, Vec<u64>) {
        let views = views();
        let range = Range { conversation: conversation(8_195), from_seq, to_seq };
        (
            firsts(pages_up(&views, range, bytes_max).unwrap()),
            firsts(pages_down(&views, range, bytes_max).unwrap()),
        )
    }

    #[test]
    fn a_range_has_the_pages_that_can_hold_it() {
        assert_eq!(both(1, 1, 1_000), (vec![1], vec![1]));
        assert_eq!(both(10, 11, 1_000), (vec![1, 11], vec![11, 1]));
        assert_eq!(both(15, 34, 1_000), (vec![11, 21, 31], vec![31, 21, 11]));
        assert_eq!(both(191, 10_000, 1_000), (vec![191], vec![191]));
        assert_eq!(both(500, 600, 1_000), (vec![191], vec![191]));
        let (up, down) = both(1, u64::MAX, 1_000_000);
        assert_eq!(up.len(), 20);
        assert_eq!(down, up.iter().rev().copied().collect::<Vec<_>>());
    }

    #[test]
    fn reading_stops_with_the_page_that_reaches_the_bound() {
        assert_eq!(both(1, 200, 1), (vec![1], vec![191]));
        let (up, down) = both(1, 200, 100);
        assert!((2..=13).contains(&up.len()), "{up:?}");
        assert!((2..=13).contains(&down.len()), "{down:?}");
        assert_eq!(up[..2], [1, 11]);
        assert_eq!(down[..2], [191, 181]);
    }

    #[test]
    fn a_conversation_without_pages_has_none() {
        let views = views();
        let range = Range { conversation: conversation(9_999), from_seq: 1, to_seq: 100 };
        assert!(pages_up(&views, range, 1_000).unwrap().is_empty());
        assert!(pages_down(&views, range, 1_000).unwrap().is_empty());
    }
}

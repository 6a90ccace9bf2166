//! One suite for every log and every views engine.
//!
//! Each function takes a factory that opens (or reopens after a clean stop) the engine under test
//! and panics with a sentence when the contract of the trait is broken. Behind the feature
//! `testing`; panics are the point here.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::error::StoreError;
use crate::log::{Draft, Log, Lsn, PAYLOAD_BYTES_MAX, Record, Tail};
pub use crate::numbers::Numbers;
use crate::views::{Checkpoint, KEY_BYTES_MAX, MARKS_MAX, Views};

/// A log under test: hands out the log, and takes it back for a clean restart.
pub trait LogBench {
    /// The engine.
    type Log: Log;
    /// Opens the log; a second call sees what the first left.
    fn open(&mut self) -> Self::Log;
    /// Stops the log cleanly, keeping its contents for the next [`LogBench::open`].
    fn stop(&mut self, log: Self::Log);
}

/// Views under test, as [`LogBench`].
pub trait ViewsBench {
    /// The engine.
    type Views: Views;
    /// Opens the views; a second call sees what the first left.
    fn open(&mut self) -> Self::Views;
    /// Stops the views, keeping their contents for the next [`ViewsBench::open`].
    fn stop(&mut self, views: Self::Views);
}

/// Runs every log test; `bench` makes a fresh bench for each.
pub fn log_suite<B: LogBench>(mut bench: impl FnMut() -> B) {
    a_new_log_is_empty(&mut bench());
    records_read_back_in_order(&mut bench());
    gaps_and_long_payloads_are_refused_without_effect(&mut bench());
    payloads_of_every_size_survive_a_restart(&mut bench());
    the_log_survives_many_restarts(&mut bench());
    truncation_keeps_what_was_asked_for(&mut bench());
    tails_outlive_their_records(&mut bench());
}

/// Runs every views test; `bench` makes a fresh bench for each.
pub fn views_suite<B: ViewsBench>(mut bench: impl FnMut() -> B) {
    new_views_are_empty(&mut bench());
    values_of_every_size_read_back(&mut bench());
    scans_page_both_ways(&mut bench());
    a_checkpoint_survives_a_restart(&mut bench());
    bad_keys_and_checkpoints_are_refused(&mut bench());
    views_follow_a_model(&mut bench());
}

/// A draft that continues its partition.
pub fn next_draft(log: &impl Log, partition: u16, payload: impl Into<Bytes>) -> Draft {
    Draft { partition, idx: log.tail(partition).idx + 1, payload: payload.into() }
}

/// All records from `lsn` on.
pub fn read_all(log: &(impl Log + ?Sized), lsn: Lsn) -> Vec<Record> {
    let records = log.read_from(lsn).expect("the records are held");
    records.map(|record| record.expect("the record verifies")).collect()
}

fn a_new_log_is_empty<B: LogBench>(bench: &mut B) {
    let mut log = bench.open();
    assert_eq!((log.last(), log.durable(), log.first()), (Lsn(0), Lsn(0), Lsn(1)));
    assert_eq!(log.tail(3), Tail::default());
    assert_eq!(read_all(&log, Lsn(0)), []);
    assert_eq!(log.append(&[], 1).expect("nothing to do"), Lsn(0));
    log.sync().expect("nothing to do");
    log.truncate_before(Lsn(9)).expect("nothing to do");
    bench.stop(log);
    let log = bench.open();
    assert_eq!((log.last(), log.first()), (Lsn(0), Lsn(1)));
}

fn records_read_back_in_order<B: LogBench>(bench: &mut B) {
    let mut log = bench.open();
    let drafts = [
        Draft { partition: 3, idx: 1, payload: Bytes::from_static(b"one") },
        Draft { partition: 9, idx: 1, payload: Bytes::from_static(b"two") },
        Draft { partition: 3, idx: 2, payload: Bytes::new() },
    ];
    assert_eq!(log.append(&drafts, 77).expect("append"), Lsn(3));
    assert_eq!((log.last(), log.durable()), (Lsn(3), Lsn(0)));
    log.sync().expect("sync");
    assert_eq!(log.durable(), Lsn(3));
    let expected = Tail::default().extended_by(b"one").extended_by(b"");
    assert_eq!(log.tail(3), expected, "the digest covers all payloads of the partition");
    let records = read_all(&log, Lsn(1));
    assert_eq!(records.len(), 3);
    for (record, (lsn, draft)) in records.iter().zip((1..).zip(&drafts)) {
        assert_eq!(record.lsn, Lsn(lsn));
        assert_eq!((record.partition, record.idx), (draft.partition, draft.idx));
        assert_eq!(record.payload, draft.payload);
        assert_eq!(record.committed_ms, 77);
    }
    assert_eq!(read_all(&log, Lsn(3)), records[2..]);
    assert_eq!(read_all(&log, Lsn(4)), []);
    bench.stop(log);
    let log = bench.open();
    assert_eq!(read_all(&log, Lsn(0)), records);
    assert_eq!((log.last(), log.durable(), log.tail(3)), (Lsn(3), Lsn(3), expected));
}

fn gaps_and_long_payloads_are_refused_without_effect<B: LogBench>(bench: &mut B) {
    let mut log = bench.open();
    let draft = |idx, len| Draft { partition: 0, idx, payload: vec![1; len].into() };
    let refused: [&[Draft]; 5] = [
        &[draft(0, 1)],
        &[draft(2, 1)],
        &[draft(1, 1), draft(1, 1)],
        &[draft(1, 1), draft(3, 1)],
        &[draft(1, PAYLOAD_BYTES_MAX + 1)],
    ];
    for drafts in refused {
        assert!(matches!(log.append(drafts, 1), Err(StoreError::Misuse { .. })));
        assert_eq!((log.last(), log.tail(0)), (Lsn(0), Tail::default()));
    }
    log.append(&[draft(1, 1), draft(2, 1)], 1).expect("a refusal poisons nothing");
    log.seal().expect("seal");
    assert_eq!(log.durable(), Lsn(2));
}

fn payloads_of_every_size_survive_a_restart<B: LogBench>(bench: &mut B) {
    let mut log = bench.open();
    let mut numbers = Numbers::new(1);
    let mut sizes = vec![0, 1, 7, 8, 9, 63, 64, 6_735, 6_736, 6_737, 13_600, 70_000, 3 << 20];
    sizes.extend((0..40).map(|_| numbers.below(20_000) as usize));
    let payloads: Vec<Bytes> = sizes.into_iter().map(|size| numbers.bytes(size)).collect();
    for payload in &payloads {
        let draft = next_draft(&log, (payload.len() % 5) as u16, payload.clone());
        log.append(&[draft], 5).expect("append");
    }
    log.sync().expect("sync");
    bench.stop(log);
    let log = bench.open();
    let found: Vec<Bytes> = read_all(&log, Lsn(1)).into_iter().map(|r| r.payload).collect();
    assert!(found == payloads, "every payload reads back as written");
}

fn the_log_survives_many_restarts<B: LogBench>(bench: &mut B) {
    let mut numbers = Numbers::new(2);
    let mut model: Vec<(u16, Bytes)> = Vec::new();
    for round in 0..12 {
        let mut log = bench.open();
        assert_eq!(log.last(), Lsn(model.len() as u64));
        for _ in 0..numbers.below(12) {
            let mut drafts: Vec<Draft> = Vec::new();
            for _ in 0..numbers.below(6) {
                let partition = numbers.below(4) as u16;
                let before = drafts.iter().rev().find(|draft| draft.partition == partition);
                let idx = before.map_or(log.tail(partition).idx, |draft| draft.idx) + 1;
                let len = numbers.below(3_000) as usize;
                let payload = numbers.bytes(len);
                model.push((partition, payload.clone()));
                drafts.push(Draft { partition, idx, payload });
            }
            log.append(&drafts, round).expect("append");
            if numbers.below(2) == 0 {
                log.sync().expect("sync");
            }
        }
        log.seal().expect("seal");
        bench.stop(log);
    }
    let log = bench.open();
    let found: Vec<(u16, Bytes)> =
        read_all(&log, Lsn(1)).into_iter().map(|r| (r.partition, r.payload)).collect();
    assert!(found == model, "the log is exactly what was appended over all runs");
    let mut tails: BTreeMap<u16, Tail> = BTreeMap::new();
    for (partition, payload) in &model {
        let tail = tails.entry(*partition).or_default();
        *tail = tail.extended_by(payload);
    }
    for (partition, tail) in tails {
        assert_eq!(log.tail(partition), tail);
    }
}

fn truncation_keeps_what_was_asked_for<B: LogBench>(bench: &mut B) {
    let mut log = bench.open();
    for number in 0..200_u32 {
        let draft = next_draft(&log, 1, vec![number as u8; 1_000]);
        log.append(&[draft], 1).expect("append");
        log.sync().expect("sync");
    }
    log.truncate_before(Lsn(120)).expect("truncate");
    let first = log.first();
    assert!(first > Lsn(1) && first <= Lsn(120), "some of it goes, none of the rest: {first:?}");
    let records = read_all(&log, first);
    assert_eq!(records.len() as u64, 200 - first.0 + 1);
    assert!(matches!(log.read_from(Lsn(first.0 - 1)), Err(StoreError::Short { .. })));
    bench.stop(log);
    let mut log = bench.open();
    assert_eq!((log.first(), log.last()), (first, Lsn(200)));
    assert_eq!(read_all(&log, first), records);
    log.truncate_before(Lsn(1)).expect("going back is no error");
    assert_eq!(log.first(), first);
    for number in 0..300_u32 {
        let draft = next_draft(&log, 1, vec![number as u8; 1_000]);
        log.append(&[draft], 1).expect("append");
        log.truncate_before(Lsn(log.last().0.saturating_sub(20))).expect("truncate");
    }
    log.seal().expect("seal");
    bench.stop(log);
    let log = bench.open();
    assert_eq!(log.last(), Lsn(500));
    assert_eq!(read_all(&log, log.first()).len() as u64, 500 - log.first().0 + 1);
}

fn tails_outlive_their_records<B: LogBench>(bench: &mut B) {
    let mut log = bench.open();
    let drafts = [next_draft(&log, 7, "only one")];
    log.append(&drafts, 1).expect("append");
    for _ in 0..200 {
        let draft = next_draft(&log, 8, vec![9; 1_000]);
        log.append(&[draft], 1).expect("append");
    }
    log.sync().expect("sync");
    log.truncate_before(Lsn(200)).expect("truncate");
    assert!(log.first() > Lsn(1), "the record of partition 7 is gone");
    let tails = (log.tail(7), log.tail(8));
    assert_eq!((tails.0.idx, tails.1.idx), (1, 200));
    bench.stop(log);
    let log = bench.open();
    assert_eq!((log.tail(7), log.tail(8)), tails);
}

fn new_views_are_empty<B: ViewsBench>(bench: &mut B) {
    let views = bench.open();
    assert_eq!(views.last_checkpoint().expect("checkpoint"), Checkpoint::default());
    assert_eq!(views.read(b"a").expect("read"), None);
    assert_eq!(views.scan(b"", b"\xFF", false, 100, 100).expect("scan"), []);
    views.write(&[(Bytes::from_static(b"gone"), None)]).expect("deleting nothing is no error");
    bench.stop(views);
}

fn values_of_every_size_read_back<B: ViewsBench>(bench: &mut B) {
    let views = bench.open();
    let mut numbers = Numbers::new(3);
    let sizes = [0, 1, 24, 6_799, 6_800, 6_801, 13_600, 13_601, 50_000, 300_000];
    let entries: Vec<(Bytes, Option<Bytes>)> = sizes
        .iter()
        .map(|size| (Bytes::from(format!("k{size}")), Some(numbers.bytes(*size))))
        .collect();
    views.write(&entries).expect("write");
    for (key, value) in &entries {
        assert!(views.read(key).expect("read") == *value, "{key:?} reads back before a restart");
    }
    views.checkpoint(&Checkpoint { lsn: Lsn(1), marks: vec![] }).expect("checkpoint");
    bench.stop(views);
    let views = bench.open();
    for (key, value) in &entries {
        assert!(views.read(key).expect("read") == *value, "{key:?} reads back after it");
    }
    let shrunk: Vec<_> = entries.iter().map(|(k, _)| (k.clone(), Some(k.clone()))).collect();
    views.write(&shrunk).expect("overwrite with short values");
    for (key, _) in &entries {
        assert_eq!(views.read(key).expect("read").as_ref(), Some(key));
    }
    bench.stop(views);
}

fn scans_page_both_ways<B: ViewsBench>(bench: &mut B) {
    let views = bench.open();
    let entry = |n: u8| (Bytes::from(vec![n]), Bytes::from(vec![n; 9]));
    let entries: Vec<_> = (0..50).map(|n| (entry(n).0, Some(entry(n).1))).collect();
    views.write(&entries).expect("write");
    views.write(&[(Bytes::from_static(&[12]), None)]).expect("delete");
    let scan = |from: u8, to: u8, backwards, bytes_max, entries_max| -> Vec<u8> {
        let page = views.scan(&[from], &[to], backwards, bytes_max, entries_max).expect("scan");
        page.iter()
            .map(|(key, value)| {
                assert_eq!(*value, entry(key[0]).1);
                key[0]
            })
            .collect()
    };
    assert_eq!(scan(10, 14, false, 1_000, 100), [10, 11, 13, 14]);
    assert_eq!(scan(10, 14, true, 1_000, 100), [14, 13, 11, 10]);
    assert_eq!(scan(10, 14, true, 1_000, 2), [14, 13]);
    assert_eq!(scan(10, 14, false, 20, 100), [10, 11], "20 bytes hold two entries of 10");
    assert_eq!(scan(10, 14, false, 19, 100), [10]);
    assert_eq!(scan(10, 14, false, 0, 100), [10], "the first entry is always given");
    assert_eq!(scan(10, 14, false, 1_000, 0), []);
    assert_eq!(scan(12, 12, false, 1_000, 100), []);
    assert_eq!(scan(14, 10, false, 1_000, 100), []);
    assert_eq!(scan(48, 255, true, 1_000, 100), [49, 48]);
    bench.stop(views);
}

fn a_checkpoint_survives_a_restart<B: ViewsBench>(bench: &mut B) {
    let checkpoint = |lsn, idx| Checkpoint { lsn: Lsn(lsn), marks: vec![(0, idx), (9, 4)] };
    let views = bench.open();
    views.write(&[(Bytes::from_static(b"a"), Some(Bytes::from_static(b"1")))]).expect("write");
    views.checkpoint(&checkpoint(5, 3)).expect("checkpoint");
    views.checkpoint(&checkpoint(5, 3)).expect("the same again is no error");
    views.checkpoint(&checkpoint(8, 6)).expect("checkpoint");
    assert_eq!(views.last_checkpoint().expect("checkpoint"), checkpoint(8, 6));
    bench.stop(views);
    let views = bench.open();
    assert_eq!(views.last_checkpoint().expect("checkpoint"), checkpoint(8, 6));
    assert_eq!(views.read(b"a").expect("read").as_deref(), Some(&b"1"[..]));
    bench.stop(views);
}

fn bad_keys_and_checkpoints_are_refused<B: ViewsBench>(bench: &mut B) {
    let views = bench.open();
    let good = (Bytes::from_static(b"good"), Some(Bytes::new()));
    for key in [Bytes::new(), vec![1; KEY_BYTES_MAX + 1].into()] {
        let entries = [good.clone(), (key, Some(Bytes::new()))];
        assert!(matches!(views.write(&entries), Err(StoreError::Misuse { .. })));
    }
    assert_eq!(views.read(b"good").expect("read"), None, "a refused call writes nothing");
    views.checkpoint(&Checkpoint { lsn: Lsn(4), marks: vec![] }).expect("checkpoint");
    let back = Checkpoint { lsn: Lsn(3), marks: vec![] };
    assert!(matches!(views.checkpoint(&back), Err(StoreError::Misuse { .. })));
    let long = Checkpoint { lsn: Lsn(5), marks: vec![(1, 1); MARKS_MAX + 1] };
    assert!(matches!(views.checkpoint(&long), Err(StoreError::Misuse { .. })));
    let key = Bytes::from(vec![7; KEY_BYTES_MAX]);
    views.write(&[(key.clone(), Some(Bytes::new()))]).expect("the longest key is fine");
    assert_eq!(views.read(&key).expect("read"), Some(Bytes::new()));
    bench.stop(views);
}

fn views_follow_a_model<B: ViewsBench>(bench: &mut B) {
    let mut numbers = Numbers::new(4);
    let mut model: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    let mut lsn = 0;
    for _ in 0..6 {
        let views = bench.open();
        for _ in 0..30 {
            let mut entries = Vec::new();
            for _ in 0..1 + numbers.below(12) {
                let key = Bytes::from(format!("key/{:03}", numbers.below(120)));
                let long = if numbers.below(12) == 0 { 30_000 } else { 900 };
                let len = numbers.below(long) as usize;
                let value = (numbers.below(4) > 0).then(|| numbers.bytes(len));
                match &value {
                    Some(value) => model.insert(key.clone(), value.clone()),
                    None => model.remove(&key),
                };
                entries.push((key, value));
            }
            views.write(&entries).expect("write");
            if numbers.below(4) == 0 {
                lsn += 1;
                views.checkpoint(&Checkpoint { lsn: Lsn(lsn), marks: vec![] }).expect("checkpoint");
            }
        }
        lsn += 1;
        views.checkpoint(&Checkpoint { lsn: Lsn(lsn), marks: vec![] }).expect("checkpoint");
        let found = views.scan(b"key/", b"key/\xFF", false, usize::MAX, usize::MAX).expect("scan");
        assert!(found.into_iter().eq(model.clone()), "the views hold what the model holds");
        bench.stop(views);
    }
    let views = bench.open();
    let mut found = views.scan(b"key/", b"key/\xFF", true, usize::MAX, usize::MAX).expect("scan");
    found.reverse();
    assert!(found.into_iter().eq(model), "and still after the restart");
    bench.stop(views);
}

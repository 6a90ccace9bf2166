//! How far apart the receivers of one message hear it: from the first arrival to the last.
//!
//! Owns the waves of one worker: with several workers each knows its own receivers only, so the
//! spread over all of them is at least what is reported. Bounded: of each flow the latest
//! [`WAVES`] messages are open at a time; one that is overtaken before its last arrival is not
//! counted.

use hdrhistogram::Histogram;

use crate::histogram::Recorder;

/// Messages of one flow that may be on their way to their receivers.
const WAVES: usize = 64;

/// One message on its way.
#[derive(Debug, Clone, Copy, Default)]
struct Wave {
    counter: u64,
    first_ns: u64,
    left: u32,
}

#[derive(Debug)]
struct Waves {
    hearers: u32,
    open: [Wave; WAVES],
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// By flow; none where a message has one receiver here at most.
    flows: Vec<Option<Box<Waves>>>,
    recorder: Recorder,
}

impl Spread {
    /// For the receivers of one worker: the flow of each thing that one of them hears.
    pub(crate) fn new(heard: impl Iterator<Item = u32>) -> Self {
        let mut hearers: Vec<u32> = Vec::new();
        for flow in heard {
            let flow = flow as usize;
            hearers.resize(hearers.len().max(flow + 1), 0);
            hearers[flow] += 1;
        }
        let waves = |hearers| Box::new(Waves { hearers, open: [Wave::default(); WAVES] });
        let flows = hearers.into_iter().map(|count| (count > 1).then(|| waves(count))).collect();
        Self { flows, recorder: Recorder::default() }
    }

    /// Message `counter` of `flow` arrived at one of its receivers, for the first time there.
    pub(crate) fn note(&mut self, flow: u32, counter: u64, now_ns: u64) {
        let Some(Some(waves)) = self.flows.get_mut(flow as usize) else {
            return;
        };
        let wave = &mut waves.open[counter as usize % WAVES];
        if wave.left == 0 || wave.counter != counter {
            *wave = Wave { counter, first_ns: now_ns, left: waves.hearers - 1 };
            return;
        }
        wave.left -= 1;
        if wave.left == 0 {
            self.recorder.record(now_ns.saturating_sub(wave.first_ns));
        }
    }

    /// As [`Recorder::end_interval`].
    pub(crate) fn end_interval(&mut self, measured: bool) {
        self.recorder.end_interval(measured, None);
    }

    /// What was measured.
    pub(crate) fn into_total(self) -> Histogram<u64> {
        self.recorder.into_total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_from_the_first_arrival_to_the_last() {
        // Flow 1 has three receivers here, flow 2 one.
        let mut spread = Spread::new([1, 1, 2, 1].into_iter());
        spread.note(2, 0, 1);
        for (counter, at_ns) in
            [(0, 1_000_000), (1, 1_500_000), (0, 2_000_000), (0, 4_000_000), (1, 1_600_000)]
        {
            spread.note(1, counter, at_ns);
        }
        spread.note(9, 0, 1);
        spread.end_interval(true);
        let total = spread.into_total();
        assert_eq!(total.len(), 1);
        assert!(total.max().abs_diff(3_000_000) < 5_000, "{}", total.max());
    }

    #[test]
    fn a_message_that_was_overtaken_is_not_counted() {
        let mut spread = Spread::new([0, 0].into_iter());
        spread.note(0, 5, 10);
        spread.note(0, 5 + WAVES as u64, 20);
        spread.note(0, 5 + WAVES as u64, 30);
        spread.end_interval(true);
        assert_eq!(spread.into_total().len(), 1);
    }
}

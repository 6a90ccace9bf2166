//! Posts from other threads to a worker, or to a thread that only waits for
//! posts.
//!
//! A bounded queue, a flag that says whether the receiver sleeps, and what
//! wakes it: a [`mio::Waker`] where it sleeps in a poll, unparking where it
//! sleeps in [`Mailbox::park_until`]. A sender wakes only when the flag is up,
//! and takes it down in doing so: at most one wake-up per sleep, whoever
//! sends. A receiver never spins: at a low load that would cost more than
//! the work.
//!
//! Public for one reason: the benches measure a hop with what the server uses.
//! A post can be anything; what a worker is posted is not public.
//!
//! # When it is full
//! A worker never blocks on another: [`MailboxSender::try_send`] gives the
//! post back. The sender keeps it in its own overflow for that target, in
//! order, and reads no socket while any overflow is not empty. It goes on
//! draining its own mailbox, so two full workers cannot wait for each other.
//! What can be in an overflow is therefore bounded by what posts already
//! under way lead to. Threads that are no workers may block:
//! [`MailboxSender::send`].
//!
//! # The race that must not be
//! The worker raises the flag, *then* looks whether the queue is empty, and
//! only then polls. A sender enqueues, *then* looks at the flag. Both pairs
//! are sequentially consistent, so at least one of them sees the other.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// The sending end; cheap to clone.
pub struct MailboxSender<T> {
    queue: Sender<T>,
    bell: Arc<Bell>,
}

impl<T> Clone for MailboxSender<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), bell: self.bell.clone() }
    }
}

/// The receiving end: one worker has it.
pub struct Mailbox<T> {
    queue: Receiver<T>,
    bell: Arc<Bell>,
}

struct Bell {
    asleep: AtomicBool,
    sleeper: Sleeper,
}

/// How the receiver sleeps.
enum Sleeper {
    /// In a poll.
    Polling(mio::Waker),
    /// In [`Mailbox::park_until`]; known from its first sleep on.
    Parking(OnceLock<Thread>),
}

impl Sleeper {
    fn wake(&self) {
        match self {
            // An eventfd write fails only when its counter would overflow,
            // and then the worker is being woken anyway.
            Self::Polling(waker) => drop(waker.wake()),
            Self::Parking(thread) => {
                if let Some(thread) = thread.get() {
                    thread.unpark();
                }
            }
        }
    }
}

/// The worker is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker has stopped")]
pub struct Gone;

/// A mailbox of at most `len_max` posts, for a receiver that sleeps in the
/// poll of `waker`.
pub fn mailbox<T>(len_max: usize, waker: mio::Waker) -> (MailboxSender<T>, Mailbox<T>) {
    with_sleeper(len_max, Sleeper::Polling(waker))
}

/// A mailbox of at most `len_max` posts, for a thread that sleeps in
/// [`Mailbox::park_until`].
pub fn parking_mailbox<T>(len_max: usize) -> (MailboxSender<T>, Mailbox<T>) {
    with_sleeper(len_max, Sleeper::Parking(OnceLock::new()))
}

fn with_sleeper<T>(len_max: usize, sleeper: Sleeper) -> (MailboxSender<T>, Mailbox<T>) {
    let (sender, receiver) = bounded(len_max);
    let bell = Arc::new(Bell { asleep: AtomicBool::new(false), sleeper });
    (MailboxSender { queue: sender, bell: bell.clone() }, Mailbox { queue: receiver, bell })
}

impl<T> MailboxSender<T> {
    /// Enqueues without waking: follow it with [`MailboxSender::ring`].
    ///
    /// # Errors
    /// Gives the post back when the mailbox is full. A post to a worker that
    /// has stopped is dropped: nobody waits for it any more.
    pub fn try_send(&self, post: T) -> Result<(), T> {
        match self.queue.try_send(post) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(post)) => Err(post),
        }
    }

    /// Enqueues, waiting while the mailbox is full, and wakes. Not for
    /// workers.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn send(&self, post: T) -> Result<(), Gone> {
        let post = match self.queue.try_send(post) {
            Ok(()) => {
                self.ring();
                return Ok(());
            }
            Err(TrySendError::Disconnected(_)) => return Err(Gone),
            Err(TrySendError::Full(post)) => post,
        };
        self.ring();
        self.queue.send(post).map_err(|_| Gone)?;
        self.ring();
        Ok(())
    }

    /// Wakes the worker if it sleeps.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.bell.asleep.load(Ordering::SeqCst) && self.bell.asleep.swap(false, Ordering::SeqCst)
        {
            self.bell.sleeper.wake();
        }
    }

    /// Posts waiting.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl<T> Mailbox<T> {
    /// Takes the next post.
    pub fn take(&self) -> Option<T> {
        self.queue.try_recv().ok()
    }

    /// True when there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Says that the worker is about to poll. Look at everything that a
    /// sender may have changed *after* this call, and do not sleep if any of
    /// it has.
    pub fn fall_asleep(&self) {
        self.bell.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Says that the worker is awake.
    pub fn wake_up(&self) {
        self.bell.asleep.store(false, Ordering::SeqCst);
    }

    /// Sleeps until there is something to take or `deadline` has come; may
    /// also end for no reason. Only for the mailboxes of
    /// [`parking_mailbox`], and only ever on one thread.
    pub fn park_until(&self, deadline: Option<Instant>) {
        if let Sleeper::Parking(thread) = &self.bell.sleeper {
            thread.get_or_init(std::thread::current);
        }
        self.fall_asleep();
        if self.is_empty() {
            match deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
                }
            }
        }
        self.wake_up();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const POSTS: u64 = 20_000;

    /// Sleeps without a timeout whenever the mailbox looks empty: one lost
    /// wake-up and the test never ends (the harness' own limit ends it then).
    #[test]
    fn no_wake_up_is_lost_among_many_senders() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let (sender, mailbox) = mailbox::<u64>(64, waker);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for post in 1..=POSTS {
                        if post % 3 == 0 {
                            sender.send(post).unwrap();
                        } else {
                            let mut post = post;
                            while let Err(back) = sender.try_send(post) {
                                sender.ring();
                                post = back;
                                std::thread::yield_now();
                            }
                            sender.ring();
                        }
                    }
                })
            })
            .collect();
        let mut events = mio::Events::with_capacity(8);
        let mut sum = 0_u64;
        let mut count = 0;
        while count < 4 * POSTS {
            mailbox.fall_asleep();
            if mailbox.is_empty() {
                poll.poll(&mut events, None).unwrap();
            }
            mailbox.wake_up();
            while let Some(post) = mailbox.take() {
                sum += post;
                count += 1;
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(sum, 4 * POSTS * (POSTS + 1) / 2);
    }

    /// The same for a receiver that parks.
    #[test]
    fn no_parked_receiver_is_left_asleep() {
        let (sender, mailbox) = parking_mailbox::<u64>(64);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for post in 1..=POSTS {
                        sender.send(post).unwrap();
                    }
                })
            })
            .collect();
        let mut count = 0;
        while count < 4 * POSTS {
            mailbox.park_until(None);
            while mailbox.take().is_some() {
                count += 1;
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
        mailbox.park_until(Some(Instant::now() + Duration::from_millis(1)));
        assert!(mailbox.is_empty());
    }

    #[test]
    fn an_awake_worker_is_not_written_to() {
        let mut poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let (sender, mailbox) = mailbox::<u64>(2, waker);
        sender.try_send(1).unwrap();
        sender.ring();
        let mut events = mio::Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
        mailbox.fall_asleep();
        sender.ring();
        sender.ring();
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.iter().count(), 1);
    }

    #[test]
    fn a_full_mailbox_gives_the_post_back() {
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
        let (sender, mailbox) = mailbox::<u64>(2, waker);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Ok(()));
        assert_eq!(sender.try_send(3), Err(3));
        assert_eq!(mailbox.take(), Some(1));
        assert_eq!(sender.try_send(3), Ok(()));
        drop(mailbox);
        assert_eq!(sender.send(4), Err(Gone));
    }
}

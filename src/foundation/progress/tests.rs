//! Mirrors of owners.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[derive(Default)]
struct Owner {
    cancels: AtomicUsize,
    pauses: AtomicUsize,
    resumes: AtomicUsize,
    releases: AtomicUsize,
}

impl ProgressOwner for Owner {
    fn cancel_by_progress(self: Arc<Self>) {
        self.cancels.fetch_add(1, Ordering::Relaxed);
    }

    fn pause_by_progress(self: Arc<Self>) {
        self.pauses.fetch_add(1, Ordering::Relaxed);
    }

    fn resume_by_progress(self: Arc<Self>) {
        self.resumes.fetch_add(1, Ordering::Relaxed);
    }

    fn progress_released(self: Arc<Self>) {
        self.releases.fetch_add(1, Ordering::Relaxed);
    }
}

impl Owner {
    fn calls(&self) -> [usize; 3] {
        [&self.cancels, &self.pauses, &self.resumes].map(|count| count.load(Ordering::Relaxed))
    }
}

fn mirror() -> (Arc<Owner>, Arc<Progress>) {
    let owner = Arc::new(Owner::default());
    let weak = Arc::downgrade(&owner);
    let progress = Progress::for_task(weak, RECEIVING);
    (owner, progress)
}

struct Released(Arc<AtomicUsize>);

impl Handler for Released {
    fn call(&self) {}
}

impl Drop for Released {
    fn drop(&mut self) {
        assert_eq!(std::thread::current().name(), Some("nsurl-queue"));
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_is_done_to_a_mirror_is_done_to_its_owner() {
    let (owner, progress) = mirror();
    assert!(progress.is_pausable() && progress.is_cancellable());
    assert_eq!(progress.kind().as_deref(), Some(KIND_FILE));
    progress.send(Signal::Pause);
    progress.send(Signal::Pause);
    assert_eq!(owner.calls(), [0, 1, 0]);
    progress.send(Signal::Resume);
    assert_eq!(owner.calls(), [0, 1, 1]);
    progress.send(Signal::Resume);
    assert_eq!(owner.calls(), [0, 1, 2]);
    progress.mirror_paused(|| true);
    assert!(progress.is_paused());
    progress.mirror_paused(|| false);
    progress.mirror_cancelled();
    assert!(progress.is_cancelled());
    progress.send(Signal::Cancel);
    assert_eq!(owner.calls(), [0, 1, 2]);

    let (owner, progress) = mirror();
    let above = Progress::discrete(1);
    above.add_child(&progress, 1).unwrap();
    above.send(Signal::Cancel);
    above.send(Signal::Cancel);
    assert_eq!(owner.calls(), [1, 0, 0]);
    drop(owner);
    progress.send(Signal::Resume);
}

#[test]
fn a_mirror_measures() {
    let (_owner, progress) = mirror();
    let start = Instant::now();
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    progress.update(0, -1, start);
    assert!(progress.is_indeterminate());
    progress.update(1000, 5000, at(1000));
    assert_eq!(progress.fraction(), 0.2);
    assert_eq!(progress.throughput(at(1000)), Some(1000));
    assert_eq!(progress.time_remaining(at(1000)), Some(4.0));
    progress.update(2000, -1, at(2000));
    assert_eq!(progress.throughput(at(2000)), Some(1000));
    assert_eq!(progress.time_remaining(at(2000)), None);
    // It stalls: there is no telling how long.
    progress.update(2000, 5000, at(2000));
    assert_eq!(progress.throughput(at(4000)), Some(0));
    assert_eq!(progress.time_remaining(at(4000)), None);
    progress.mirror_paused(|| true);
    assert_eq!(progress.throughput(at(4000)), None);
    progress.mirror_paused(|| false);
    progress.update(3000, 5000, at(9000));
    assert_eq!(progress.throughput(at(9000)), None);
    progress.update(4000, 5000, at(9500));
    assert_eq!(progress.throughput(at(9500)), Some(2000));
    progress.finish(true);
    assert_eq!(progress.throughput(at(9500)), None);
    assert_eq!(progress.time_remaining(at(9500)), None);
}

#[test]
fn success_finishes_a_mirror_and_nothing_else_does() {
    for (completed, total) in [(10, 10), (10, 20), (10, -1), (0, 0)] {
        let (_owner, progress) = mirror();
        let above = Progress::discrete(4);
        above.add_child(&progress, 3).unwrap();
        progress.update(completed, total, Instant::now());
        assert!(!progress.is_finished());
        assert_eq!(above.completed(), 0);
        progress.finish(true);
        assert!(progress.is_finished() && !progress.is_indeterminate());
        assert_eq!(progress.fraction(), 1.0);
        assert_eq!(
            (progress.completed(), progress.total()),
            (completed, completed)
        );
        assert_eq!((above.completed(), above.fraction()), (3, 0.75));
        progress.update(1, 2, Instant::now());
        progress.finish(false);
        assert_eq!((progress.fraction(), above.completed()), (1.0, 3));
    }
    let (_owner, progress) = mirror();
    let above = Progress::discrete(4);
    above.add_child(&progress, 2).unwrap();
    progress.update(5, 10, Instant::now());
    progress.finish(false);
    progress.finish(true);
    assert!(!progress.is_finished());
    assert_eq!((progress.fraction(), above.fraction()), (0.5, 0.25));
    assert!(progress.add_child(&Progress::discrete(1), 1).is_err());
}

/// A download that goes on where an earlier one was.
#[test]
fn what_was_done_before_does_not_count_as_speed() {
    let (_owner, progress) = mirror();
    let start = Instant::now();
    progress.update(0, -1, start);
    progress.leap(1_000_000, 2_000_000, start + Duration::from_millis(500));
    assert_eq!(
        (progress.completed(), progress.total()),
        (1_000_000, 2_000_000)
    );
    progress.update(1_000_500, 2_000_000, start + Duration::from_secs(1));
    assert_eq!(
        progress.throughput(start + Duration::from_secs(1)),
        Some(1000)
    );
}

#[test]
fn no_context_is_released_on_a_thread_of_the_loops() {
    let released = Arc::new(AtomicUsize::new(0));
    let above = Progress::discrete(1);
    let handler = Released(Arc::clone(&released));
    above.set_handler(Signal::Cancel, Some(Arc::new(handler)));
    std::thread::spawn(move || {
        log::defer_on_this_thread();
        drop(above);
    })
    .join()
    .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while released.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
}

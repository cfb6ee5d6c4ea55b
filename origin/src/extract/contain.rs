//! Runs a parser of a complicated format where its failures stay its own: a panic, a deep recursion and an endless
//! loop each end in an error for this file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::ExtractError;

/// Files parsed at one time. A parser that never ends keeps its place, so that there are never more than this
/// many lost threads.
const PLACES: usize = 4;

/// How long a file waits for a place.
const PLACE_WAIT: Duration = Duration::from_secs(30);

/// Stack of a parser's thread; untouched pages cost nothing. Recursion over nested elements is the reason.
const STACK_BYTES: usize = 128 << 20;

static FREE: Mutex<usize> = Mutex::new(PLACES);
static FREED: Condvar = Condvar::new();

/// One of the places; given back when dropped.
struct Place;

impl Place {
    fn take() -> Result<Self, ExtractError> {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) = FREED
            .wait_timeout_while(free, PLACE_WAIT, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        if *free == 0 {
            return Err(ExtractError::Busy);
        }
        *free -= 1;
        Ok(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        FREED.notify_one();
    }
}

/// Runs `parse` on a thread of its own for at most `seconds`.
pub(super) fn contained<T: Send + 'static>(
    format: &'static str,
    seconds: u64,
    parse: impl FnOnce() -> Result<T, ExtractError> + Send + 'static,
) -> Result<T, ExtractError> {
    let place = Place::take()?;
    let (done, result) = mpsc::sync_channel(1);
    let work = move || {
        let _place = place;
        // The parsers index and unwrap on what a file says. Nothing they touch is used after a panic.
        let outcome = catch_unwind(AssertUnwindSafe(parse))
            .unwrap_or_else(|_| Err(ExtractError::broken(format, "its structure is damaged")));
        // Nobody listens any more when the time is up.
        let _ = done.send(outcome);
    };
    std::thread::Builder::new()
        .name(format!("extract-{format}"))
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|_| ExtractError::Busy)?;
    match result.recv_timeout(Duration::from_secs(seconds)) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => Err(ExtractError::TimedOut { format, seconds }),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(ExtractError::broken(format, "it could not be read"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_files_fault() {
        let outcome: Result<(), _> = contained("PDF", 5, || panic!("on purpose"));
        assert!(matches!(outcome, Err(ExtractError::Broken { format: "PDF", .. })));
    }

    #[test]
    fn an_endless_parser_is_left_behind() {
        let (release, gate) = mpsc::channel::<()>();
        let outcome: Result<(), _> = contained("PDF", 0, move || {
            let _ = gate.recv();
            Ok(())
        });
        assert_eq!(outcome, Err(ExtractError::TimedOut { format: "PDF", seconds: 0 }));
        drop(release);
    }

    #[test]
    fn places_are_given_back() {
        for _ in 0..PLACES * 3 {
            assert_eq!(contained("PDF", 5, || Ok(1)), Ok(1));
        }
    }
}

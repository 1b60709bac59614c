//! Requests of whoever takes work over: brokers may be busy with what made it change hands.

use crate::error::{Fault, Result};

/// So often a request is made that finds no answer, each time for as long as it waits for one.
const ATTEMPTS: u32 = 3;

/// Asks again where nobody answered. A refusal is final.
pub(super) fn patiently<T>(mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match ask() {
            Err(error) if error.fault() == Fault::External => {
                tracing::warn!(%error, "no answer while taking over; asking again");
            }
            answer => return answer,
        }
    }
    ask()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn asked(answers: impl Fn(u32) -> Result<()>) -> (u32, bool) {
        let mut n = 0;
        let answer = patiently(|| {
            n += 1;
            answers(n)
        });
        (n, answer.is_ok())
    }

    #[test]
    fn whoever_does_not_answer_is_asked_again_and_whoever_refuses_is_not() {
        let away = || Err(Error::external("no broker answers"));
        assert_eq!(asked(|n| if n < 3 { away() } else { Ok(()) }), (3, true));
        assert_eq!(asked(|_| away()), (3, false));
        assert_eq!(asked(|_| Err(Error::user("no such topic"))), (1, false));
    }
}

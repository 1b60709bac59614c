//! What a mark of a manifest counts, by number. The numbers stand in stores: none is ever given to anything else.
//!
//! A mark says how far a stream is stored. Below 200 it is of one part of the stream's panes
//! ([`crate::scan::Body::part`]); the others are of the stream.

use crate::event::Poison;

/// Good rows that a scan that runs apart had counted.
pub(super) const ROWS: u8 = 200;
/// Rows that were too late for their pane, likewise.
pub(super) const LATE: u8 = 201;
/// Re-deliveries, likewise.
pub(super) const REPEATS: u8 = 202;
/// Records refused for the first reason, likewise; the other reasons follow in the order of their numbers.
const REFUSED: u8 = 203;
/// The next offset.
pub(super) const OFFSETS: u8 = 250;

/// Records refused for one reason, likewise.
pub(super) fn refused(reason: Poison) -> u8 {
    REFUSED + reason.number()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_marks_stay() {
        assert_eq!([ROWS, LATE, REPEATS, OFFSETS], [200, 201, 202, 250]);
        let refused = [
            (Poison::Empty, 203),
            (Poison::InvalidUtf8, 204),
            (Poison::Malformed, 205),
            (Poison::DuplicateKey, 206),
            (Poison::MissingField, 207),
            (Poison::WrongType, 208),
            (Poison::OutOfRange, 209),
            (Poison::AbsurdTime, 210),
            (Poison::TooLong, 211),
        ];
        assert_eq!(refused.map(|(reason, _)| reason), Poison::ALL);
        refused.into_iter().for_each(|(reason, number)| assert_eq!(self::refused(reason), number));
        assert!(Poison::ALL.into_iter().all(|reason| self::refused(reason) < OFFSETS));
    }
}

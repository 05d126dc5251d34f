//! What can only be seen from inside: most of it in child processes, for it ends, forks or limits the process.

mod children;
mod edges;
mod endings;
mod leaks;
mod limits;
mod slots;

use super::region::Region;
use super::{Key, MemoryOptions, prepare};
use crate::status::Fault;

/// Makes the arena of a child process.
fn arena(hot_slots: usize) {
    assert_eq!(prepare(&MemoryOptions { hot_slots, require_locked: false }), Ok(()));
}

/// Whether every data byte of every region is zero.
fn all_zero() -> bool {
    Region::all().count() > 0
        && Region::all().all(|region| {
            let (first, len) = region.span();
            // SAFETY: mapped for as long as the process lives; the tests have it to themselves.
            unsafe { std::slice::from_raw_parts(first, len) }.iter().all(|byte| *byte == 0)
        })
}

/// Everything a key and the module can be asked for, one after the other, with its answer.
fn operations(
    key: &Key,
    wrapped: &[u8],
    (drk, data): (&[u8], &[u8]),
) -> impl Iterator<Item = Result<(), Fault>> {
    let mut small = [0u8; 60];
    let length = data.len() - 28;
    (0..12).map(move |number| match number {
        0 => Key::generate().map(drop),
        1 => Key::import(&mut [7u8; 32]).map(drop),
        2 => key.export(&mut [0; 32]),
        3 => key.seal(&[1; 32], &mut small),
        4 => key.open(wrapped, &mut small[..32]),
        5 => key.wrap(key).map(drop),
        6 => key.unwrap(wrapped).map(drop),
        7 => key.seal_record(&[1; 32], &mut small).map(drop),
        8 => key.open_record(drk, data, &mut small[..length]),
        9 => super::random(&mut small),
        10 => super::inspect(),
        _ => prepare(&MemoryOptions { hot_slots: 5, require_locked: false }),
    })
}

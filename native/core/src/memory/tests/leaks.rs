//! No key byte, and no part of an expanded key, rests outside the arena.
#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;

use super::super::region::Region;
use super::super::slot::STRIDE;
use super::super::{Key, arena as memory};
use super::{arena, children};

/// Whatever is looked for is kept under this mask, so that the search does not find itself.
const MASK: u8 = 0xa5;
const WIDE_MASK: u128 = u128::from_ne_bytes([MASK; 16]);

/// A key, masked; not derived from anything that could be in memory by chance.
const MASKED_KEY: [u8; 32] = *b"\x3f\x9a\x11\xc4\x70\x5e\xd8\x26\x8b\x02\xe7\x4d\xb1\x69\x93\xfa\
                                \x54\x2c\xc9\x17\xae\x60\xf3\x88\x0d\x7b\xd2\x35\x99\x41\xec\x56";

fn key() -> Key {
    let mut bytes = [0; 32];
    for (byte, masked) in bytes.iter_mut().zip(black_box(MASKED_KEY)) {
        *byte = masked ^ black_box(MASK);
    }
    Key::import(&mut bytes).expect("imported")
}

/// Uses the key in every way.
fn use_it(key: &Key, sizes: &[usize]) {
    let other = Key::generate().expect("generated");
    let wrapped = key.wrap(&other).expect("wrapped");
    key.unwrap(&wrapped).expect("unwrapped");
    // A key sealed by its likes passes through all the places where it is somebody's plaintext.
    let inner = other.wrap(key).expect("wrapped");
    drop(other.unwrap(&inner).expect("unwrapped"));
    for size in sizes {
        let (mut data, mut out) = (vec![0; size + 28], vec![0; *size]);
        let drk = key.seal_record(&vec![1; *size], &mut data).expect("sealed");
        key.open_record(&drk, &data, &mut out).expect("opened");
        key.open_record(&drk, &vec![0; size + 28], &mut out).expect_err("a wrong tag");
        key.seal(&out, &mut data).expect("sealed");
        key.open(&data, &mut out).expect("opened");
    }
}

/// The 16-byte pieces of the key's slot that are no small numbers, masked.
fn pieces(key: &Key) -> HashSet<u128> {
    let place = memory::any().expect("made").hot.place(key.hint()).expect("it is hot");
    let mut pieces = HashSet::new();
    for offset in (0..STRIDE - 16).step_by(8) {
        let mut piece = [0; 16];
        for (index, byte) in piece.iter_mut().enumerate() {
            // SAFETY: inside the slot, which nobody writes now.
            *byte =
                unsafe { place.as_ptr().cast::<u8>().add(offset + index).read_volatile() } ^ black_box(MASK);
        }
        if piece.iter().filter(|byte| **byte == MASK).count() < 4 {
            pieces.insert(u128::from_ne_bytes(piece));
        }
    }
    pieces
}

/// Where in the process's memory, the arena left out, one of the pieces is found at an address divisible by eight.
fn found(pieces: &HashSet<u128>) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has maps");
    let memory = File::open("/proc/self/mem").expect("own memory can be read");
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| !line.contains("[vvar") && !line.contains("[vsyscall]")) {
        let (range, rest) = line.split_once(' ').expect("a range");
        let (first, end) = range.split_once('-').expect("two addresses");
        let first = u64::from_str_radix(first, 16).expect("hexadecimal");
        let end = u64::from_str_radix(end, 16).expect("hexadecimal");
        let ours = Region::all().any(|region| region.span().0 as u64 == first);
        if ours || !rest.starts_with("rw") {
            continue;
        }
        let mut page = [0; 4096];
        let mut at = first;
        while at < end && memory.read_exact_at(&mut page, at).is_ok() {
            // Pieces across pages of the copy are rare enough: a copy of a key is on one page or found by its neighbours.
            for (index, window) in page.windows(16).step_by(8).enumerate() {
                let window: [u8; 16] = window.try_into().expect("a window of 16");
                if pieces.contains(&(u128::from_ne_bytes(window) ^ black_box(WIDE_MASK))) {
                    found.push(format!("{:x} in {line}", at + 8 * index as u64));
                }
            }
            at += 4096;
        }
    }
    found
}

#[test]
fn nothing_of_a_key_rests_outside_the_arena() {
    children::pass(
        module_path!(),
        "nothing_of_a_key_rests_outside_the_arena",
        &["the search", "keys"],
        |case| {
            arena(4);
            let key = key();
            use_it(&key, &[0, 1, 64, 1000, 9000]);
            let pieces = pieces(&key);
            assert!(pieces.len() > 40, "15 round keys and as much of the GHASH table: {}", pieces.len());
            if case == "the search" {
                let mut exported = Box::new([0; 32]);
                key.export(&mut exported).expect("exported");
                assert!(!found(&pieces).is_empty(), "what is exported is found");
                black_box(exported);
                return;
            }
            // Another thread that is still there has a stack of its own.
            let (ready, wait) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            std::thread::scope(|scope| {
                let key = &key;
                scope.spawn(move || {
                    use_it(key, &[64]);
                    ready.send(()).expect("heard");
                    let _ = ended.recv();
                });
                wait.recv().expect("used");
                let found = found(&pieces);
                drop(end);
                assert!(found.is_empty(), "{found:#?}");
            });
        },
    );
}

//! The fuzz targets of `native/fuzz` as plain tests: over the committed corpus, alterations of it and noise, all the same
//! at each run.

#[path = "record_support/model.rs"]
mod model;
#[path = "fuzz_targets/record_reader.rs"]
mod record_reader;
#[path = "fuzz_targets/ring_script.rs"]
mod ring_script;
#[path = "fuzz_targets/seal_open.rs"]
mod seal_open;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Runs every seed, then `inputs` made of them.
fn play(target: &str, inputs: usize, run: fn(&[u8])) {
    let seeds = corpus(target);
    assert!(!seeds.is_empty(), "no corpus for {target}");
    for seed in &seeds {
        tell_failing(seed, run);
    }
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    // Under Miri each costs thousands of times as much.
    for _ in 0..inputs / if cfg!(miri) { 1_000 } else { 1 } {
        tell_failing(&noise.input(&seeds), run);
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is part of the repository");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a seed")).collect()
}

/// Shows the input of a failure, for a new seed.
fn tell_failing(input: &[u8], run: fn(&[u8])) {
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| run(input))) {
        eprintln!("input: {}", input.escape_ascii());
        resume_unwind(failure);
    }
}

/// SplitMix64: the same inputs on every machine.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\"\\{}[]:,0/=\x00\x7f\xff";
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.next() as u8 }
    }

    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        if self.below(8) == 0 {
            return (0..self.below(300)).map(|_| self.next() as u8).collect();
        }
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len());
            let end = at + self.below((input.len() - at).min(40));
            match self.below(7) {
                0 => input.truncate(at),
                1 => drop(input.drain(at..end)),
                2 => {
                    let piece = input[at..end].to_vec();
                    input.splice(at..at, piece);
                }
                3 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    input.splice(at..end, other[from..].iter().take(60).copied());
                }
                4 => input.insert(at, self.byte()),
                _ if !input.is_empty() => input[at] = self.byte(),
                _ => {}
            }
        }
        input
    }
}

#[test]
fn any_bytes_as_a_record() {
    play("record_reader", 30_000, record_reader::run);
}

#[test]
fn any_bytes_as_what_was_sealed() {
    play("seal_open", 10_000, seal_open::run);
}

#[test]
fn any_bytes_as_a_program_over_the_ring() {
    play("ring_script", 10_000, ring_script::run);
}

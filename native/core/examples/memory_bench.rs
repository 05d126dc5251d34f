//! Prints ns per record of the data plane's innermost operations: `cargo run --release --example memory_bench`.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use asherah_core::Fault;
use asherah_core::memory::{Key, MemoryOptions, prepare, random, status};

const HOT_SLOTS: usize = 256;
const ROUNDS: usize = 7;

/// The best of some rounds, in ns per call: the machine is shared, so noise only ever adds.
fn best(calls: usize, mut call: impl FnMut(usize)) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for index in 0..calls {
            call(index);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / calls as f64);
    }
    best
}

fn main() -> Result<(), Fault> {
    prepare(&MemoryOptions { hot_slots: HOT_SLOTS, require_locked: false })?;
    let key = Key::generate()?;
    println!("{:<34}{:>10}{:>10}", "ns per call", "seal", "open");
    for size in [0, 64, 1024, 8192] {
        let calls = 20_000_000 / (400 + size / 2) / 4;
        let payload = vec![7; size];
        let mut data = vec![0; size + 28];
        let mut back = vec![0; size];
        let seal = best(calls, |_| {
            black_box(key.seal_record(black_box(&payload), &mut data)).expect("sealed");
        });
        let wrapped = key.seal_record(&payload, &mut data)?;
        let open = best(calls, |_| {
            key.open_record(black_box(&wrapped), black_box(&data), &mut back).expect("opened")
        });
        println!("{:<34}{seal:>10.0}{open:>10.0}", format!("record of {size} B, hot"));
    }

    let keys: Vec<Key> = (0..4 * HOT_SLOTS).map(|_| Key::generate()).collect::<Result<_, _>>()?;
    let payload = [7; 64];
    let mut data = [0; 92];
    let mut back = [0; 64];
    for (name, count) in [("each hot slot in turn", HOT_SLOTS), ("every use a hot miss", 4 * HOT_SLOTS)] {
        let mut records = Vec::new();
        for key in &keys[..count] {
            let wrapped = key.seal_record(&payload, &mut data)?;
            records.push((wrapped, data));
        }
        let seal = best(4 * count, |index| {
            black_box(keys[index % count].seal_record(&payload, &mut data)).expect("sealed");
        });
        let open = best(4 * count, |index| {
            let (wrapped, data) = &records[index % count];
            keys[index % count].open_record(wrapped, data, &mut back).expect("opened");
        });
        println!("{:<34}{seal:>10.0}{open:>10.0}", format!("record of 64 B, {name}"));
    }

    let calls = 40_000;
    for threads in [1, 2] {
        let barrier = Barrier::new(threads);
        let seconds = std::thread::scope(|scope| {
            let work = || {
                let mut data = [0; 92];
                key.seal_record(&payload, &mut data).expect("sealed");
                barrier.wait();
                let start = Instant::now();
                for _ in 0..calls {
                    black_box(key.seal_record(&payload, &mut data)).expect("sealed");
                }
                start.elapsed().as_secs_f64()
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).fold(0.0, f64::max)
        });
        let rate = (calls * threads) as f64 / seconds / 1e6;
        println!("{threads} thread(s), one key, 64 B: {rate:.2} million sealed a second");
    }

    let mut bytes = [0; 56];
    println!("random, 56 B: {:.0} ns", best(20_000, |_| random(black_box(&mut bytes)).expect("random")));
    println!(
        "generate + drop: {:.0} ns",
        best(5_000, |_| drop(black_box(Key::generate().expect("generated"))))
    );
    let child = Key::generate()?;
    let wrapped = key.wrap(&child)?;
    println!(
        "wrap: {:.0} ns",
        best(5_000, |_| {
            black_box(key.wrap(&child)).expect("wrapped");
        })
    );
    println!(
        "unwrap + drop: {:.0} ns",
        best(5_000, |_| drop(black_box(key.unwrap(&wrapped).expect("unwrapped"))))
    );
    println!("{:#?}", status());
    Ok(())
}

#![no_main]

#[path = "../../core/tests/fuzz_targets/seal_open.rs"]
mod seal_open;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seal_open::run(bytes));

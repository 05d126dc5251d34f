#![no_main]

#[path = "../../core/tests/fuzz_targets/ring_script.rs"]
mod ring_script;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ring_script::run(bytes));

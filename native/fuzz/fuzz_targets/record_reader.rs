#![no_main]

#[path = "../../core/tests/record_support/model.rs"]
mod model;
#[path = "../../core/tests/fuzz_targets/record_reader.rs"]
mod record_reader;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| record_reader::run(bytes));

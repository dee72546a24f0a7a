//! libFuzzer with the target `journal`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stockade_fuzz::run("journal", input));

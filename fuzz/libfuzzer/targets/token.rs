//! libFuzzer with the target `token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stockade_fuzz::run("token", input));

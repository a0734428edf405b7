#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aleph_attestation::fuzz::tpm_structures(bytes));

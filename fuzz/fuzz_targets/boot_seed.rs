#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    std::hint::black_box(aleph_init::config::MachineConfig::from_seed(bytes).is_ok());
});

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    std::hint::black_box(aleph_message::Manifest::read(bytes).is_ok());
});

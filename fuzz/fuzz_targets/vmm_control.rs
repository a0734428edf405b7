#![no_main]

use aleph_vmm::control::{MachineConfig, Request, Response, decode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let config = decode::<MachineConfig>(bytes).map(|config| config.validate().is_ok());
    std::hint::black_box((
        config.is_ok(),
        decode::<Request>(bytes).is_ok(),
        decode::<Response>(bytes).is_ok(),
    ));
});

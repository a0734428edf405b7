#![no_main]

use aleph_vmm::status::{HEADER_SIZE_BYTES, parse_header};

libfuzzer_sys::fuzz_target!(|header: [u8; HEADER_SIZE_BYTES]| {
    std::hint::black_box(parse_header(&header).is_ok());
});

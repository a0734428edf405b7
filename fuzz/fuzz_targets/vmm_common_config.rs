#![no_main]

use aleph_vmm::devices::virtio::common_config::CommonConfig;

// A driver that writes anything anywhere, in any order: six bytes an access.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut config = CommonConfig::new(u64::MAX, &[256, 256], 3);
    for access in bytes.chunks_exact(6) {
        let (size, offset) = (usize::from(access[0] % 5), u64::from(access[1] & 0x3f));
        let transition = config.write(offset, &access[2..(2 + size).min(6)]);
        let mut read = [0; 8];
        config.read(offset, &mut read[..size]);
        std::hint::black_box((transition.is_some(), read));
    }
});

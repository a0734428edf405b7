#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(table) = aleph_init::modules::ModuleTable::parse(text) {
        std::hint::black_box((table.always().len(), table.for_devices(["pci:v00001AF4d00001041"])));
    }
});

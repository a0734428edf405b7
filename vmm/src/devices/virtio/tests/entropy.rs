//! A driver that wants random bytes.

use super::*;
use crate::confine::Confinement;
use crate::devices::virtio::entropy::Entropy;
use crate::status::Counter;

#[test]
fn requests_are_filled_up_to_a_page_and_differ() {
    let mut driver = Driver::new(Entropy::new(&Confinement::none()).unwrap(), 0);
    let chain = [Descriptor(DATA, 32, NEXT | WRITE, 1), Descriptor(DATA + 0x1000, 32, WRITE, 0)];
    driver.descriptors(DESCRIPTORS, &chain);
    driver.publish(0);
    assert!(driver.settle());
    assert_eq!(driver.used_entry(0, 0), (0, 64));
    let read = |driver: &Driver, address| {
        driver.memory.read_obj::<[u8; 32]>(GuestAddress(address)).unwrap()
    };
    let (first, second) = (read(&driver, DATA), read(&driver, DATA + 0x1000));
    assert_ne!(first, [0; 32]);
    assert_ne!(first, second);

    driver.descriptors(DESCRIPTORS, &[Descriptor(DATA, 0x1_0000, WRITE, 0)]);
    driver.publish(0);
    assert!(driver.settle());
    assert_eq!(driver.used_entry(0, 1), (0, 4096), "no more than a page at once");
    assert_eq!(driver.status.counters().get(Counter::EntropyBytes), 64 + 4096);
    assert_ne!(read(&driver, DATA), first);
}

#[test]
fn a_request_without_room_is_answered_with_nothing() {
    let mut driver = Driver::new(Entropy::new(&Confinement::none()).unwrap(), 0);
    driver.descriptors(DESCRIPTORS, &[Descriptor(DATA, 32, 0, 0)]);
    driver.publish(0);
    assert!(driver.settle());
    assert_eq!(driver.used_entry(0, 0), (0, 0));
}

#[test]
fn a_hostile_request_stops_the_device_until_it_is_reset() {
    let mut driver = Driver::new(Entropy::new(&Confinement::none()).unwrap(), 0);
    driver.descriptors(DESCRIPTORS, &[Descriptor(u64::MAX - 8, 32, WRITE, 0)]);
    driver.publish(0);
    assert!(!driver.settle());
    driver.start([DESCRIPTORS, AVAILABLE, USED]);
    driver.descriptors(DESCRIPTORS, &[Descriptor(DATA, 32, WRITE, 0)]);
    driver.publish(0);
    assert!(driver.settle());
}

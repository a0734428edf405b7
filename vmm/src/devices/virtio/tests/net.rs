//! A network card's driver, with a packet socket in place of the tap: the same reads and writes of
//! whole frames.

use std::fs::File;
use std::os::fd::OwnedFd;

use proptest::prelude::*;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::*;
use crate::control::RateLimit;
use crate::devices::virtio::net::{HEADER_SIZE_BYTES, Limits, Net};
use crate::devices::virtio::throttle::SharedLimit;
use crate::status::Counter;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const MAC: [u8; 6] = [2, 0, 0, 1, 2, 3];
const MERGED_BUFFERS: u64 = 1 << 15;
const BUFFER_COUNT_OFFSET: u64 = 10;

/// A card and the far end of its cable.
fn card(features: u64) -> (Driver, OwnedFd) {
    limited_card(features, Limits::default())
}

fn limited_card(features: u64, limits: Limits) -> (Driver, OwnedFd) {
    let flags = SocketFlags::CLOEXEC;
    let (near, far) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (Driver::new(Net::on_packets(File::from(near), MAC, limits), features), far)
}

/// A frame as it crosses the tap: header, then recognisable bytes.
fn frame(size_bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; HEADER_SIZE_BYTES];
    frame.extend((0..size_bytes).map(|index| (index % 251) as u8));
    frame
}

/// Posts receive buffers of this size, the descriptors being used once each.
fn post(driver: &mut Driver, count: u16, size_bytes: u32) {
    let stride = 0x2000;
    let table: Vec<_> = (0..u64::from(count))
        .map(|index| Descriptor(DATA + index * stride, size_bytes, WRITE, 0))
        .collect();
    driver.descriptors(DESCRIPTORS, &table);
    for head in 0..count {
        driver.publish_in(RECEIVE, head);
    }
}

fn send(far: &OwnedFd, bytes: &[u8]) {
    rustix::net::send(far, bytes, SendFlags::NOSIGNAL).unwrap();
}

#[test]
fn frames_reach_the_guest_in_one_buffer_each() {
    let (mut driver, far) = card(0);
    post(&mut driver, 4, 0x1000);
    for size_bytes in [60, 1514] {
        send(&far, &frame(size_bytes));
    }
    assert!(driver.wait_until(|driver| driver.used_in(RECEIVE) == 2));
    for (index, size_bytes) in [60u32, 1514].into_iter().enumerate() {
        let whole = size_bytes + HEADER_SIZE_BYTES as u32;
        assert_eq!(driver.used_entry(RECEIVE, index as u16), (index as u32, whole));
        let mut received = vec![0; whole as usize];
        let at = GuestAddress(DATA + index as u64 * 0x2000);
        driver.memory.read_slice(&mut received, at).unwrap();
        let mut expected = frame(size_bytes as usize);
        expected[BUFFER_COUNT_OFFSET as usize] = 1;
        assert_eq!(received, expected);
    }
    let counters = driver.status.counters();
    assert_eq!(counters.get(Counter::NetReceived), 2);
    assert_eq!(counters.get(Counter::NetReceivedBytes), 60 + 1514);
    assert!((1..=2).contains(&driver.fired.0.load(Ordering::SeqCst)));
}

#[test]
fn a_frame_spans_merged_buffers() {
    let (mut driver, far) = card(MERGED_BUFFERS);
    post(&mut driver, 8, 600);
    send(&far, &frame(1400));
    assert!(driver.wait_until(|driver| driver.used_in(RECEIVE) == 3));
    let entries: Vec<_> = (0..3).map(|index| driver.used_entry(RECEIVE, index)).collect();
    assert_eq!(entries, [(0, 600), (1, 600), (2, 212)]);
    let count: u16 = driver.memory.read_obj(GuestAddress(DATA + BUFFER_COUNT_OFFSET)).unwrap();
    assert_eq!(count, 3);
    let mut received = Vec::new();
    for (head, size_bytes) in entries {
        let mut part = vec![0; size_bytes as usize];
        let at = GuestAddress(DATA + u64::from(head) * 0x2000);
        driver.memory.read_slice(&mut part, at).unwrap();
        received.extend(part);
    }
    received[BUFFER_COUNT_OFFSET as usize] = 0;
    assert_eq!(received, frame(1400));
}

#[test]
fn a_frame_waits_until_there_is_room_for_the_largest() {
    let (mut driver, far) = card(MERGED_BUFFERS);
    post(&mut driver, 2, 600);
    send(&far, &frame(100));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(driver.used_in(RECEIVE), 0, "a larger frame would have been cut");
    post(&mut driver, 2, 600);
    assert!(driver.wait_until(|driver| driver.used_in(RECEIVE) == 1));
}

#[test]
fn frames_of_the_guest_reach_the_cable() {
    let (mut driver, far) = card(0);
    let sent = frame(1000);
    driver.memory.write_slice(&sent, GuestAddress(DATA)).unwrap();
    let header = HEADER_SIZE_BYTES as u32;
    let chain = [
        Descriptor(DATA, header, NEXT, 1),
        Descriptor(DATA + u64::from(header), 400, NEXT, 2),
        Descriptor(DATA + u64::from(header) + 400, 600, 0, 0),
    ];
    driver.descriptors(DESCRIPTORS + QUEUE_STRIDE, &chain);
    driver.publish_in(TRANSMIT, 0);
    assert!(driver.wait_until(|driver| driver.used_in(TRANSMIT) == 1));
    let mut received = vec![0; 2048];
    let (_, size) = rustix::net::recv(&far, &mut received[..], RecvFlags::empty()).unwrap();
    assert_eq!(received[..size], sent);
    assert_eq!(driver.status.counters().get(Counter::NetSentBytes), 1000);

    // Too short for a header, too long for a frame: refused, and the card goes on.
    for size in [11, 12, 70_000] {
        driver.descriptors(DESCRIPTORS + QUEUE_STRIDE, &[Descriptor(DATA, size, 0, 0)]);
        let used = driver.used_in(TRANSMIT).wrapping_add(1);
        driver.publish_in(TRANSMIT, 0);
        assert!(driver.wait_until(|driver| driver.used_in(TRANSMIT) == used));
    }
    assert_eq!(driver.status.counters().get(Counter::NetRefused), 3);
    assert_eq!(driver.status.counters().get(Counter::NetSent), 1);
}

#[test]
fn a_full_cable_loses_frames_and_not_the_card() {
    let (mut driver, far) = card(0);
    let chain = [Descriptor(DATA, 1512, 0, 0)];
    driver.descriptors(DESCRIPTORS + QUEUE_STRIDE, &chain);
    for _ in 0..2000u16 {
        let used = driver.used_in(TRANSMIT).wrapping_add(1);
        driver.publish_in(TRANSMIT, 0);
        assert!(driver.wait_until(|driver| driver.used_in(TRANSMIT) == used));
    }
    let counters = driver.status.counters();
    assert!(counters.get(Counter::NetRefused) > 0);
    assert_eq!(counters.get(Counter::NetRefused) + counters.get(Counter::NetSent), 2000);
    drop(far);
}

#[test]
fn limits_hold_each_way() {
    let limit = RateLimit { bytes_per_s: 1000, bytes_burst: 1, ..RateLimit::default() };
    let limits = Limits { receive: SharedLimit::new(limit), send: SharedLimit::new(limit) };
    let (mut driver, far) = limited_card(0, limits);
    post(&mut driver, 4, 0x1000);
    let chain = [Descriptor(DATA, 500 + HEADER_SIZE_BYTES as u32, 0, 0)];
    driver.descriptors(DESCRIPTORS + QUEUE_STRIDE, &chain);
    let start = Instant::now();
    for _ in 0..2 {
        send(&far, &frame(500));
        driver.publish_in(TRANSMIT, 0);
    }
    assert!(driver.wait_until(|driver| driver.used_in(TRANSMIT) == 2));
    assert!(driver.wait_until(|driver| driver.used_in(RECEIVE) == 2));
    assert!(start.elapsed() > Duration::from_millis(400), "the second frame waits for the first");
}

#[test]
fn the_hardware_address_is_in_the_configuration() {
    let (mut driver, _far) = card(0);
    let mut mac = [0; 8];
    driver.function.read_bar(0x2000, &mut mac);
    assert_eq!(mac, [2, 0, 0, 1, 2, 3, 0, 0]);
}

#[test]
fn hostile_buffers_stop_the_card_until_it_is_reset() {
    let outside = MEMORY_SIZE_BYTES as u64;
    for descriptor in [
        Descriptor(outside, 2048, WRITE, 0),
        Descriptor(DATA, 8, WRITE, 0),
        Descriptor(DATA, 1000, WRITE, 0),
        Descriptor(DATA, 2048, 0, 0),
    ] {
        let (mut driver, far) = card(0);
        driver.descriptors(DESCRIPTORS, &[descriptor]);
        driver.publish_in(RECEIVE, 0);
        assert!(!driver.wait_until(|driver| driver.used_in(RECEIVE) == 1));
        driver.start([DESCRIPTORS, AVAILABLE, USED]);
        post(&mut driver, 2, 0x1000);
        send(&far, &frame(60));
        assert!(driver.wait_until(|driver| driver.used_in(RECEIVE) == 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_queue_content_breaks_the_card(
        merged in any::<bool>(),
        tables in proptest::collection::vec(
            proptest::collection::vec(
                (prop_oneof![0u64..0x21_0000, any::<u64>()], prop_oneof![0u32..4096, any::<u32>()],
                 0u16..8, 0u16..20),
                1..16),
            2),
        heads in proptest::collection::vec((0usize..2, 0u16..20), 1..12),
    ) {
        let (mut driver, far) = card(if merged { MERGED_BUFFERS } else { 0 });
        for (queue, table) in tables.iter().enumerate() {
            let table: Vec<_> = table.iter().map(|t| Descriptor(t.0, t.1, t.2, t.3)).collect();
            driver.descriptors(DESCRIPTORS + queue as u64 * QUEUE_STRIDE, &table);
        }
        for (queue, head) in heads {
            driver.publish_in(queue, head);
            // Full is fine: the card may have stopped to read.
            let _ = rustix::net::send(
                &far, &frame(200), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
        std::thread::sleep(Duration::from_millis(2));
        driver.start([DESCRIPTORS, AVAILABLE, USED]);
        post(&mut driver, 2, 0x1000);
        send(&far, &frame(60));
        prop_assert!(driver.wait_until(|driver| driver.used_in(RECEIVE) > 0));
    }
}

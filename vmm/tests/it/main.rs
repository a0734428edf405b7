//! Runs the monitor's process with tiny guests: a few instructions each, no operating system.
//!
//! They need a KVM, but no particular one: also a KVM that emulates the guest's instructions runs
//! them. Where there is none, the tests that need one say so and pass.

mod guests;
mod harness;
mod linux;

use std::time::Duration;

use aleph_vmm::control::{Client, Exit, Limited, RateLimit, Request, Response};
use aleph_vmm::status::{Counter, State};

use crate::harness::{Monitor, kvm_is_missing};

#[test]
fn a_guest_prints_and_switches_off() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn(&guests::print_and_power_off());
    assert_eq!(monitor.wait(), Exit::PoweredOff);
    assert_eq!(monitor.console(), b"ok");
    let snapshot = monitor.snapshot();
    assert_eq!(snapshot.state, State::Stopped);
    assert_eq!(snapshot.exit.unwrap().exit, Exit::PoweredOff);
    assert!(snapshot.counters.get(Counter::ExitPortWrite) >= 3);
}

#[test]
fn a_guest_resets() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn(&guests::reset());
    assert_eq!(monitor.wait(), Exit::Reset);
}

#[test]
fn a_guest_crashes() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn(&guests::triple_fault());
    assert_eq!(monitor.wait(), Exit::Crashed);
}

#[test]
fn the_power_button_reaches_the_guest() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn(&guests::wait_for_power_button());
    let mut client = monitor.client();
    let Response::Status(status) = client.request(&Request::Status).unwrap() else {
        panic!("a status was asked for");
    };
    assert_eq!((status.state, status.vcpus, status.memory_mib), (State::Running, 1, 32));
    assert_eq!(status.pid, monitor.pid());
    assert_eq!(client.request(&Request::PowerButton).unwrap(), Response::Done);
    assert_eq!(monitor.wait(), Exit::PoweredOff);
}

#[test]
fn a_running_guest_is_stopped_by_request_and_by_signal() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn(&guests::wait_for_power_button());
    assert_eq!(monitor.client().request(&Request::Stop).unwrap(), Response::Done);
    assert_eq!(monitor.wait(), Exit::Stopped);

    let mut monitor = Monitor::spawn(&guests::wait_for_power_button());
    drop(monitor.client());
    monitor.terminate();
    assert_eq!(monitor.wait(), Exit::Stopped);
}

#[test]
fn every_thread_is_confined_while_a_guest_runs() {
    if kvm_is_missing() {
        return;
    }
    let monitor = Monitor::spawn(&guests::wait_for_power_button());
    drop(monitor.client());
    let tasks = std::fs::read_dir(format!("/proc/{}/task", monitor.pid())).unwrap();
    let statuses: Vec<_> = tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        // KVM's own thread counts as one of the process, and runs nothing but the kernel.
        .filter(|status| !status.starts_with("Name:\tkvm-"))
        .collect();
    let names: Vec<_> = statuses.iter().filter_map(|status| status.lines().next()).collect();
    assert_eq!(names.len(), 4, "main thread, vCPU, disk, entropy: {names:?}");
    for status in &statuses {
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        assert_eq!(field("Seccomp:"), "2", "{status}");
        assert_eq!(field("NoNewPrivs:"), "1", "{status}");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), 0, "{status}");
        }
    }
}

#[test]
fn limits_are_changed_for_devices_that_exist() {
    if kvm_is_missing() {
        return;
    }
    let monitor = Monitor::spawn(&guests::wait_for_power_button());
    let mut client = monitor.client();
    let limit = RateLimit { bytes_per_s: 1 << 20, bytes_burst: 1 << 20, ..RateLimit::default() };
    let set = |limited| Request::SetLimit { limited, limit };
    assert_eq!(client.request(&set(Limited::Disk(0))).unwrap(), Response::Done);
    for limited in [Limited::Disk(1), Limited::Receive(0), Limited::Send(255)] {
        assert!(matches!(client.request(&set(limited)).unwrap(), Response::Error(_)));
    }
}

#[test]
fn another_client_is_served_after_one_that_sent_garbage() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn(&guests::wait_for_power_button());
    monitor.client();
    let garbage = monitor.raw_connection();
    rustix::net::send(&garbage, &[0xff; 100], rustix::net::SendFlags::NOSIGNAL).unwrap();
    // Neither this answer nor any of these connections is ever taken.
    let idle: Vec<_> = (0..20).map(|_| monitor.raw_connection()).collect();
    drop((garbage, idle));
    let mut client = Client::connect(monitor.socket(), Duration::from_secs(30)).unwrap();
    assert_eq!(client.request(&Request::Stop).unwrap(), Response::Done);
    assert_eq!(monitor.wait(), Exit::Stopped);
}

#[test]
fn a_guest_that_writes_garbage_into_every_register_ends_as_it_wants() {
    if kvm_is_missing() {
        return;
    }
    for seed in [1, 0x1234_5678, 0xffff_fffe] {
        let mut monitor = Monitor::spawn(&guests::write_garbage(seed));
        assert_eq!(monitor.wait(), Exit::PoweredOff, "seed {seed:#x}");
        assert_eq!(monitor.console(), b"ok");
    }
}

#[test]
fn what_is_no_kernel_is_refused_and_told() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn(b"#!/bin/sh\n");
    assert_eq!(monitor.wait(), Exit::BadImage);
    let exit = monitor.snapshot().exit.unwrap();
    assert_eq!(exit.exit, Exit::BadImage);
    assert!(exit.reason.contains("kernel"), "{}", exit.reason);
}

#[test]
fn a_disk_of_no_size_is_refused() {
    if kvm_is_missing() {
        return;
    }
    let mut monitor = Monitor::spawn_with_disk(&guests::reset(), 100);
    assert_eq!(monitor.wait(), Exit::BadImage);
    assert!(monitor.snapshot().exit.unwrap().reason.contains("disk0"));
}

#[test]
fn wrong_arguments_end_with_their_exit_code() {
    for arguments in [
        &["--config-fd", "77"][..],
        &["--config-fd", "x"],
        &["--config-fd", "0"],
        &["run"],
        &["run", "--kernel"],
        &["run", "--vcpus", "65"],
        &["fly"],
        &[],
    ] {
        assert_eq!(harness::exit_of(arguments), Exit::BadConfig, "{arguments:?}");
    }
    assert_eq!(harness::exit_of(&["run", "--kernel", "/nonexistent"]), Exit::BadImage);
}

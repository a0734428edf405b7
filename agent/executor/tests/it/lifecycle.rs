use std::{
    fs,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use aleph_executor::{Capacity, ExecutorError, Power, VmEvent, VmState};
use aleph_types::{JobId, Resources};

use crate::bench::{Bench, CAPACITY, SMALL, is_alive};

fn stopped(exit: &str) -> VmEvent {
    VmEvent::Stopped { exit: exit.to_owned() }
}

#[tokio::test]
async fn a_machine_is_given_what_it_asks_for_and_stops_as_desired() {
    let bench = Bench::new(|_| {});
    let image = bench.images.add("run");
    let resources = Resources { vcpus: 2, memory_mib: 128, disk_mib: 3 };
    bench.desire(7, image, resources, Power::On);
    let pid = bench.until_running(7).await;
    let available = bench.executor().available();
    assert_eq!(available, Capacity { vcpus: 2, memory_mib: 1024 - 128 - 65, disk_mib: 61 });

    let console = bench.executor().console(JobId(7), 0, 1 << 20).await.unwrap();
    let text = String::from_utf8(console.bytes.clone()).unwrap();
    let expected = "start 1 with 2 vCPU, 128 MiB, 3145728 bytes, \
                    memfd:aleph-vmm-config (deleted), root.img, status, vmlinux: \
                    console=ttyS0 root=/dev/vda rw\n";
    assert_eq!(text, expected);
    let rest = bench.executor().console(JobId(7), 8, 4).await.unwrap();
    assert_eq!((rest.offset, rest.bytes), (8, b"with".to_vec()));

    bench.desire(7, image, resources, Power::Off);
    assert_eq!(bench.until_stopped(7).await, "the guest powered off");
    assert!(!is_alive(pid));
    assert_eq!(bench.heard.of(7), [VmEvent::Started, stopped("the guest powered off")]);
    assert_eq!(bench.executor().available(), Capacity { disk_mib: 61, ..CAPACITY });
    let rest = bench.executor().console(JobId(7), console.next_offset(), 100).await.unwrap();
    assert_eq!(rest.bytes, b"bye\n");

    // Desired again, it goes on with its disk.
    bench.desire(7, image, resources, Power::On);
    bench.until_running(7).await;
    assert_eq!(bench.starts(7), 2);
}

#[tokio::test]
async fn what_is_no_longer_desired_leaves_nothing_but_its_end() {
    let bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    let pid = bench.until_running(7).await;
    bench.desire_nothing();
    bench.until_removed(7).await;
    assert!(!is_alive(pid));
    for folder in [&bench.options.data_dir, &bench.options.run_dir] {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "in {}", folder.display());
    }
    assert_eq!(bench.executor().available(), CAPACITY);
    assert_eq!(bench.until_stopped(7).await, "the guest powered off");
    let error = bench.console(8).await.unwrap_err();
    assert!(matches!(error, ExecutorError::UnknownJob { .. }), "{error}");
}

#[tokio::test]
async fn a_guest_that_powers_itself_off_is_done() {
    let mut bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("exit 0"), SMALL, Power::On);
    let exit = "the stand-in was to exit with 0";
    assert_eq!(bench.until_stopped(7).await, exit);
    assert_eq!(bench.heard.of(7).last(), Some(&stopped(exit)));

    // Also for the next agent, which tells so again.
    bench.end().await;
    bench.heard.forget();
    bench.start();
    bench.until("reported", || bench.heard.of(7) == [stopped(exit)]).await;
    assert_eq!(bench.until_stopped(7).await, exit);
    assert_eq!(bench.starts(7), 1);
}

#[tokio::test]
async fn a_machine_that_fails_thrice_is_given_up() {
    for (code, words) in [
        (11, "the stand-in was to exit with 11"),
        (70, "the stand-in was to exit with 70"),
        // Soon after the start, nobody wanted that.
        (10, "the stand-in was to exit with 10"),
        (99, "the monitor ended with the unknown code 99"),
    ] {
        let mut bench = Bench::new(|_| {});
        bench.desire(7, bench.images.add(&format!("exit {code}")), SMALL, Power::On);
        let reason = bench.until_failed(7).await;
        assert_eq!(reason, format!("{words} (failed 3 times in a row)"));
        assert_eq!(bench.starts(7), 3);
        assert_eq!(bench.heard.of(7).last(), Some(&VmEvent::Failed { reason: reason.clone() }));
        assert_eq!(bench.executor().available(), Capacity { disk_mib: 63, ..CAPACITY });

        // Also for the next agent.
        bench.end().await;
        bench.start();
        assert_eq!(bench.until_failed(7).await, reason);
        assert_eq!(bench.starts(7), 3);
    }
}

#[tokio::test]
async fn a_start_that_cannot_succeed_is_not_repeated() {
    for code in [64, 65, 69] {
        let bench = Bench::new(|_| {});
        bench.desire(7, bench.images.add(&format!("exit {code}")), SMALL, Power::On);
        let reason = bench.until_failed(7).await;
        assert_eq!(reason, format!("the stand-in was to exit with {code}"));
        assert_eq!(bench.starts(7), 1);
    }
}

#[tokio::test]
async fn a_wanted_reset_starts_anew_without_end() {
    let bench = Bench::new(|options| options.restart.reset_is_wanted_after = Duration::ZERO);
    bench.desire(7, bench.images.add("exit 10"), SMALL, Power::On);
    bench
        .until("started often", || {
            bench.options.data_dir.join("7/root.img").exists() && bench.starts(7) > 4
        })
        .await;
    assert_eq!(bench.view(7).unwrap().failures, 0);
}

#[tokio::test]
async fn a_guest_that_ignores_its_power_button_has_its_power_cut() {
    let bench = Bench::new(|options| options.stop_grace = Duration::from_millis(100));
    let image = bench.images.add("deaf");
    bench.desire(7, image, SMALL, Power::On);
    bench.until_running(7).await;
    bench.desire(7, image, SMALL, Power::Off);
    bench.until_state(7, "stopping", |state| *state != VmState::Running).await;
    assert_eq!(bench.until_stopped(7).await, "the machine was stopped");
}

#[tokio::test]
async fn a_monitor_that_hangs_is_killed() {
    let bench = Bench::new(|options| options.monitor_patience = Duration::from_millis(100));
    let image = bench.images.add("hung");
    bench.desire(7, image, SMALL, Power::On);
    let pid = bench.until_running(7).await;
    bench.desire(7, image, SMALL, Power::Off);
    let exit = bench.until_stopped(7).await;
    assert!(exit.starts_with("the monitor was ended by signal 9"), "{exit}");
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_monitor_that_never_runs_its_guest_is_killed_and_given_up() {
    let bench = Bench::new(|options| options.start_patience = Duration::from_millis(300));
    bench.desire(7, bench.images.add("stuck"), SMALL, Power::On);
    let reason = bench.until_failed(7).await;
    assert_eq!(reason, "the guest did not start in time (failed 3 times in a row)");
    assert!(!bench.heard.of(7).contains(&VmEvent::Started));
}

#[tokio::test]
async fn a_machine_whose_image_does_not_come_can_still_be_stopped_and_removed() {
    let bench = Bench::new(|_| {});
    let image = bench.images.add("never");
    bench.desire(7, image, SMALL, Power::On);
    let is_preparing = |state: &VmState| state.to_string().contains("fetching");
    bench.until_state(7, "preparing", is_preparing).await;
    bench.desire(7, image, SMALL, Power::Off);
    assert_eq!(bench.until_stopped(7).await, "it was not running");
    bench.desire(7, image, SMALL, Power::On);
    bench.until_state(7, "preparing", is_preparing).await;
    bench.desire_nothing();
    bench.until_removed(7).await;
    assert_eq!(bench.executor().available(), CAPACITY);
}

#[tokio::test]
async fn a_supervisor_that_panics_is_replaced_slowly_and_alone() {
    let bench = Bench::new(|options| options.resync = Duration::from_millis(500));
    bench.desire(7, bench.images.add("panic"), SMALL, Power::On);
    bench.desire(8, bench.images.add("run"), SMALL, Power::On);
    bench.until_running(8).await;
    let panics = || bench.images.panics.load(Ordering::Relaxed);
    bench.until("replaced", || panics() > 1).await;
    let (before, since) = (panics(), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let at_most = since.elapsed().as_millis() as u32 / 500 + 1;
    assert!(panics() - before <= at_most, "{} panics", panics());
    bench.until_running(8).await;
    bench.executor().power_down(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn machines_go_down_with_their_host_and_come_back_with_it() {
    let mut bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    bench.desire(8, bench.images.add("deaf"), SMALL, Power::On);
    let pids = [bench.until_running(7).await, bench.until_running(8).await];
    bench.executor().power_down(Duration::from_millis(200)).await;
    assert!(!pids.into_iter().any(is_alive));
    assert_eq!(bench.heard.of(7), [VmEvent::Started]);
    assert_eq!(bench.heard.of(8), [VmEvent::Started]);

    bench.end().await;
    bench.start();
    bench.until_running(7).await;
    bench.until_running(8).await;
    assert_eq!((bench.starts(7), bench.starts(8)), (2, 2));
}

#[tokio::test]
async fn a_machine_is_in_its_control_group() {
    let parent = Path::new("/sys/fs/cgroup/unified");
    let parent = if parent.exists() { parent } else { Path::new("/sys/fs/cgroup") };
    let group = parent.join(format!("aleph-test-{}", std::process::id()));
    if !parent.join("cgroup.procs").exists() || fs::create_dir(&group).is_err() {
        return println!("skipped: no writable control groups of version 2 here");
    }
    let bench = Bench::new(|options| options.cgroup = Some(group.clone()));
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    let pid = bench.until_running(7).await;
    let members = fs::read_to_string(group.join("7/cgroup.procs")).unwrap();
    assert_eq!(members.trim(), pid.to_string());
    bench.desire_nothing();
    bench.until_removed(7).await;
    assert!(!group.join("7").exists());
    fs::remove_dir(&group).unwrap();
}

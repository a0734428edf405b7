use std::{fs, time::Duration};

use aleph_executor::{Power, VmEvent, VmState};
use aleph_types::{Cid, Resources};

use crate::bench::{Bench, CAPACITY, SMALL};

/// The reason for which this machine is refused, after checking that it is for good and that
/// nothing was started.
async fn refusal(bench: &Bench, image: Cid, resources: Resources) -> String {
    bench.desire(7, image, resources, Power::On);
    let reason = bench.until_failed(7).await;
    assert_eq!(bench.view(7).unwrap().failures, 1);
    assert_eq!(bench.heard.of(7), [VmEvent::Failed { reason: reason.clone() }]);
    assert!(!bench.options.run_dir.join("7").exists());
    reason
}

#[tokio::test]
async fn an_unknown_image() {
    let bench = Bench::new(|_| {});
    let cid = Cid::of(b"nowhere");
    let reason = refusal(&bench, cid, SMALL).await;
    assert_eq!(reason, format!("the image cannot be used: blob {cid} is not stored here"));
}

#[tokio::test]
async fn a_corrupt_image() {
    let bench = Bench::new(|_| {});
    let cid = bench.images.add("run");
    let mut bytes = fs::read(bench.images.path(cid)).unwrap();
    bytes[5000] ^= 1;
    fs::write(bench.images.path(cid), bytes).unwrap();
    let reason = refusal(&bench, cid, SMALL).await;
    assert_eq!(reason, format!("the image cannot be used: blob {cid} is damaged"));
    assert!(!bench.options.data_dir.join("7/root.img").exists());
}

#[tokio::test]
async fn a_job_larger_than_the_node() {
    for resources in [
        Resources { vcpus: CAPACITY.vcpus + 1, ..SMALL },
        Resources { memory_mib: CAPACITY.memory_mib, ..SMALL },
        Resources { disk_mib: CAPACITY.disk_mib + 1, ..SMALL },
    ] {
        let bench = Bench::new(|_| {});
        let reason = refusal(&bench, bench.images.add("run"), resources).await;
        let expected = format!("the job asks for {resources}; this node has 4 vCPU, 1024 MiB");
        assert!(reason.starts_with(&expected), "{reason}");
    }
}

#[tokio::test]
async fn a_machine_that_no_monitor_builds() {
    let bench = Bench::new(|_| {});
    let none = Resources { vcpus: 0, ..SMALL };
    let reason = refusal(&bench, bench.images.add("run"), none).await;
    assert!(reason.contains("vcpus is 0"), "{reason}");
}

#[tokio::test]
async fn an_image_larger_than_its_disk() {
    let bench = Bench::new(|_| {});
    let none = Resources { disk_mib: 0, ..SMALL };
    let reason = refusal(&bench, bench.images.add("run"), none).await;
    assert_eq!(reason, "the image has 1 MiB, the job's disk 0 MiB: ask for a larger disk");
}

#[tokio::test]
async fn a_job_that_finds_no_room_waits_for_it_and_has_not_failed() {
    let bench = Bench::new(|options| {
        options.restart.failures_max = 1;
        options.restart.pause_max = Duration::from_millis(20);
        options.restart.room_waits_max = u32::MAX;
    });
    let image = bench.images.add("run");
    let large = Resources { vcpus: 3, ..SMALL };
    bench.desire(7, image, large, Power::On);
    bench.until_running(7).await;
    bench.desire(8, image, large, Power::On);
    let waits = |state: &VmState| matches!(state, VmState::Preparing { detail } if detail.contains("trying again"));
    let view = bench.until_state(8, "waiting", waits).await;
    assert!(view.state.to_string().contains("other jobs leave 1 vCPU"), "{}", view.state);
    // Many more tries than a machine that fails has.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let view = bench.view(8).unwrap();
    assert!(matches!(view.state, VmState::Preparing { .. }) && view.failures == 0, "{view:?}");

    bench.desire(7, image, large, Power::Off);
    bench.until_running(8).await;
}

#[tokio::test]
async fn a_job_for_which_no_room_comes_is_refused_with_the_reason() {
    let bench = Bench::new(|options| options.restart.room_waits_max = 3);
    let image = bench.images.add("run");
    let large = Resources { vcpus: 3, ..SMALL };
    bench.desire(7, image, large, Power::On);
    bench.until_running(7).await;
    bench.desire(8, image, large, Power::On);
    let reason = bench.until_failed(8).await;
    assert!(reason.contains("other jobs leave 1 vCPU"), "{reason}");
    assert!(reason.ends_with("(waited 3 times for room)"), "{reason}");
    assert_eq!(bench.heard.of(8), [VmEvent::Failed { reason }]);
}

#[tokio::test]
async fn a_job_that_waits_for_a_full_disk_holds_nothing_that_others_could_have() {
    let huge = Resources { disk_mib: u64::MAX >> 21, ..SMALL };
    let bench = Bench::new(|options| {
        options.capacity.disk_mib = u64::MAX;
        options.restart.room_waits_max = u32::MAX;
        options.restart.pause = Duration::from_secs(600);
    });
    let free = bench.executor().available();
    let image = bench.images.add("run");
    bench.desire(7, image, huge, Power::On);
    let waits = |state: &VmState| state.to_string().contains("the data disk has");
    let view = bench.until_state(7, "waiting", waits).await;
    assert_eq!(view.failures, 0);
    assert_eq!(bench.executor().available(), free);
}

#[tokio::test]
async fn a_missing_monitor_or_kernel() {
    let bench = Bench::new(|options| options.monitor = vec!["/nowhere/aleph-vmm".into()]);
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    let reason = bench.until_failed(7).await;
    assert!(reason.starts_with("the monitor /nowhere/aleph-vmm could not be started"), "{reason}");

    let bench = Bench::new(|_| {});
    fs::remove_file(&bench.options.kernel).unwrap();
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    let reason = bench.until_failed(7).await;
    assert!(reason.starts_with("could not open the guest kernel"), "{reason}");
}

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
async fn a_job_that_finds_no_room_is_tried_again_before_it_is_refused() {
    let bench = Bench::new(|options| options.restart.pause = Duration::from_secs(2));
    let image = bench.images.add("run");
    let large = Resources { vcpus: 3, ..SMALL };
    bench.desire(7, image, large, Power::On);
    bench.until_running(7).await;
    bench.desire(8, image, large, Power::On);
    let waits = |state: &VmState| matches!(state, VmState::Preparing { detail } if detail.contains("trying again"));
    let view = bench.until_state(8, "waiting", waits).await;
    assert!(view.state.to_string().contains("other jobs leave 1 vCPU"), "{}", view.state);

    bench.desire(7, image, large, Power::Off);
    bench.until_running(8).await;

    bench.desire(7, image, large, Power::On);
    let reason = bench.until_failed(7).await;
    assert!(reason.contains("other jobs leave 1 vCPU"), "{reason}");
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

//! What is still known of machines that were removed.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use aleph_executor::{ENDED_FOR, ENDED_MAX, ExecutorError, Power, VmState};
use aleph_types::{Cid, JobId};

use crate::bench::{Bench, SMALL};

fn listed(bench: &Bench) -> Vec<u64> {
    bench.executor().list().iter().map(|view| view.spec.id.0).collect()
}

#[tokio::test]
async fn the_end_and_the_console_of_a_stopped_machine_outlive_it_and_its_agent() {
    let mut bench = Bench::new(|_| {});
    let image = bench.images.add("run");
    bench.desire(7, image, SMALL, Power::On);
    bench.until_running(7).await;
    bench.desire(7, image, SMALL, Power::Off);
    bench.until_stopped(7).await;
    let (view, console) = (bench.view(7).unwrap(), bench.console(7).await.unwrap());
    assert!(console.starts_with("start 1 ") && console.ends_with("\nbye\n"), "{console}");
    bench.desire_nothing();
    bench.until_removed(7).await;
    assert!(!bench.options.run_dir.join("7").exists());
    assert!(!bench.options.data_dir.join("7").exists());

    assert_eq!(bench.view(7), Some(view.clone()));
    assert_eq!(bench.console(7).await.unwrap(), console);
    // With the next agent, and with the next start of the host.
    bench.end().await;
    fs::remove_dir_all(&bench.options.run_dir).unwrap();
    bench.start();
    assert_eq!(bench.view(7), Some(view));
    assert_eq!(bench.console(7).await.unwrap(), console);
    let tail = bench.executor().console(JobId(7), console.len() as u64 - 4, 100).await.unwrap();
    assert_eq!(tail.bytes, b"bye\n");
}

#[tokio::test]
async fn a_machine_that_is_removed_while_it_runs_is_listed_after_those_that_are_there() {
    let bench = Bench::new(|_| {});
    bench.desire(5, bench.images.add("run"), SMALL, Power::On);
    bench.until_running(5).await;
    bench.desire_nothing();
    bench.until_removed(5).await;
    bench.desire(6, bench.images.add("exit 0"), SMALL, Power::On);
    bench.until_stopped(6).await;
    bench.desire_nothing();
    bench.until_removed(6).await;
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    bench.until_running(7).await;

    assert_eq!(listed(&bench), [7, 6, 5]);
    assert_eq!(bench.until_stopped(5).await, "the guest powered off");
    assert_eq!(bench.until_stopped(6).await, "the stand-in was to exit with 0");
    assert_eq!(bench.executor().views().borrow().len(), 1);
}

#[tokio::test]
async fn a_machine_that_never_was_is_remembered_by_its_reason() {
    let mut bench = Bench::new(|_| {});
    let cid = Cid::of(b"nowhere");
    bench.desire(7, cid, SMALL, Power::On);
    let reason = bench.until_failed(7).await;
    assert_eq!(reason, format!("the image cannot be used: blob {cid} is not stored here"));
    bench.desire_nothing();
    bench.until_removed(7).await;
    bench.end().await;
    bench.start();
    assert_eq!(bench.view(7).unwrap().state, VmState::Failed { reason });
    let error = bench.console(7).await.unwrap_err();
    assert!(matches!(error, ExecutorError::NoConsole { .. }), "{error}");
}

#[tokio::test]
async fn a_new_machine_of_the_same_job_replaces_the_memory_of_the_old() {
    let bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("exit 0"), SMALL, Power::On);
    bench.until_stopped(7).await;
    bench.desire_nothing();
    bench.until_removed(7).await;
    assert!(bench.options.ended_dir.join("7").exists());

    let image = bench.images.add("run");
    bench.desire(7, image, SMALL, Power::On);
    bench.until_running(7).await;
    assert!(!bench.options.ended_dir.join("7").exists());
    assert_eq!(listed(&bench), [7]);
    bench.desire_nothing();
    bench.until_removed(7).await;
    assert_eq!(bench.view(7).unwrap().spec.rootfs, image);
    assert!(bench.console(7).await.unwrap().ends_with("\nbye\n"));
}

#[tokio::test]
async fn only_the_newest_are_remembered_and_only_for_a_while() {
    let mut bench = Bench::new(|_| {});
    bench.desire(1000, bench.images.add("exit 0"), SMALL, Power::On);
    bench.until_stopped(1000).await;
    bench.desire_nothing();
    bench.until_removed(1000).await;
    bench.end().await;
    // As if as many others as are kept had ended before, and one of them too long ago.
    let ended = bench.options.ended_dir.clone();
    let record = fs::read_to_string(ended.join("1000/vm.json")).unwrap();
    let now = SystemTime::now();
    for age in 1..=ENDED_MAX as u64 {
        let (job, folder) = (1000 - age, ended.join((1000 - age).to_string()));
        fs::create_dir(&folder).unwrap();
        fs::copy(ended.join("1000/status"), folder.join("status")).unwrap();
        let path = folder.join("vm.json");
        fs::write(&path, record.replace("\"id\": 1000", &format!("\"id\": {job}"))).unwrap();
        let age = if age == 1 { ENDED_FOR } else { Duration::from_secs(age) };
        File::open(path).unwrap().set_modified(now - age).unwrap();
    }

    bench.start();
    let oldest = 1000 - ENDED_MAX as u64;
    let expected: Vec<u64> = (oldest..=1000).rev().filter(|job| *job != 999).collect();
    assert_eq!(listed(&bench), expected);
    assert!(!ended.join("999").exists());
    assert!(bench.console(oldest).await.unwrap().starts_with("start 1 "));

    bench.desire(1001, bench.images.add("exit 0"), SMALL, Power::On);
    bench.until_stopped(1001).await;
    bench.desire_nothing();
    bench.until_removed(1001).await;
    let expected: Vec<u64> = (oldest + 1..=1001).rev().filter(|job| *job != 999).collect();
    assert_eq!(listed(&bench), expected);
    assert_eq!(fs::read_dir(&ended).unwrap().count(), ENDED_MAX);
    let error = bench.console(oldest).await.unwrap_err();
    assert!(matches!(error, ExecutorError::UnknownJob { .. }), "{error}");
}

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use aleph_executor::{Power, VmEvent};

use crate::bench::{Bench, SMALL, is_alive, kill, until};

#[tokio::test]
async fn a_new_agent_adopts_what_runs() {
    let mut bench = Bench::new(|_| {});
    let image = bench.images.add("run");
    bench.desire(7, image, SMALL, Power::On);
    let pid = bench.until_running(7).await;
    bench.end().await;
    assert!(is_alive(pid), "the machine ended with its agent");

    // Even before it knows what is desired.
    bench.desire_unknown();
    bench.heard.forget();
    bench.start();
    assert_eq!(bench.until_running(7).await, pid);
    bench.until("reported", || bench.heard.of(7) == [VmEvent::Started]).await;
    assert_eq!(bench.executor().available().vcpus, 3);

    bench.desire(7, image, SMALL, Power::On);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.until_running(7).await, pid);
    assert_eq!(bench.starts(7), 1);
    bench.desire(7, image, SMALL, Power::Off);
    assert_eq!(bench.until_stopped(7).await, "the guest powered off");
}

#[tokio::test]
async fn an_agent_that_is_killed_leaves_its_machines_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Command::new(env::current_exe().unwrap())
        .args(["--exact", "adoption::agent", "--ignored", "--nocapture"])
        .env(FOLDER_VARIABLE, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("machine ")).expect("the agent started nothing");
    let pid: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(is_alive(pid), "the machine was killed with its agent");

    let bench = Bench::at(folder.path(), |_| {});
    assert_eq!(bench.until_running(7).await, pid);
    let image = bench.images.add("run");
    bench.desire(7, image, SMALL, Power::Off);
    // Not a child of this process: only its status page tells how it ended.
    assert_eq!(bench.until_stopped(7).await, "the guest powered off");
    assert_eq!(bench.starts(7), 1);
}

/// Not a test: the agent that is killed by the one above.
#[tokio::test]
#[ignore = "started by the test above"]
async fn agent() {
    let folder = env::var_os(FOLDER_VARIABLE).expect("started by the test above only");
    let bench = Bench::at(Path::new(&folder), |_| {});
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    println!("machine {}", bench.until_running(7).await);
    tokio::time::sleep(Duration::from_secs(600)).await;
}

const FOLDER_VARIABLE: &str = "ALEPH_EXECUTOR_AGENT_FOLDER";

#[tokio::test]
async fn an_end_without_witnesses_is_read_from_the_status_page() {
    let mut bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    bench.until_running(7).await;
    bench.end().await;
    let socket = bench.options.run_dir.join("7/control.sock");
    let mut client = aleph_vmm::control::Client::connect(&socket, Duration::from_secs(10)).unwrap();
    client.request(&aleph_vmm::control::Request::PowerButton).unwrap();
    until("gone", || client.request(&aleph_vmm::control::Request::Status).is_err(), String::new)
        .await;

    bench.start();
    assert_eq!(bench.until_stopped(7).await, "the guest powered off");
    assert_eq!(bench.starts(7), 1);
}

#[tokio::test]
async fn a_machine_killed_without_witnesses_is_started_again() {
    let mut bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    let pid = bench.until_running(7).await;
    bench.end().await;
    kill(pid);
    until("killed", || !is_alive(pid), String::new).await;

    bench.start();
    assert_ne!(bench.until_running(7).await, pid);
    assert_eq!(bench.view(7).unwrap().failures, 1);
    assert_eq!(bench.starts(7), 2);
}

#[tokio::test]
async fn a_machine_that_cannot_be_commanded_is_replaced() {
    let mut bench = Bench::new(|options| options.monitor_patience = Duration::from_millis(300));
    bench.desire(7, bench.images.add("hung"), SMALL, Power::On);
    let pid = bench.until_running(7).await;
    bench.end().await;
    bench.start();
    bench.until("replaced", || bench.view(7).is_some_and(|view| view.pid != Some(pid))).await;
    assert_ne!(bench.until_running(7).await, pid);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_number_that_is_used_again_is_not_taken_for_the_monitor() {
    let mut bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    let pid = bench.until_running(7).await;
    bench.end().await;
    // As if the monitor had ended and its number gone to a process that started later.
    let path = bench.options.data_dir.join("7/vm.json");
    let record = fs::read_to_string(&path).unwrap();
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let lines = record.lines().map(|line| match line.trim().starts_with("\"pid\"") {
        true => format!("\"pid\": {},", bystander.id()),
        false => line.to_owned(),
    });
    fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();

    bench.start();
    let new = bench.until_running(7).await;
    assert!(new != pid && new != bystander.id());
    assert!(is_alive(bystander.id()), "a bystander was killed");
    assert!(!is_alive(pid), "two monitors for one disk");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn what_nobody_desires_is_cleaned_up_but_not_before_that_is_known() {
    let mut bench = Bench::new(|_| {});
    bench.desire(7, bench.images.add("run"), SMALL, Power::On);
    let recorded = bench.until_running(7).await;
    bench.end().await;
    // What a crash can leave without a record: a disk, a run folder, a process.
    let (data, run) = (bench.options.data_dir.clone(), bench.options.run_dir.clone());
    for folder in [data.join("5"), data.join("8"), run.join("6"), run.join("8")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(data.join("5/root.img"), "a disk").unwrap();
    fs::write(data.join("8/vm.json"), "half a rec").unwrap();
    let page = File::create(run.join("8/status")).unwrap();
    let unrecorded =
        Command::new("sleep").arg("600").stdout(Stdio::from(page)).spawn().unwrap().id();

    bench.desire_unknown();
    bench.start();
    assert_eq!(bench.until_running(7).await, recorded);
    assert!(data.join("5/root.img").exists() && run.join("6").exists() && is_alive(unrecorded));

    bench.desire_nothing();
    let is_empty = |folder| fs::read_dir(folder).unwrap().count() == 0;
    bench.until("cleaned", || is_empty(&data) && is_empty(&run)).await;
    assert!(!is_alive(recorded) && !is_alive(unrecorded));
    bench.until("forgotten", || bench.executor().views().borrow().is_empty()).await;
}

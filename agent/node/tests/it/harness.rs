//! A running agent, watched from outside.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use aleph_types::api::{Problem, Readiness};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing takes longer, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aleph-node"));
    // The environment of whoever runs the tests is not part of them.
    command.env_clear();
    command
}

/// A data folder and a configuration, which agents are started on one after the other.
pub(crate) struct Place {
    folder: TempDir,
    config: String,
}

impl Place {
    /// `config` is added to what every test needs.
    pub(crate) fn new(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let run_dir = folder.path().join("run/vms");
        let config = format!(
            "[executor]\nrun_dir = {run_dir:?}\n\
             monitor = \"/nowhere/aleph-vmm\"\nkernel = \"/nowhere/vmlinux\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\n{config}"
        );
        Self { folder, config }
    }

    /// Without a TPM, whatever this machine has.
    pub(crate) fn without_tpm(config: &str) -> Self {
        Self::new(&format!("{config}\n[tpm]\nenabled = false\n"))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn command(&self) -> Command {
        let file = self.folder.path().join("config.toml");
        fs::write(&file, &self.config).unwrap();
        let mut command = program();
        command.arg("run").arg("--config").arg(file).arg("--data-dir").arg(self.data());
        command
    }

    /// Starts an agent and waits until its interface listens.
    pub(crate) fn start(&self) -> Agent {
        let mut agent = self.spawn();
        let line = agent.wait_for_line("the interface listens");
        agent.url = format!("https://{}", line["address"].as_str().unwrap());
        agent
    }

    /// Runs an agent that ends by itself; gives its exit code and everything it said.
    pub(crate) fn run_to_end(&self) -> (Option<i32>, String) {
        let mut agent = self.spawn();
        let status = agent.wait();
        (status.code(), agent.said())
    }

    fn spawn(&self) -> Agent {
        let mut process = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let output = BufReader::new(process.stderr.take().unwrap());
        let reader = thread::spawn({
            let lines = lines.clone();
            move || {
                for line in output.lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            }
        });
        let client = Client::builder()
            // The key is checked by attestation, and here there is one program on this port.
            .tls_danger_accept_invalid_certs(true)
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Agent { process, lines, reader: Some(reader), client, url: String::new() }
    }
}

pub(crate) struct Agent {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
    client: Client,
    pub(crate) url: String,
}

impl Agent {
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn readiness(&self) -> Readiness {
        self.get("/readyz?verbose").send().await.unwrap().json().await.unwrap()
    }

    /// Waits for a condition to be as wanted, and gives its words.
    pub(crate) async fn wait_for_condition(&self, name: &str, ok: bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let readiness = self.readiness().await;
            let condition =
                readiness.conditions.into_iter().find(|condition| condition.name == name);
            let condition = condition.unwrap();
            if condition.ok == ok && condition.detail != "starting" {
                return condition.detail;
            }
            assert!(Instant::now() < deadline, "{condition:?}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything the agent has said so far.
    pub(crate) fn said(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The first log line with this message.
    pub(crate) fn wait_for_line(&self, message: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.lines.lock().unwrap().iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                (line["message"] == message).then_some(line)
            });
            if let Some(line) = found {
                return line;
            }
            assert!(Instant::now() < deadline, "never said {message:?}:\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                if let Some(reader) = self.reader.take() {
                    reader.join().unwrap();
                }
                return status;
            }
            assert!(Instant::now() < deadline, "does not end:\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the agent to stop; it must do so in order and in time.
    pub(crate) fn stop(mut self) -> String {
        self.signal("-TERM");
        let started = Instant::now();
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.said());
        assert!(started.elapsed() < Duration::from_secs(20));
        let said = self.said();
        assert!(!said.contains("did not end in time"), "{said}");
        said
    }

    /// Ends the agent as a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that ended is killed in vain.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The problem that an answer is.
pub(crate) async fn problem(response: Response, status: u16) -> Problem {
    assert_eq!(response.status(), status);
    let problem: Problem = response.json().await.unwrap();
    assert!(problem.next.as_ref().is_some_and(|next| !next.is_empty()), "{problem:?}");
    problem
}

pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

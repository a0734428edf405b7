//! Critical tasks: each has a name, and when one ends unasked, the process ends and says which.

use std::{collections::HashMap, time::Duration};

use anyhow::Context;
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tracing::{debug, warn};

/// The tasks without which the agent cannot do its work.
#[derive(Debug, Default)]
pub(crate) struct CriticalTasks {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

/// A critical task that has ended.
#[derive(Debug)]
pub(crate) struct EndedTask {
    pub(crate) name: &'static str,
    pub(crate) result: anyhow::Result<()>,
}

impl CriticalTasks {
    /// Starts a task.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the next task to end; nothing when none is left. Safe to drop.
    pub(crate) async fn next_ended(&mut self) -> Option<EndedTask> {
        let ended = self.tasks.join_next_with_id().await?;
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(explain(error))),
        };
        let name = self.names.remove(&id).unwrap_or("unnamed");
        Some(EndedTask { name, result: result.with_context(|| format!("task {name} failed")) })
    }

    /// Waits for all tasks to end, which they have been asked to; cuts off who does not in time.
    pub(crate) async fn drain(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            match timeout_at(deadline, self.next_ended()).await {
                Ok(None) => return,
                Ok(Some(EndedTask { name, result: Ok(()) })) => debug!(task = name, "ended"),
                Ok(Some(EndedTask { name, result: Err(error) })) => {
                    warn!(task = name, error = format!("{error:#}"), "failed while stopping");
                }
                Err(_) => {
                    let names: Vec<_> = self.names.values().collect();
                    warn!(tasks = ?names, "did not end in time and are cut off");
                    return;
                }
            }
        }
    }
}

fn explain(error: JoinError) -> anyhow::Error {
    match error.try_into_panic() {
        Ok(_) => anyhow::anyhow!("it panicked; its words stand in the log"),
        Err(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_ends_is_named_and_why() {
        let mut tasks = CriticalTasks::default();
        tasks.spawn("waits", std::future::pending());
        tasks.spawn("fails", async { anyhow::bail!("no luck") });
        let ended = tasks.next_ended().await.unwrap();
        assert_eq!(ended.name, "fails");
        assert_eq!(format!("{:#}", ended.result.unwrap_err()), "task fails failed: no luck");

        tasks.spawn("panics", async { panic!("expected by a test") });
        let ended = tasks.next_ended().await.unwrap();
        assert_eq!(ended.name, "panics");
        assert!(format!("{:#}", ended.result.unwrap_err()).contains("panicked"));
    }

    #[tokio::test]
    async fn who_does_not_end_is_cut_off() {
        let mut tasks = CriticalTasks::default();
        tasks.spawn("ends", async { Ok(()) });
        tasks.spawn("stays", std::future::pending());
        let started = Instant::now();
        tasks.drain(Duration::from_millis(50)).await;
        assert!((50..5000).contains(&started.elapsed().as_millis()));
    }
}

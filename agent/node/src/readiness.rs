//! What must hold for the node to be ready, each condition set by who knows.

use std::sync::{Arc, Mutex, PoisonError};

use aleph_types::api::{Condition, Readiness};

/// A thing that must hold, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    Database,
    Disk,
    Tpm,
    Chain,
    Executor,
    Api,
}

impl Need {
    const ALL: [Self; 6] =
        [Self::Database, Self::Disk, Self::Tpm, Self::Chain, Self::Executor, Self::Api];

    fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Disk => "disk",
            Self::Tpm => "tpm",
            Self::Chain => "chain",
            Self::Executor => "executor",
            Self::Api => "api",
        }
    }
}

/// Every condition of readiness. Clones show and set the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    stopping: bool,
    conditions: Vec<Condition>,
}

impl Conditions {
    /// Nothing holds yet.
    pub(crate) fn new() -> Self {
        let conditions = Need::ALL.map(|need| Condition {
            name: need.name().to_owned(),
            ok: false,
            detail: "starting".to_owned(),
        });
        let state = State { stopping: false, conditions: conditions.into() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// It holds, in these words.
    pub(crate) fn holds(&self, need: Need, detail: impl Into<String>) {
        self.set(need, true, detail.into());
    }

    /// It does not hold; the words say what to do.
    pub(crate) fn fails(&self, need: Need, detail: impl Into<String>) {
        self.set(need, false, detail.into());
    }

    /// From now on the node is not ready, whatever holds.
    pub(crate) fn stop(&self) {
        self.locked().stopping = true;
    }

    /// All of them as they are now.
    pub(crate) fn readiness(&self) -> Readiness {
        let state = self.locked();
        let mut conditions = state.conditions.clone();
        if state.stopping {
            let detail = "the node is stopping: ask another one".to_owned();
            conditions.push(Condition { name: "running".to_owned(), ok: false, detail });
        }
        Readiness { ready: conditions.iter().all(|condition| condition.ok), conditions }
    }

    fn set(&self, need: Need, ok: bool, detail: String) {
        let mut state = self.locked();
        let name = need.name();
        if let Some(known) = state.conditions.iter_mut().find(|known| known.name == name) {
            if known.ok != ok {
                tracing::info!(condition = name, ok, detail, "readiness changed");
            }
            (known.ok, known.detail) = (ok, detail);
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        // A condition is set in one step: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_everything_holds_until_the_stop() {
        let conditions = Conditions::new();
        for need in Need::ALL {
            assert!(!conditions.readiness().ready);
            conditions.holds(need, "well");
        }
        assert!(conditions.readiness().ready);
        conditions.fails(Need::Chain, "the chain does not answer");
        let readiness = conditions.readiness();
        let failing: Vec<_> = readiness.conditions.iter().filter(|known| !known.ok).collect();
        assert_eq!((failing.len(), failing[0].name.as_str()), (1, "chain"));
        conditions.holds(Need::Chain, "well");
        conditions.stop();
        assert!(!conditions.readiness().ready);
    }
}

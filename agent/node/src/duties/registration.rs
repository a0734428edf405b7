//! The node's place on the chain: registered once, activated when its stake has matured.

use std::{sync::Arc, time::Duration};

use aleph_chain::{Chain, ChainHead, NodeRecord, NodeStatus, Outcome, Registration};
use aleph_types::Address;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Registers and activates the node, until cancelled.
pub(crate) struct RegistrationDuty {
    pub(crate) chain: Chain,
    /// What the node is registered with; nothing without TPM or owner.
    pub(crate) registration: Registration,
}

impl RegistrationDuty {
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        stop.run_until_cancelled(self.follow()).await;
        Ok(())
    }

    async fn follow(&self) {
        let mut view = self.chain.view();
        let operator = self.chain.config().operator_key.address();
        let mut pause = PAUSE_FIRST;
        loop {
            let seen = Arc::clone(&view.borrow_and_update());
            let step = match seen.head {
                Some(head) => next_step(seen.this_node(), &head, operator),
                None => Step::Wait,
            };
            let done = match step {
                Step::Wait => true,
                Step::Register => self.register().await,
                Step::Activate => self.activate().await,
                Step::OtherOperator(registered) => {
                    warn!(
                        %registered, %operator,
                        "the node is registered with another operator key: restore that key to \
                         the data partition, or let the owner deregister the node"
                    );
                    false
                }
            };
            if done {
                pause = PAUSE_FIRST;
                if view.changed().await.is_err() {
                    return;
                }
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_LONGEST);
            }
        }
    }

    async fn register(&self) -> bool {
        info!(owner = %self.registration.owner, "registering the node");
        let ticket = match self.chain.register_node(&self.registration).await {
            Ok(ticket) => ticket,
            Err(error) => {
                warn!(%error, "the node could not be registered; trying again");
                return false;
            }
        };
        self.has_succeeded("registration", ticket.outcome().await)
    }

    async fn activate(&self) -> bool {
        let ticket = match self.chain.activate_node().await {
            Ok(ticket) => ticket,
            Err(error) => {
                warn!(%error, "the node could not be activated; trying again");
                return false;
            }
        };
        self.has_succeeded("activation", ticket.outcome().await)
    }

    fn has_succeeded(&self, what: &str, outcome: Result<Outcome, aleph_chain::ChainError>) -> bool {
        match outcome {
            Ok(Outcome::Confirmed { block_number, .. }) => {
                info!(what, block = block_number, "done on the chain");
                true
            }
            Ok(Outcome::Failed(failure)) => {
                warn!(what, %failure, "not done on the chain; trying again");
                false
            }
            Err(error) => {
                warn!(what, %error, "the outcome is not known; trying again");
                false
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Wait,
    Register,
    Activate,
    OtherOperator(Address),
}

fn next_step(node: Option<&NodeRecord>, head: &ChainHead, operator: Address) -> Step {
    let Some(node) = node else { return Step::Register };
    match node.status {
        // A deregistered node stays so until its owner decides otherwise.
        NodeStatus::Deregistered | NodeStatus::Active => Step::Wait,
        _ if node.operator != operator => Step::OtherOperator(node.operator),
        NodeStatus::Inactive | NodeStatus::Unbonding => {
            let has_matured = node.stake.matured > 0
                || (node.stake.total > 0 && node.stake.matures_at_s <= head.timestamp_s);
            if has_matured { Step::Activate } else { Step::Wait }
        }
    }
}

/// After a refusal: stake matures by blocks as well as by time, which the second try meets.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
/// After many: a node with too little stake does not fill its log.
const PAUSE_LONGEST: Duration = Duration::from_secs(300);

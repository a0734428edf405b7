//! What became of machines, told to the chain.

use aleph_chain::{Chain, ChainError};
use aleph_executor::{Reports, VmEvent};
use aleph_types::{JobId, JobStatus};
use tracing::{info, warn};

/// The executor's reports become transactions; without a chain nobody is told.
#[derive(Debug, Clone)]
pub(crate) struct ChainReports(pub(crate) Option<Chain>);

impl Reports for ChainReports {
    async fn report(&self, job: JobId, event: VmEvent) {
        let Some(chain) = &self.0 else { return };
        let status = chain.view().borrow().jobs.get(&job).map(|job| job.status);
        let Some(tell) = status.and_then(|status| what_to_tell(status, &event)) else { return };
        info!(%job, ?event, ?tell, "the chain is told what became of a machine");
        let told: Result<_, ChainError> = match tell {
            Tell::Started => chain.start_job(job).await,
            Tell::Completed => chain.complete_job(job).await,
            Tell::Failed(reason) => chain.fail_job(job, &reason).await,
        };
        // The report comes again.
        if let Err(error) = told {
            warn!(%job, %error, "the chain could not be told what became of a machine");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Tell {
    Started,
    Completed,
    Failed(String),
}

/// A report says what is; the chain's status says what it knows already.
fn what_to_tell(status: JobStatus, event: &VmEvent) -> Option<Tell> {
    match (status, event) {
        (JobStatus::Assigned, VmEvent::Started) => Some(Tell::Started),
        // It ended before the chain heard that it had begun: one after the other.
        (JobStatus::Assigned, VmEvent::Stopped { .. }) => Some(Tell::Started),
        (JobStatus::Running | JobStatus::Stopping, VmEvent::Stopped { .. }) => {
            Some(Tell::Completed)
        }
        // The customer wanted its end and has it.
        (JobStatus::Stopping, VmEvent::Failed { .. }) => Some(Tell::Completed),
        (JobStatus::Assigned | JobStatus::Running, VmEvent::Failed { reason }) => {
            Some(Tell::Failed(reason.clone()))
        }
        (JobStatus::Running | JobStatus::Stopping, VmEvent::Started) => None,
        (JobStatus::Created | JobStatus::Completed | JobStatus::Failed, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_report_is_told_once_the_chain_can_take_it() {
        let stopped = VmEvent::Stopped { exit: "powered off".to_owned() };
        let failed = VmEvent::Failed { reason: "crashed".to_owned() };
        let all = [
            (JobStatus::Assigned, &VmEvent::Started, Some(Tell::Started)),
            (JobStatus::Running, &VmEvent::Started, None),
            (JobStatus::Assigned, &stopped, Some(Tell::Started)),
            (JobStatus::Running, &stopped, Some(Tell::Completed)),
            (JobStatus::Stopping, &stopped, Some(Tell::Completed)),
            (JobStatus::Completed, &stopped, None),
            (JobStatus::Running, &failed, Some(Tell::Failed("crashed".to_owned()))),
            (JobStatus::Stopping, &failed, Some(Tell::Completed)),
        ];
        for (status, event, expected) in all {
            assert_eq!(what_to_tell(status, event), expected, "{status} {event:?}");
        }
    }
}

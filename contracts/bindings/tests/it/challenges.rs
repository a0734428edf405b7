//! A commitment, a challenge with a bond, a beacon's round, and no answer.

use std::process::Command;

use aleph_contracts::{AlephToken, StakingManager, StorageOffer, StorageRegistry};
use alloy::primitives::{U256, keccak256};
use anyhow::{Context, Result, ensure};

use crate::{
    NODE,
    chain::{Chain, contracts_dir},
    event,
};

pub(crate) async fn unanswered_challenge_costs_stake(chain: &Chain) -> Result<()> {
    let token = AlephToken::new(chain.book.aleph, &chain.provider);
    let storage = StorageRegistry::new(chain.book.storage_registry, &chain.provider);
    let rules = storage.getParameters().call().await?;

    let offer = StorageOffer {
        root: keccak256("root"),
        size: 1 << 20,
        replicas: 1,
        periods: 100,
        ..Default::default()
    };
    let commitment = storage.commit(NODE, keccak256("content"), offer).from(chain.operator);
    let committed: StorageRegistry::Committed =
        event(&commitment.send().await?.get_receipt().await?)?;
    ensure!(committed.nodeId == NODE);
    // It is in force from the next period on.
    chain.pass(2 * rules.period).await?;

    let bond = U256::from(rules.bond);
    let funding = token.transfer(chain.stranger, bond).from(chain.admin);
    ensure!(funding.send().await?.get_receipt().await?.status());
    let approval = token.approve(chain.book.storage_registry, bond).from(chain.stranger);
    ensure!(approval.send().await?.get_receipt().await?.status());
    let challenge = storage.issueChallenge(committed.commitmentId).from(chain.stranger);
    let issued: StorageRegistry::ChallengeIssued =
        event(&challenge.send().await?.get_receipt().await?)?;
    ensure!(issued.nodeId == NODE && U256::from(issued.bond) == bond);

    let early = storage.resolveChallenge(issued.challengeId).from(chain.stranger).call().await;
    ensure!(early.is_err(), "the node has not had its time yet");

    chain.pass(rules.beaconDelay + 6).await?;
    post_round(chain, issued.round)?;
    chain.pass(rules.responseWindow + rules.beaconGrace + 6).await?;
    // Not by the administrator, for whom the beacon's tool has just sent a transaction.
    let resolution = storage.resolveChallenge(issued.challengeId).from(chain.customer);
    let receipt = resolution.send().await?.get_receipt().await?;
    let slashed: StakingManager::Slashed = event(&receipt)?;
    ensure!(slashed.nodeId == NODE && !slashed.fromOwner.is_zero());
    let resolved: StorageRegistry::ChallengeResolved = event(&receipt)?;
    ensure!(resolved.challengeId == issued.challengeId && resolved.challenger == chain.stranger);
    ensure!(resolved.slashed == slashed.fromOwner && resolved.reward == slashed.reporterReward);
    ensure!(storage.creditOf(chain.stranger).call().await? >= bond, "the bond comes back");
    Ok(())
}

/// Signs a round with the key of development beacons, and posts it.
fn post_round(chain: &Chain, round: u64) -> Result<()> {
    let output = Command::new("node")
        .current_dir(contracts_dir())
        .args(["tools/beacon.mjs", "post", &chain.book.beacon.to_string(), &round.to_string()])
        .env("ALEPH_RPC_URL", chain.url())
        .output()
        .context("cannot start node")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the beacon's tool failed: {errors}");
    Ok(())
}

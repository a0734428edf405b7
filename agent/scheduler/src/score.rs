//! The terms of a node's score.

use std::fmt;

use aleph_types::Resources;
use serde::{Deserialize, Serialize};

use crate::{NodeState, Ppm, Request};

/// Weights of the terms in parts per million; together one.
const RESOURCE_FIT: u32 = 400_000;
const STAKE_WEIGHT: u32 = 300_000;
const LOCALITY: u32 = 200_000;
const LOAD_BALANCE: u32 = 100_000;

/// What the weights sum to.
const MILLION: u128 = 1_000_000;

/// One token in its smallest unit.
const TOKEN: u128 = 1_000_000_000_000_000_000;
/// So many doublings of the stake count.
const STAKE_DOUBLINGS: u128 = 20;

/// The terms of a node's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How well the job fills what is free.
    pub resource_fit: Ppm,
    /// How much is staked for the node.
    pub stake_weight: Ppm,
    /// How near the node is to where the job should run.
    pub locality: Ppm,
    /// How much of the node stays free.
    pub load_balance: Ppm,
}

impl Terms {
    /// The terms of a node that has room.
    pub(crate) fn of(request: &Request, node: &NodeState) -> Self {
        Self {
            resource_fit: resource_fit(&request.resources, &node.free()),
            stake_weight: stake_weight(node.stake),
            locality: locality(request.region.as_deref(), &node.region),
            load_balance: load_balance(&request.resources, node),
        }
    }

    /// The weighted sum, at most one.
    pub fn score(&self) -> Ppm {
        let weighted = [
            (self.resource_fit, RESOURCE_FIT),
            (self.stake_weight, STAKE_WEIGHT),
            (self.locality, LOCALITY),
            (self.load_balance, LOAD_BALANCE),
        ]
        .into_iter()
        // Four products of two numbers of at most a million are far from 128 bits.
        .map(|(term, weight)| u128::from(term.get()).saturating_mul(u128::from(weight)))
        .fold(0, u128::saturating_add);
        Ppm::at_most_one(weighted / MILLION)
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource_fit, stake_weight, locality, load_balance } = self;
        write!(
            f,
            "resource fit {resource_fit}, stake {stake_weight}, locality {locality}, load balance \
             {load_balance}"
        )
    }
}

fn resource_fit(wanted: &Resources, free: &Resources) -> Ppm {
    let sum = [
        Ppm::share(wanted.vcpus.into(), free.vcpus.into()),
        Ppm::share(wanted.memory_mib, free.memory_mib),
        Ppm::share(wanted.disk_mib, free.disk_mib),
    ]
    .into_iter()
    .map(|share| u128::from(share.get()))
    .fold(0, u128::saturating_add);
    Ppm::at_most_one(sum / 3)
}

fn stake_weight(stake: u128) -> Ppm {
    // 128 bits divided by 10¹⁸ leave room for everything below.
    let tokens = (stake / TOKEN).saturating_add(1);
    let whole = tokens.checked_ilog2().unwrap_or(0);
    let power = 1u128.checked_shl(whole).unwrap_or(1);
    let part = tokens.saturating_sub(power).saturating_mul(MILLION).checked_div(power).unwrap_or(0);
    let doublings = u128::from(whole).saturating_mul(MILLION).saturating_add(part);
    Ppm::at_most_one(doublings / STAKE_DOUBLINGS)
}

fn locality(wanted: Option<&str>, region: &str) -> Ppm {
    let area = |region: &str| region.split('-').next().unwrap_or_default().to_owned();
    match wanted.filter(|wanted| !wanted.is_empty()) {
        None => Ppm::ONE,
        Some(_) if region.is_empty() => Ppm::ZERO,
        Some(wanted) if wanted == region => Ppm::ONE,
        Some(wanted) if area(wanted) == area(region) => Ppm::HALF,
        Some(_) => Ppm::ZERO,
    }
}

fn load_balance(wanted: &Resources, node: &NodeState) -> Ppm {
    let use_of = |reserved: u64, wanted: u64, capacity: u64| {
        if capacity == 0 {
            Ppm::ZERO
        } else {
            Ppm::share(reserved.saturating_add(wanted), capacity)
        }
    };
    let (reserved, capacity) = (&node.reserved, &node.capacity);
    [
        use_of(reserved.vcpus.into(), wanted.vcpus.into(), capacity.vcpus.into()),
        use_of(reserved.memory_mib, wanted.memory_mib, capacity.memory_mib),
        use_of(reserved.disk_mib, wanted.disk_mib, capacity.disk_mib),
    ]
    .into_iter()
    .fold(Ppm::ZERO, Ppm::max)
    .complement()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one() {
        assert_eq!(RESOURCE_FIT + STAKE_WEIGHT + LOCALITY + LOAD_BALANCE, Ppm::ONE.get());
        let full = Terms {
            resource_fit: Ppm::ONE,
            stake_weight: Ppm::ONE,
            locality: Ppm::ONE,
            load_balance: Ppm::ONE,
        };
        assert_eq!(full.score(), Ppm::ONE);
    }

    #[test]
    fn stake_counts_by_doublings() {
        let tokens = |tokens: u128| stake_weight(tokens * TOKEN).get();
        assert_eq!(tokens(0), 0);
        assert_eq!(stake_weight(TOKEN - 1), Ppm::ZERO);
        assert_eq!((tokens(1), tokens(3), tokens(7)), (50_000, 100_000, 150_000));
        assert_eq!(tokens(5), 125_000, "linear between powers of two");
        assert_eq!(tokens((1 << 20) - 1), 1_000_000);
        assert_eq!(stake_weight(u128::MAX), Ppm::ONE);
    }

    #[test]
    fn regions_are_the_same_near_or_far() {
        let locality = |wanted, region| locality(wanted, region).get();
        assert_eq!(locality(None, ""), 1_000_000);
        assert_eq!(locality(Some(""), "us-east"), 1_000_000);
        assert_eq!(locality(Some("eu-west"), "eu-west"), 1_000_000);
        assert_eq!(locality(Some("eu-west"), "eu-north"), 500_000);
        assert_eq!(locality(Some("eu-west"), "eu"), 500_000);
        assert_eq!(locality(Some("eu-west"), "us-west"), 0);
        assert_eq!(locality(Some("eu-west"), ""), 0);
    }
}

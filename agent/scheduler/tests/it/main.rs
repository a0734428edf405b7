//! What holds for every request and every set of nodes.

use aleph_scheduler::{NodeState, Ppm, Request, place};
use aleph_types::{JobId, NodeId, Resources};
use proptest::{collection::vec, option, prelude::*};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Also: no input makes it overflow or panic; the test profile checks every sum.
    #[test]
    fn the_chosen_node_has_room_and_none_is_better(
        request in any_request(),
        nodes in vec(any_node(), 0..12),
        seed: [u8; 32],
    ) {
        let fits = |node: &NodeState| has_room(&request.resources, &node.free());
        match place(&request, &nodes, seed) {
            Ok(placement) => {
                let chosen = nodes.iter().find(|node| node.id == placement.node).unwrap();
                prop_assert!(fits(chosen));
                prop_assert!(placement.score <= Ppm::ONE);
                prop_assert_eq!(placement.score, placement.explanation.terms.score());
                prop_assert_eq!(
                    placement.explanation.candidates,
                    nodes.iter().filter(|node| fits(node)).count()
                );
                for node in nodes.iter().filter(|node| fits(node)) {
                    let alone = place(&request, std::slice::from_ref(node), seed).unwrap();
                    prop_assert!(alone.score <= placement.score);
                }
            }
            Err(unplaceable) => {
                prop_assert!(!nodes.iter().any(fits));
                prop_assert_eq!(unplaceable.reasons.len(), nodes.len());
                prop_assert!(unplaceable.reasons.iter().all(|(_, lacks)| !lacks.is_empty()));
                prop_assert!(unplaceable.to_string().len() < 400);
            }
        }
    }

    #[test]
    fn the_order_of_the_nodes_does_not_matter(
        request in any_request(),
        nodes in vec(any_node(), 0..8).prop_map(with_own_ids),
        seed: [u8; 32],
        turn in 0..8usize,
    ) {
        let mut turned = nodes.clone();
        turned.rotate_left(turn.min(nodes.len()));
        turned.reverse();
        let node = |nodes: &[NodeState]| place(&request, nodes, seed).ok().map(|p| p.node);
        prop_assert_eq!(node(&nodes), node(&turned));
    }

    #[test]
    fn a_loser_that_leaves_changes_nothing(
        request in any_request(),
        mut nodes in vec(any_node(), 1..8).prop_map(with_own_ids),
        seed: [u8; 32],
        leaver in any::<prop::sample::Index>(),
    ) {
        let Ok(before) = place(&request, &nodes, seed) else { return Ok(()) };
        let leaver = leaver.index(nodes.len());
        prop_assume!(nodes[leaver].id != before.node);
        nodes.remove(leaver);
        prop_assert_eq!(place(&request, &nodes, seed).unwrap().node, before.node);
    }

    #[test]
    fn more_stake_never_lowers_the_score(
        request in any_request(),
        node in any_node(),
        more: u128,
        seed: [u8; 32],
    ) {
        let richer = NodeState { stake: node.stake.saturating_add(more), ..node.clone() };
        if let Ok(before) = place(&request, &[node], seed) {
            prop_assert!(place(&request, &[richer], seed).unwrap().score >= before.score);
        }
    }
}

fn has_room(wanted: &Resources, free: &Resources) -> bool {
    wanted.vcpus <= free.vcpus
        && wanted.memory_mib <= free.memory_mib
        && wanted.disk_mib <= free.disk_mib
}

/// Small numbers, where requests and nodes are near each other, and the whole range.
fn any_resources() -> impl Strategy<Value = Resources> {
    let small = (0..4u32, 0..4u64, 0..4u64);
    let any = any::<(u32, u64, u64)>();
    prop_oneof![3 => small, 1 => any].prop_map(|(vcpus, memory_mib, disk_mib)| Resources {
        vcpus,
        memory_mib,
        disk_mib,
    })
}

fn any_region() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "-", "eu", "eu-west", "eu-north", "us-west", "é-ü"])
        .prop_map(str::to_owned)
}

fn any_request() -> impl Strategy<Value = Request> {
    (any::<u64>(), any_resources(), option::of(any_region()))
        .prop_map(|(job, resources, region)| Request { job: JobId(job), resources, region })
}

fn any_node() -> impl Strategy<Value = NodeState> {
    let stake = prop_oneof![any::<u128>(), 0..10u128.pow(25)];
    (any::<[u8; 32]>(), any_resources(), any_resources(), stake, any_region()).prop_map(
        |(id, capacity, reserved, stake, region)| NodeState {
            id: NodeId(id),
            capacity,
            reserved,
            stake,
            region,
        },
    )
}

/// Random ids of 32 bytes differ, but a shrunk case has equal ones.
fn with_own_ids(mut nodes: Vec<NodeState>) -> Vec<NodeState> {
    for (index, node) in nodes.iter_mut().enumerate() {
        node.id.0[0] = index as u8;
    }
    nodes
}

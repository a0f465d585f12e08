//! The arrows of `docs/architecture.md`, and what crates must not know.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What each crate may depend on, of this workspace. `longhaul-testkit` is for tests: no library
/// but itself reaches it through a normal edge.
const ARROWS: [(&str, &[&str]); 7] = [
    ("longhaul-history", &[]),
    ("longhaul-compaction", &["longhaul-history"]),
    ("longhaul-transport", &["longhaul-history"]),
    ("longhaul-rollout", &["longhaul-history"]),
    ("longhaul-state", &["longhaul-compaction", "longhaul-history", "longhaul-transport"]),
    (
        "longhaul",
        &[
            "longhaul-compaction",
            "longhaul-history",
            "longhaul-rollout",
            "longhaul-state",
            "longhaul-transport",
        ],
    ),
    ("longhaul-testkit", &["longhaul-history", "longhaul-rollout", "longhaul-transport"]),
];

/// Runtimes, HTTP clients, clocks and randomness: time, seeds and answers are arguments of the
/// pure crates.
const IMPURE: [&str; 14] = [
    "async-std",
    "chrono",
    "fastrand",
    "getrandom",
    "hyper",
    "instant",
    "jiff",
    "rand",
    "reqwest",
    "smol",
    "time",
    "tokio",
    "ureq",
    "uuid",
];

fn metadata() -> Metadata {
    MetadataCommand::new().other_options(vec!["--locked".into()]).exec().unwrap()
}

/// The normal dependencies of each package, by name.
fn normal_edges(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let name = |id: &PackageId| metadata[id].name.to_string();
    let resolve = metadata.resolve.as_ref().unwrap();
    let edges = resolve.nodes.iter().map(|node| {
        let normal = node
            .deps
            .iter()
            .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        (name(&node.id), normal.map(|dep| name(&dep.pkg)).collect())
    });
    edges.collect()
}

fn reached_from(start: &str, edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        let next = edges.get(&name).into_iter().flatten();
        open.extend(next.filter(|name| reached.insert((*name).clone())).cloned());
    }
    reached
}

#[test]
fn arrows_point_up_only() {
    let edges = normal_edges(&metadata());
    for (name, expected) in ARROWS {
        let ours: Vec<_> = edges[name].iter().filter(|dep| dep.starts_with("longhaul")).collect();
        assert_eq!(ours, expected, "dependencies of {name}");
    }
}

#[test]
fn the_pure_crates_know_no_runtime_no_network_no_clock_and_no_chance() {
    let edges = normal_edges(&metadata());
    for name in ["longhaul-history", "longhaul-compaction"] {
        let reached = reached_from(name, &edges);
        let impure: Vec<_> = IMPURE.iter().filter(|dep| reached.contains(**dep)).collect();
        assert_eq!(impure, [&""; 0], "{name}");
    }
}

#[test]
fn without_the_feature_http_no_http_client_is_in_the_tree() {
    let tree = |features: &[&str]| {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let arguments = ["tree", "-p", "longhaul", "-e", "normal", "--prefix", "none", "--locked"];
        let output = std::process::Command::new(cargo)
            .args(arguments)
            .args(features)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let clients = |tree: &str| {
        let names = tree.lines().filter_map(|line| line.split(' ').next());
        names.filter(|name| ["reqwest", "hyper", "rustls"].contains(name)).count()
    };
    assert!(clients(&tree(&[])) > 0);
    assert_eq!(clients(&tree(&["--no-default-features"])), 0);
}

//! Dependencies between our crates point down only: one table says which crate is in which layer,
//! and what is allowed beside it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{cargo, say};

/// Every crate of the workspace and its layer.
const LAYERS: &[(&str, u8)] = &[
    // words
    ("types", 0),
    // pure
    ("auth", 1),
    ("media", 1),
    ("flv", 1),
    ("rtmp", 1),
    ("fmp4", 1),
    ("hls", 1),
    ("economy", 1),
    ("p2p", 1),
    // ports and adapters
    ("proto", 2),
    ("events", 2),
    ("storage", 2),
    ("cache", 2),
    ("runtime", 2),
    ("delivery", 2),
    ("peer", 2),
    ("migrations", 2),
    // services
    ("ingest", 3),
    ("packager", 3),
    ("coordinator", 3),
    ("stats-collector", 3),
    ("spot-check-prober", 3),
    ("payout", 3),
    ("node", 3),
    // composition
    ("web", 4),
    ("testkit", 4),
    ("xtask", 4),
    ("streamr", 4),
    ("tests", 4),
];

const PURE: u8 = 1;
const SERVICES: u8 = 3;
const COMPOSITION: u8 = 4;

/// Arrows that don't point to a lower layer and are allowed: who imports, what.
const BESIDE: &[(&str, &str)] = &[
    ("flv", "media"),
    ("rtmp", "flv"),
    ("rtmp", "media"),
    ("fmp4", "media"),
    ("hls", "media"),
    ("events", "proto"),
    ("storage", "events"),
    ("storage", "migrations"),
    ("coordinator", "web"),
    ("tests", "streamr"),
    ("tests", "testkit"),
];

/// Crates of layer 4 that import nothing of ours.
const ALONE: &[&str] = &["web"];
/// Crates of layer 4 that import words and pure crates only: they build before the pages do.
const LIGHT: &[&str] = &["xtask"];
/// Crates that may import services.
const COMPOSERS: &[&str] = &["streamr", "tests"];

/// Libraries that only their adapter's crate may import; a name covers `name-*` too.
const CONFINED: &[(&str, &[&str])] = &[
    ("sea-orm", &["storage", "migrations"]),
    ("lapin", &["events"]),
    ("redis", &["cache"]),
    ("deadpool-redis", &["cache"]),
];

/// One dependency of one package, as its manifest says.
struct Arrow {
    from: String,
    to: String,
    ours: bool,
    dev: bool,
}

/// Fails with every arrow that is not allowed.
pub(crate) fn check(root: &Path) -> Result<()> {
    let output = cargo(root)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let (packages, arrows) = graph(&metadata);
    let problems = problems(&packages, &arrows);
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        say(&format!("layers: {problem}"));
    }
    bail!("{} dependencies point the wrong way", problems.len());
}

fn graph(metadata: &Value) -> (Vec<String>, Vec<Arrow>) {
    let mut packages = Vec::new();
    let mut arrows = Vec::new();
    for package in items(metadata, "packages") {
        let from = text(package, "name");
        for dependency in items(package, "dependencies") {
            arrows.push(Arrow {
                from: from.clone(),
                to: text(dependency, "name"),
                ours: dependency.get("path").is_some_and(Value::is_string),
                dev: dependency.get("kind").and_then(Value::as_str) == Some("dev"),
            });
        }
        packages.push(from);
    }
    (packages, arrows)
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(n, _)| *n == name).map(|(_, l)| *l)
}

fn problems(packages: &[String], arrows: &[Arrow]) -> Vec<String> {
    let unknown = packages
        .iter()
        .filter(|name| layer(name).is_none())
        .map(|name| {
            format!("{name} is in no layer; add it to the table in crates/xtask/src/layers.rs")
        });
    unknown.chain(arrows.iter().filter_map(problem)).collect()
}

fn problem(arrow: &Arrow) -> Option<String> {
    let Arrow { from, to, .. } = arrow;
    if !arrow.ours {
        let (_, owners) = CONFINED.iter().find(|(library, _)| {
            to.strip_prefix(library)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })?;
        let allowed = arrow.dev || owners.contains(&from.as_str());
        return (!allowed).then(|| {
            format!(
                "{from} imports {to}, which belongs to {}",
                owners.join(", ")
            )
        });
    }
    // The bus is tested on outboxes that are real.
    let tested = to == "testkit" || (from == "events" && to == "storage");
    if arrow.dev && tested || from == to {
        return None;
    }
    let (upper, lower) = (layer(from)?, layer(to)?);
    if BESIDE.contains(&(from, to)) || (upper == 2 && to == "runtime") {
        return None;
    }
    if ALONE.contains(&from.as_str()) {
        return Some(format!("{from} imports {to}, but imports none of ours"));
    }
    if LIGHT.contains(&from.as_str()) && lower > PURE {
        return Some(format!("{from} imports {to}, but imports pure crates only"));
    }
    if lower == SERVICES && !COMPOSERS.contains(&from.as_str()) {
        return Some(format!(
            "{from} imports the service {to}; services meet through gRPC and events"
        ));
    }
    if lower < upper && lower < COMPOSITION {
        return None;
    }
    Some(format!(
        "{from} (layer {upper}) imports {to} (layer {lower}); arrows point down only"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours(from: &str, to: &str) -> Option<String> {
        problem(&Arrow {
            from: from.to_owned(),
            to: to.to_owned(),
            ours: true,
            dev: false,
        })
    }

    fn library(from: &str, to: &str, dev: bool) -> Option<String> {
        problem(&Arrow {
            from: from.to_owned(),
            to: to.to_owned(),
            ours: false,
            dev,
        })
    }

    #[test]
    fn arrows_down_are_allowed() {
        for (from, to) in [
            ("media", "types"),
            ("proto", "media"),
            ("delivery", "hls"),
            ("delivery", "fmp4"),
            ("ingest", "rtmp"),
            ("coordinator", "storage"),
            ("streamr", "ingest"),
            ("tests", "packager"),
            ("testkit", "media"),
            ("xtask", "rtmp"),
        ] {
            assert_eq!(ours(from, to), None, "{from} -> {to}");
        }
    }

    #[test]
    fn listed_siblings_are_allowed() {
        for (from, to) in [
            ("flv", "media"),
            ("rtmp", "flv"),
            ("events", "proto"),
            ("storage", "events"),
            ("storage", "migrations"),
            ("cache", "runtime"),
            ("coordinator", "web"),
            ("tests", "streamr"),
        ] {
            assert_eq!(ours(from, to), None, "{from} -> {to}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (from, to) in [
            ("types", "media"),
            ("media", "flv"),
            ("hls", "fmp4"),
            ("economy", "media"),
            ("media", "proto"),
            ("proto", "events"),
            ("cache", "storage"),
            ("runtime", "cache"),
            ("ingest", "packager"),
            ("ingest", "web"),
            ("ingest", "testkit"),
            ("web", "types"),
            ("xtask", "runtime"),
            ("xtask", "web"),
            ("testkit", "ingest"),
            ("streamr", "testkit"),
        ] {
            assert!(ours(from, to).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_dev_dependency_on_testkit_is_exempt_but_not_on_a_service() {
        let dev = |to: &str| {
            problem(&Arrow {
                from: "ingest".to_owned(),
                to: to.to_owned(),
                ours: true,
                dev: true,
            })
        };
        assert_eq!(dev("testkit"), None);
        assert!(dev("packager").is_some());
    }

    #[test]
    fn adapters_keep_their_libraries() {
        assert_eq!(library("storage", "sea-orm", false), None);
        assert_eq!(library("migrations", "sea-orm-migration", false), None);
        assert!(library("coordinator", "sea-orm-migration", false).is_some());
        assert_eq!(library("coordinator", "sea-orm", true), None);
        assert!(library("storage", "lapin", false).is_some());
        assert!(library("events", "deadpool-redis", false).is_some());
        assert_eq!(library("cache", "redis", false), None);
        assert_eq!(library("ingest", "serde", false), None);
    }

    #[test]
    fn a_graph_is_read_from_metadata() {
        let metadata = json!({"packages": [
            {"name": "ingest", "dependencies": [
                {"name": "packager", "kind": null, "path": "crates/packager"},
                {"name": "testkit", "kind": "dev", "path": "crates/testkit"},
                {"name": "tokio", "kind": null},
            ]},
            {"name": "novel", "dependencies": []},
        ]});
        let (packages, arrows) = graph(&metadata);
        let problems = problems(&packages, &arrows);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("novel is in no layer"));
        assert!(problems[1].starts_with("ingest imports the service packager"));
    }
}

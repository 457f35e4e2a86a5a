//! `cargo xtask broker`: a RabbitMQ of three nodes loses the leader of a queue while events flow. What is
//! done is a test of `events` that takes too long for every day.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{cargo, succeed};

/// Where the outbox is; the brokers are started.
const POSTGRES: &str = "STREAMR_TEST_POSTGRES";

/// Runs it and prints its figures.
pub(crate) fn run(root: &Path) -> Result<()> {
    let test = "plugs::a_cluster_whose_leader_is_killed_loses_nothing";
    succeed(&mut test_of_events(root, test)?)
}

/// One of the long tests of the bus, optimized.
pub(crate) fn test_of_events(root: &Path, test: &str) -> Result<Command> {
    if std::env::var_os(POSTGRES).is_none() {
        bail!(
            "set {POSTGRES} to a PostgreSQL to test on, such as postgres://streamr@127.0.0.1:5432/postgres"
        );
    }
    let mut command = cargo(root);
    let build = "test --quiet --release --package events --test contract";
    command
        .args(build.split(' '))
        .args(["--", "--ignored", "--exact", "--nocapture", test]);
    Ok(command)
}

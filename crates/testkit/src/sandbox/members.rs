//! Which processes a layout has, and where each listens.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use super::Layout;
use crate::{
    balancer::{Backend, Balancer},
    ports::free_address,
};

/// Where a sandbox is found.
#[derive(Debug)]
pub(super) struct Listens {
    /// The address that the world is served at.
    host: IpAddr,
    pub(super) pages: SocketAddr,
    pub(super) rtmp: SocketAddr,
    pub(super) rtmps: SocketAddr,
    pub(super) playback: SocketAddr,
    /// Health and metrics of the (first) coordinator.
    pub(super) coordinator_ops: SocketAddr,
    /// What only services should talk to.
    pub(super) internal: Vec<SocketAddr>,
    coordinators: Vec<SocketAddr>,
}

/// A process to be.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    kinds: &'static [&'static str],
    /// Where it serves the world, if it does.
    pub(super) public: Option<SocketAddr>,
    /// The same by RTMPS.
    public_tls: Option<SocketAddr>,
    pub(super) health: SocketAddr,
    /// Configuration keys, without their prefix.
    pub(super) settings: Vec<(String, String)>,
}

impl Member {
    /// Whether `name` is its own, or that of its kind.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name || self.kinds.contains(&name)
    }

    /// Whether the other services talk to it: an edge alone and the stats-collector only talk to others.
    fn has_internal(&self) -> bool {
        let has = |wanted: fn(&str, &str) -> bool| {
            let mut settings = self.settings.iter();
            settings.any(|(key, value)| wanted(key, value))
        };
        has(|key, _| key.ends_with("GRPC_BIND"))
            && !has(|key, roles| key == "PACKAGER__ROLES" && roles == "edge")
    }

    fn new(name: &'static str, program: &'static str, kinds: &'static [&'static str]) -> Self {
        Self {
            name,
            program,
            kinds,
            public: None,
            public_tls: None,
            health: free_address(),
            settings: Vec::new(),
        }
    }

    fn set(&mut self, key: &str, value: impl ToString) {
        self.settings.push((key.to_owned(), value.to_string()));
    }
}

const EVERY: &str = "streamr";

fn coordinator(
    name: &'static str,
    kinds: &'static [&'static str],
    pages: SocketAddr,
) -> (Member, SocketAddr) {
    let mut member = Member::new(name, "streamr-coordinator", kinds);
    let grpc = free_address();
    member.public = Some(pages);
    member.set("COORDINATOR__BIND", pages);
    member.set("COORDINATOR__GRPC_BIND", grpc);
    member.set("COORDINATOR__OPS_BIND", member.health);
    (member, grpc)
}

fn ingest(
    name: &'static str,
    kinds: &'static [&'static str],
    rtmp: SocketAddr,
    rtmps: SocketAddr,
) -> (Member, SocketAddr) {
    let mut member = Member::new(name, "streamr-ingest", kinds);
    let grpc = free_address();
    (member.public, member.public_tls) = (Some(rtmp), Some(rtmps));
    member.set("INGEST__BIND", rtmp);
    member.set("INGEST__TLS_BIND", rtmps);
    member.set("INGEST__GRPC_BIND", grpc);
    member.set("INGEST__OPS_BIND", member.health);
    (member, grpc)
}

fn packager(
    name: &'static str,
    kinds: &'static [&'static str],
    roles: &str,
    bind: SocketAddr,
) -> (Member, SocketAddr) {
    let mut member = Member::new(name, "streamr-packager", kinds);
    let grpc = free_address();
    member.set("PACKAGER__ROLES", roles);
    member.set("PACKAGER__BIND", bind);
    member.set("PACKAGER__GRPC_BIND", grpc);
    member.set("PACKAGER__OPS_BIND", member.health);
    if roles.contains("edge") {
        member.public = Some(bind);
    }
    (member, grpc)
}

fn collector() -> (Member, SocketAddr) {
    let mut member = Member::new("stats-collector", "streamr-stats-collector", &[EVERY]);
    let health = member.health;
    member.set("STATS__OPS_BIND", health);
    (member, health)
}

/// The processes of a layout and where they are found. `pages`: at this address; all else at `host`.
pub(super) fn of(
    layout: Layout,
    pages: Option<SocketAddr>,
    host: IpAddr,
) -> (Listens, Vec<Member>) {
    let public = || SocketAddr::new(host, free_address().port());
    let pages = pages.unwrap_or_else(public);
    let (rtmp, rtmps, playback) = (public(), public(), public());
    let parts: Vec<(Member, SocketAddr)> = match layout {
        Layout::Cluster => cluster(),
        Layout::Embedded | Layout::Distributed => vec![
            coordinator("coordinator", &[EVERY], pages),
            ingest("ingest", &[EVERY], rtmp, rtmps),
            packager("packager", &[EVERY], "origin,edge", playback),
        ],
        Layout::TwoOrigins => vec![
            coordinator("coordinator", &[EVERY], pages),
            ingest("ingest", &[EVERY], rtmp, rtmps),
            packager("origin-1", &[EVERY, "packager"], "origin", free_address()),
            packager("origin-2", &[EVERY, "packager"], "origin", free_address()),
            packager("edge", &[EVERY, "packager"], "edge", playback),
        ],
    };
    let coordinators = parts
        .iter()
        .filter(|(member, _)| member.program.ends_with("coordinator"));
    let coordinators: Vec<_> = coordinators.map(|(_, grpc)| *grpc).collect();
    let internal = parts.iter().filter(|(member, _)| member.has_internal());
    let mut internal: Vec<SocketAddr> = internal.map(|(_, grpc)| *grpc).collect();
    let mut members: Vec<Member> = parts.into_iter().map(|(member, _)| member).collect();
    let coordinator_ops = members.first().map_or(pages, |member| member.health);
    if layout == Layout::Embedded {
        let mut whole = Member::new("streamr", "streamr", &[]);
        let settings = members.into_iter().flat_map(|member| member.settings);
        whole.settings = settings.collect();
        whole.health = pages;
        members = vec![whole];
    } else {
        internal.extend(members.iter().map(|member| member.health));
    }
    let listens = Listens {
        host,
        pages,
        rtmp,
        rtmps,
        playback,
        coordinator_ops,
        internal,
        coordinators,
    };
    (listens, members)
}

fn cluster() -> Vec<(Member, SocketAddr)> {
    let named = |(mut member, grpc): (Member, SocketAddr)| {
        if let Some(bind) = member.public {
            member.set("PACKAGER__PUBLIC_URL", format!("http://{bind}"));
        }
        (member, grpc)
    };
    vec![
        coordinator("coordinator-1", &[EVERY, "coordinator"], free_address()),
        coordinator("coordinator-2", &[EVERY, "coordinator"], free_address()),
        ingest(
            "ingest-1",
            &[EVERY, "ingest"],
            free_address(),
            free_address(),
        ),
        ingest(
            "ingest-2",
            &[EVERY, "ingest"],
            free_address(),
            free_address(),
        ),
        packager(
            "origin-1",
            &[EVERY, "packager", "origin"],
            "origin",
            free_address(),
        ),
        packager(
            "origin-2",
            &[EVERY, "packager", "origin"],
            "origin",
            free_address(),
        ),
        named(packager(
            "edge-1",
            &[EVERY, "packager", "edge"],
            "edge",
            free_address(),
        )),
        named(packager(
            "edge-2",
            &[EVERY, "packager", "edge"],
            "edge",
            free_address(),
        )),
        collector(),
    ]
}

/// What every process of a layout is told.
pub(super) fn common(layout: Layout, listens: &Listens) -> Vec<(&'static str, String)> {
    let addresses = listens.coordinators.iter();
    let addresses: Vec<String> = addresses.map(|grpc| format!("http://{grpc}")).collect();
    // Where the world finds the others: it is told by the coordinator.
    let mut told = vec![
        ("COORDINATOR__ADDRESS", addresses.join(",")),
        ("COORDINATOR__BIND", listens.pages.to_string()),
        // Any port will do: whoever needs it is told.
        ("COORDINATOR__STUN_BIND", format!("{}:0", listens.host)),
        ("INGEST__BIND", listens.rtmp.to_string()),
        ("INGEST__TLS_BIND", listens.rtmps.to_string()),
        ("PACKAGER__BIND", listens.playback.to_string()),
    ];
    if layout == Layout::Cluster {
        told.push(("PUBLIC_URL", format!("http://{}", listens.pages)));
        told.push((
            "PLAYBACK__PUBLIC_URL",
            format!("http://{}", listens.playback),
        ));
        let key = "seals-what-the-database-of-a-test-holds".to_owned();
        told.push(("SECRET_KEY", key));
    }
    told
}

/// The balancers before a cluster.
pub(super) async fn balancers(
    layout: Layout,
    listens: &Listens,
    members: &[Member],
) -> Result<Vec<Balancer>> {
    if layout != Layout::Cluster {
        return Ok(Vec::new());
    }
    let backends = |kind: &str, at: fn(&Member) -> Option<SocketAddr>| {
        let of_kind = members.iter().filter(|member| member.is(kind));
        of_kind
            .filter_map(|member| {
                Some(Backend {
                    address: at(member)?,
                    health: format!("http://{}", member.health),
                })
            })
            .collect::<Vec<_>>()
    };
    let public: fn(&Member) -> Option<SocketAddr> = |member| member.public;
    Ok(vec![
        Balancer::start(listens.pages, backends("coordinator", public)).await?,
        Balancer::start(listens.rtmp, backends("ingest", public)).await?,
        Balancer::start(
            listens.rtmps,
            backends("ingest", |member| member.public_tls),
        )
        .await?,
        Balancer::start(listens.playback, backends("edge", public)).await?,
    ])
}

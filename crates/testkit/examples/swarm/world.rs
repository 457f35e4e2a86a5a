//! The network of a bench: an internet that is a bridge, and homes behind routers of their own. In namespaces, so
//! that nothing of the machine changes and all is gone with the process; without root, everything is on loopback.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use testkit::Limits;

/// Of the range for benchmarks (RFC 2544): not private, so that everybody treats it as the internet.
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const PREFIX: u8 = 15;
const BRIDGE: &str = "internet";
/// Where a home's machine is in its own network.
const MACHINE: &str = "192.168.1.2";

/// How a home's router translates addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nat {
    /// There is none: the machine has an address of the internet.
    Public,
    /// One that lets everybody in at the translated port, as with UPnP.
    Open,
    /// The usual one: it keeps ports, and lets in who was written to from there.
    Keeping,
    /// A new port for each other end: no hole can be punched but to who is open.
    Random,
}

impl Nat {
    /// As reports call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Public => "no NAT",
            Self::Open => "open NAT",
            Self::Keeping => "NAT that keeps ports",
            Self::Random => "NAT with random ports",
        }
    }
}

/// What a home's line does to what passes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Access {
    /// Mbit/s from the home.
    pub(crate) up: Option<u32>,
    /// Mbit/s to the home.
    pub(crate) down: Option<u32>,
    /// Packets lost of a thousand, each way.
    pub(crate) loss: u32,
}

/// Where somebody lives.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    network: Option<String>,
}

impl Home {
    /// What starts a process there.
    pub(crate) fn limits(&self) -> Limits {
        Limits::network(self.network.as_deref())
    }

    /// The network's name, if it is not the server's.
    pub(crate) fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }
}

/// The network.
#[derive(Debug)]
pub(crate) struct World {
    namespaces: bool,
    homes: u8,
}

/// Runs a command to its good end.
fn run(line: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().context("an empty command")?;
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {line}"))?;
    ensure!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Has a namespace's firewall read rules.
fn rules(network: &str, rules: &str) -> Result<()> {
    let mut nft = Command::new("ip")
        .args(["netns", "exec", network, "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start nft; install nftables")?;
    let mut input = nft.stdin.take().context("nft's input")?;
    input.write_all(rules.as_bytes())?;
    drop(input);
    let output = nft.wait_with_output()?;
    ensure!(
        output.status.success(),
        "nft: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

impl World {
    /// The internet, in the namespace that this process is in, which nobody else is; or loopback.
    pub(crate) fn make(namespaces: bool) -> Result<Self> {
        if namespaces {
            // Above those that servers of ours take.
            fs::write("/proc/sys/net/ipv4/ip_local_port_range", "33000 65500")?;
            for line in [
                "ip link set lo up",
                "mkdir -p /run/netns",
                // Names that no other process sees, and that are gone with us.
                "mount -t tmpfs tmpfs /run/netns",
                // Its own address: else it would change with each home that is built.
                &format!("ip link add {BRIDGE} address 02:00:00:00:00:01 type bridge"),
                &format!("ip addr add {SERVER}/{PREFIX} dev {BRIDGE}"),
                &format!("ip link set {BRIDGE} up"),
            ] {
                run(line)?;
            }
        }
        Ok(Self {
            namespaces,
            homes: 0,
        })
    }

    /// Where the server is.
    pub(crate) fn server(&self) -> IpAddr {
        if self.namespaces {
            SERVER.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        }
    }

    /// Builds a home.
    pub(crate) fn home(&mut self, nat: Nat, access: Access) -> Result<Home> {
        if !self.namespaces {
            return Ok(Home { network: None });
        }
        self.homes = self.homes.checked_add(1).context("too many homes")?;
        let number = self.homes;
        let (home, router) = (format!("home{number}"), format!("router{number}"));
        // A network of its own: no two homes are taken for one household.
        let address = format!("198.18.{number}.2/{PREFIX}");
        run(&format!("ip netns add {home}"))?;
        run(&format!("ip -n {home} link set lo up"))?;
        if nat == Nat::Public {
            plug(number, &home, "eth0", &address)?;
            shape(&home, "eth0", access.up)?;
        } else {
            run(&format!("ip netns add {router}"))?;
            plug(number, &router, "wan", &address)?;
            for line in [
                format!("ip -n {router} link add lan type veth peer name eth0 netns {home}"),
                format!("ip -n {router} addr add 192.168.1.1/24 dev lan"),
                format!("ip -n {router} link set lan up"),
                format!("ip -n {home} addr add {MACHINE}/24 dev eth0"),
                format!("ip -n {home} link set eth0 up"),
                format!("ip -n {home} route add default via 192.168.1.1"),
                format!("ip netns exec {router} sysctl -q -w net.ipv4.ip_forward=1"),
            ] {
                run(&line)?;
            }
            rules(&router, &translation(nat, access.loss))?;
            shape(&router, "wan", access.up)?;
            shape(&router, "lan", access.down)?;
            if access.loss > 0 {
                // Packets are lost one by one, not by the runs that senders hand over.
                run(&format!("ip link set to{number} gso_max_segs 1"))?;
                run(&format!("ip -n {home} link set eth0 gso_max_segs 1"))?;
            }
        }
        Ok(Home {
            network: Some(home),
        })
    }
}

/// Connects a namespace to the internet.
fn plug(number: u8, network: &str, device: &str, address: &str) -> Result<()> {
    for line in [
        format!("ip link add to{number} type veth peer name {device} netns {network}"),
        format!("ip link set to{number} master {BRIDGE} up"),
        format!("ip -n {network} addr add {address} dev {device}"),
        format!("ip -n {network} link set {device} up"),
    ] {
        run(&line)?;
    }
    Ok(())
}

/// Limits what leaves by a device.
fn shape(network: &str, device: &str, mbit: Option<u32>) -> Result<()> {
    let Some(mbit) = mbit else { return Ok(()) };
    for line in [
        format!("tc -n {network} qdisc add dev {device} root handle 1: htb default 1 r2q 1000"),
        format!(
            "tc -n {network} class add dev {device} parent 1: classid 1:1 htb rate {mbit}mbit burst 128k"
        ),
        // A fifth of a second at 20 Mbit/s: what cheap routers have.
        format!("tc -n {network} qdisc add dev {device} parent 1:1 pfifo limit 350"),
    ] {
        run(&line)?;
    }
    Ok(())
}

/// A router's rules. What nobody inside asked for is dropped before it is tracked: else it would take the port
/// that a hole is about to be punched from.
fn translation(nat: Nat, loss: u32) -> String {
    let (masquerade, forward) = match nat {
        Nat::Random => ("masquerade fully-random", ""),
        Nat::Open => (
            "masquerade",
            "iifname \"wan\" meta l4proto udp dnat to 192.168.1.2",
        ),
        Nat::Keeping | Nat::Public => ("masquerade", ""),
    };
    let lost = match loss {
        0 => String::new(),
        loss => format!("numgen random mod 1000 < {loss} drop"),
    };
    format!(
        "table ip home {{
            chain out {{ type nat hook postrouting priority srcnat; oifname \"wan\" {masquerade}; }}
            chain in {{ type nat hook prerouting priority dstnat; {forward}; }}
            chain through {{
                type filter hook forward priority filter;
                {lost}
                iifname \"wan\" ct state new ct status dnat accept
                iifname \"wan\" ct state new drop
            }}
            chain own {{ type filter hook input priority filter; iifname \"wan\" ct state new drop; }}
        }}"
    )
}

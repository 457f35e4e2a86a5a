//! UDP sockets: many datagrams in one call, both ways, each from and to the right one of our addresses.

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::{io::Interest, net::UdpSocket};

/// What the kernel may hold for us; it may allow less.
const KERNEL_BUFFER: usize = 2 * 1024 * 1024;
/// Buffers of one receive, each for a run of datagrams of one sender.
const BUFFERS: usize = 8;
const BUFFER: usize = 64 * 1024;
/// A run of datagrams handed to the kernel at once.
const MAX_RUN: usize = 60 * 1024;
/// Datagrams that wait for the kernel. More are dropped, as a router would: the transport sends them again.
const MAX_WAITING: usize = 4096;

/// One bound socket.
#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
}

impl Socket {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Less than asked for is good enough.
        let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
        let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let io = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new((&io).into())?;
        let address = io.local_addr()?;
        Ok(Self { io, state, address })
    }

    /// All interfaces means IPv6 too, on the same port where it is free.
    pub(crate) fn bind_all(listen: SocketAddr) -> io::Result<Vec<Self>> {
        let first = Self::bind(listen)?;
        let mut sockets = vec![first];
        if listen.is_ipv4() && listen.ip().is_unspecified() {
            let port = sockets.first().map_or(0, |first| first.address.port());
            let all = |port| Self::bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
            match all(port).or_else(|_| all(0)) {
                Ok(second) => sockets.push(second),
                Err(error) => tracing::info!(%error, "no IPv6"),
            }
        }
        Ok(sockets)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Receives what is there; nothing when that is nothing.
    pub(crate) fn receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        inbox.filled = 0;
        let Inbox {
            buffers,
            metas,
            filled,
        } = inbox;
        let mut slices: Vec<IoSliceMut<'_>> = buffers
            .iter_mut()
            .map(|buffer| IoSliceMut::new(buffer))
            .collect();
        *filled = self.io.try_io(Interest::READABLE, || {
            self.state.recv((&self.io).into(), &mut slices, metas)
        })?;
        Ok(())
    }

    fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || {
            self.state.try_send((&self.io).into(), transmit)
        })
    }
}

/// Room for what comes in.
pub(crate) struct Inbox {
    buffers: Vec<Box<[u8]>>,
    metas: [RecvMeta; BUFFERS],
    filled: usize,
}

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram<'a> {
    pub(crate) from: SocketAddr,
    /// Which of our addresses it was sent to, where the system says so.
    pub(crate) to: Option<IpAddr>,
    pub(crate) contents: &'a [u8],
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            buffers: (0..BUFFERS).map(|_| vec![0; BUFFER].into()).collect(),
            metas: [RecvMeta::default(); BUFFERS],
            filled: 0,
        }
    }

    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let filled = self.metas.iter().zip(&self.buffers).take(self.filled);
        filled.flat_map(|(meta, buffer)| {
            let run = buffer.get(..meta.len).unwrap_or_default();
            run.chunks(meta.stride.max(1)).map(|contents| Datagram {
                from: meta.addr,
                to: meta.dst_ip.map(|ip| ip.to_canonical()),
                contents,
            })
        })
    }
}

/// A datagram to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// From which of our addresses; unspecified: any.
    pub(crate) source: IpAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) contents: Vec<u8>,
}

/// What is to be sent, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
    run: Vec<u8>,
}

impl Outbox {
    pub(crate) fn push(&mut self, datagram: Outgoing) {
        if self.queue.len() >= MAX_WAITING {
            metrics::counter!("streamr_peer_datagrams_dropped_total").increment(1);
            return;
        }
        self.queue.push_back(datagram);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends until all is sent or the system takes no more. Datagrams of one length to one place go as a run.
    pub(crate) fn flush(&mut self, sockets: &[Socket]) {
        while let Some(first) = self.queue.front() {
            let (source, destination) = (first.source, first.destination);
            let of_family = |socket: &&Socket| socket.address.is_ipv4() == destination.is_ipv4();
            let Some(socket) = sockets.iter().find(of_family) else {
                self.queue.pop_front();
                continue;
            };
            let size = first.contents.len();
            let count = self.run(size, socket.state.max_gso_segments());
            let transmit = Transmit {
                destination,
                ecn: None,
                contents: &self.run,
                segment_size: (count > 1).then_some(size),
                src_ip: Some(source).filter(|ip| !ip.is_unspecified()),
            };
            match socket.send(&transmit) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(%error, %destination, "datagrams not sent");
                    metrics::counter!("streamr_peer_datagrams_dropped_total")
                        .increment(count as u64);
                }
            }
            self.queue.drain(..count);
        }
    }

    /// Puts together the datagrams at the front that can go as one: equally long, but for the last.
    fn run(&mut self, size: usize, most: usize) -> usize {
        self.run.clear();
        let mut count = 0;
        let mut ends = None;
        for datagram in self.queue.iter().take(most.max(1)) {
            let to = (datagram.source, datagram.destination);
            let length = datagram.contents.len();
            let fits = *ends.get_or_insert(to) == to
                && length <= size
                && self.run.len() + length <= MAX_RUN.max(size);
            if !fits {
                break;
            }
            self.run.extend_from_slice(&datagram.contents);
            count += 1;
            if length < size {
                break;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_one_length_to_one_place_are_a_run() {
        let here = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let mut outbox = Outbox::default();
        for (port, size) in [(1, 9), (1, 9), (1, 4), (1, 4), (2, 4), (2, 9)] {
            outbox.push(Outgoing {
                source: here,
                destination: SocketAddr::new(here, port),
                contents: vec![0; size],
            });
        }
        let mut runs = Vec::new();
        while let Some(first) = outbox.queue.front() {
            let count = outbox.run(first.contents.len(), 64);
            runs.push((count, outbox.run.len()));
            outbox.queue.drain(..count);
        }
        assert_eq!(runs, [(3, 22), (1, 4), (1, 4), (1, 9)]);
    }
}

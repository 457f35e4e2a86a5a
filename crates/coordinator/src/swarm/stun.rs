//! STUN binding answers on UDP (RFC 8489): tells whoever asks under which address it is seen. Stateless, and no
//! larger than what was asked by more than an address, so that it is no use for attacks on others.

use std::{net::SocketAddr, time::Duration};

use runtime::Shutdown;
use tokio::net::UdpSocket;

use crate::Error;

/// Requests are 20 bytes, with attributes some more; larger ones are nobody's of ours.
const MAX_REQUEST: usize = 548;
/// The pause after an error that is not the sender's.
const PAUSE: Duration = Duration::from_millis(100);
/// Answers a second, of all together: a flood beyond that goes unanswered.
const MAX_PER_SECOND: u32 = 20_000;

/// A bound responder.
pub(crate) struct Stun {
    socket: UdpSocket,
}

/// Takes the port.
pub(crate) fn bind(address: SocketAddr) -> Result<Stun, Error> {
    let bound = std::net::UdpSocket::bind(address).and_then(|socket| {
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    });
    bound
        .map(|socket| Stun { socket })
        .map_err(|source| Error::Stun { address, source })
}

impl Stun {
    /// Where it listens.
    pub(crate) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until `shutdown`.
    pub(crate) async fn serve(self, shutdown: Shutdown) {
        let mut buffer = [0; MAX_REQUEST + 1];
        let (mut second, mut answered) = (tokio::time::Instant::now(), 0_u32);
        loop {
            let received = tokio::select! {
                received = self.socket.recv_from(&mut buffer) => received,
                () = shutdown.cancelled() => return,
            };
            let Ok((length, from)) = received else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            if second.elapsed() > Duration::from_secs(1) {
                (second, answered) = (tokio::time::Instant::now(), 0);
            }
            answered += 1;
            if answered > MAX_PER_SECOND || length > MAX_REQUEST {
                metrics::counter!("streamr_stun_dropped_total").increment(1);
                continue;
            }
            let request = buffer.get(..length).unwrap_or_default();
            if let Ok(transaction) = p2p::stun::parse_request(request) {
                let response = p2p::stun::response(transaction, from);
                // Whoever does not hear it asks again.
                let _ = self.socket.try_send_to(&response, from);
                metrics::counter!("streamr_stun_answers_total").increment(1);
            } else {
                metrics::counter!("streamr_stun_malformed_total").increment(1);
            }
        }
    }
}

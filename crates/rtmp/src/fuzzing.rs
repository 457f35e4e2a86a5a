//! Bodies of the fuzz targets, so that tests replay their corpora with the same code.

use crate::{
    Error, Limits, amf0, chunk,
    session::{Event, Server, ServerConfig},
};

/// `amf0`: the values of one message. What is read must survive writing.
pub fn amf0(input: &[u8]) {
    if let Ok(values) = amf0::read_all(input) {
        let mut out = bytes::BytesMut::new();
        amf0::write_all(&mut out, &values);
        let _ = amf0::read_all(&out);
    }
}

/// `handshake_and_chunks`: the input as a connection's first bytes, as what follows a handshake, and as bare
/// chunks. The server accepts whatever is asked.
pub fn handshake_and_chunks(input: &[u8]) {
    let mut server = Server::new(Limits::default(), ServerConfig::default());
    let _ = drive(&mut server, input);

    let mut server = Server::new(Limits::default(), ServerConfig::default());
    let mut hello = vec![0; 1 + 1536 + 1536];
    if let Some(version) = hello.first_mut() {
        *version = 3;
    }
    if drive(&mut server, &hello).is_ok() {
        let _ = drive(&mut server, input);
    }

    let mut reader = chunk::Reader::new(Limits::default());
    let mut rest = input;
    while let Ok(Some(_)) = reader.read(&mut rest) {}
}

fn drive(server: &mut Server, input: &[u8]) -> Result<(), Error> {
    for piece in input.chunks(97) {
        server.receive(piece)?;
        while let Some(event) = server.poll_event() {
            match event {
                Event::PublishRequested { request, .. } => {
                    server.accept_publish(request)?;
                }
                Event::PlayRequested { request, .. } => {
                    server.accept_play(request);
                }
                _ => {}
            }
        }
        server.take_output();
    }
    Ok(())
}

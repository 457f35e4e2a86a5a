//! Records one publisher to an FLV file:
//! `cargo run -p rtmp --example record 127.0.0.1:19350 out.flv`, then
//! `ffmpeg -re -i in.mp4 -c copy -f flv rtmp://127.0.0.1:19350/live/key`.

use std::{
    env,
    error::Error,
    fs::File,
    io::{Read, Write},
    net::TcpListener,
};

use bytes::BytesMut;
use rtmp::{
    Limits,
    session::{Event, Server, ServerConfig},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: record ADDRESS FILE".into());
    };
    let (mut socket, _) = TcpListener::bind(address)?.accept()?;
    let mut file = File::create(path)?;
    file.write_all(&flv::file_header(true, true))?;

    let mut server = Server::new(Limits::default(), ServerConfig::default());
    let mut muxer = flv::Muxer::new();
    let mut input = vec![0; 64 * 1024];
    loop {
        let size = socket.read(&mut input)?;
        if size == 0 {
            return Ok(());
        }
        let received = server.receive(input.get(..size).unwrap_or_default());
        let mut tags = BytesMut::new();
        while let Some(event) = server.poll_event() {
            match event {
                // A real server compares the key here.
                Event::PublishRequested { request, .. } => {
                    server.accept_publish(request)?;
                }
                Event::Packet(packet) => muxer.write_tag(&mut tags, &packet)?,
                _ => {}
            }
        }
        file.write_all(&tags)?;
        socket.write_all(&server.take_output())?;
        received?;
    }
}

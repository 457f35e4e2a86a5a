//! Who holds a TCP port, for the error that says it is taken. Best effort, Linux only.

use std::fs;

/// `name (pid)` of the process listening on `port`, if it can be seen.
pub(crate) fn describe(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| listening_inode(table, port))?;
    let target = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = descriptors.flatten().any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == target.as_str())
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The socket inode of the listener on `port` in a `/proc/net/tcp*` table (proc(5)).
fn listening_inode(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let text = fs::read_to_string(table).ok()?;
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let matches =
            state == LISTEN && local.rsplit(':').next() == Some(format!("{port:04X}").as_str());
        // After the state: queues, timer, retransmits, uid, timeout, inode.
        matches.then(|| fields.nth(5).map(str::to_owned)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let owner = describe(listener.local_addr().unwrap().port()).unwrap();
        assert!(
            owner.contains(&format!("(pid {})", std::process::id())),
            "{owner}"
        );
    }
}

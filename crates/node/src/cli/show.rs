//! Numbers in words, for the terminal.

use std::fmt::Write as _;

use crate::{
    doctor::{Finding, Health},
    page::Status,
};

/// A status, as lines.
pub(super) fn status(status: &Status) -> String {
    let mut text = String::new();
    let limit = status
        .limit_bps
        .map_or_else(String::new, |limit| format!(" of {}", rate(limit)));
    // Writing to a string doesn't fail.
    let _ = writeln!(text, "Help      {}", status.standing);
    let _ = writeln!(text, "Viewers   {}", status.viewers);
    let _ = writeln!(text, "Upload    {}{limit}", rate(status.bitrate_bps));
    let _ = writeln!(
        text,
        "Carried   {} today, {} this month",
        size(status.today_bytes),
        size(status.month_bytes)
    );
    let address = status
        .reach
        .address
        .as_deref()
        .map_or_else(String::new, |a| format!(" ({a})"));
    let _ = writeln!(text, "Reached   {}{address}", status.reach.words);
    for server in &status.servers {
        let how = match (&server.trouble, server.connected) {
            (Some(trouble), _) => trouble.as_str(),
            (None, true) => "connected",
            (None, false) => "connecting",
        };
        let _ = writeln!(text, "{}  as {}: {how}", server.origin, server.name);
        for stream in &server.streams {
            let now = match (&stream.trouble, stream.active) {
                (Some(trouble), _) => trouble.clone(),
                (None, true) => format!("{} viewers, {}", stream.viewers, rate(stream.bitrate_bps)),
                (None, false) => "no viewer needs you now".to_owned(),
            };
            let _ = writeln!(text, "  \"{}\" by {}: {now}", stream.title, stream.streamer);
        }
    }
    for message in status.messages.iter().rev().take(3).rev() {
        let _ = writeln!(text, "{}: {}", message.from, message.text);
    }
    text.trim_end().to_owned()
}

/// A finding, as a line.
pub(super) fn finding(finding: &Finding) -> String {
    let mark = match finding.health {
        Health::Good => "good",
        Health::Fair => "note",
        Health::Bad => "BAD ",
    };
    format!("{mark}  {}: {}", finding.what, finding.said)
}

fn rate(bps: u64) -> String {
    format!("{:.1} Mbit/s", bps as f64 / 1e6)
}

fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 1e9 {
        format!("{:.1} MB", bytes / 1e6)
    } else {
        format!("{:.2} GB", bytes / 1e9)
    }
}

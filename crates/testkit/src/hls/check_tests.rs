//! The checker finds what is wrong, and nothing in what is right.

use super::*;

const GOOD: &str = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=3.00000
#EXT-X-PART-INF:PART-TARGET=1.00000
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-MAP:URI=\"../../3/init0.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/7.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/7.1.m4s\"
#EXTINF:2.00000,
../../3/7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/8.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/8.1.m4s\"
#EXTINF:2.00000,
../../3/8.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:04.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/9.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/9.1.m4s\"
#EXTINF:2.00000,
../../3/9.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:06.000Z
#EXT-X-PART:DURATION=1.00000,URI=\"../../3/10.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../../3/10.1.m4s\"
";

fn read(text: &str) -> MediaPlaylist {
    MediaPlaylist::parse(text).unwrap()
}

fn findings(text: &str) -> Vec<String> {
    let mut findings = Findings::default();
    check_snapshot(&read(text), Flavour::LowLatency, &mut findings);
    findings.0
}

#[test]
fn a_good_playlist_is_left_in_peace() {
    assert_eq!(findings(GOOD), Vec::<String>::new());
    let playlist = read(GOOD);
    assert_eq!(playlist.last_msn(), Some(9));
    assert_eq!(playlist.last_part(), Some((10, 0)));
    assert_eq!(playlist.segments[3].epoch(), Some(3));
}

#[test]
fn each_fault_is_found_with_its_section() {
    for (good, bad, section) in [
        (
            "#EXTINF:2.00000,\n../../3/8",
            "#EXTINF:2.60000,\n../../3/8",
            "§4.4.3.1",
        ),
        ("TARGETDURATION:2", "TARGETDURATION:3", "§4.4.3.8"),
        ("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.0", "§4.4.3.8"),
        ("HOLD-BACK=6.0", "HOLD-BACK=5.0", "§4.4.3.8"),
        (
            "PART-HOLD-BACK=3.00000",
            "PART-HOLD-BACK=1.90000",
            "§4.4.3.8",
        ),
        ("CAN-BLOCK-RELOAD=YES,", "", "§B.1"),
        (
            "DURATION=1.00000,URI=\"../../3/8.0",
            "DURATION=1.10000,URI=\"../../3/8.0",
            "§4.4.4.9",
        ),
        (
            "DURATION=1.00000,URI=\"../../3/8.0",
            "DURATION=0.80000,URI=\"../../3/8.0",
            "§4.4.3.7",
        ),
        ("#EXT-X-PART-INF:PART-TARGET=1.00000\n", "", "§4.4.3.7"),
        ("#EXT-X-MAP:URI=\"../../3/init0.mp4\"\n", "", "§4.4.4.5"),
        ("00:00:04.000Z", "00:00:05.000Z", "§4.4.4.6"),
        (
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../../3/10.1.m4s\"\n",
            "",
            "§B.1",
        ),
        ("3/10.1.m4s", "3/10.0.m4s", "§4.4.5.3"),
        ("VERSION:9", "VERSION:6", "§8"),
    ] {
        assert!(GOOD.contains(good), "{good}");
        let found = findings(&GOOD.replace(good, bad));
        assert!(
            found.iter().any(|finding| finding.starts_with(section)),
            "{bad:?} should offend {section}, found {found:?}"
        );
    }
}

#[test]
fn what_changes_between_reloads_is_found() {
    let compared = |before: &str, now: &str| {
        let (mut succession, mut findings) = (Succession::default(), Findings::default());
        succession.push(read(before), &mut findings);
        succession.push(read(now), &mut findings);
        findings.0
    };
    assert_eq!(compared(GOOD, GOOD), Vec::<String>::new());
    for (good, bad, section) in [
        ("SEQUENCE:7", "SEQUENCE:6", "§6.2.2"),
        ("SEQUENCE:1", "SEQUENCE:2", "§6.2.2"),
        ("TARGETDURATION:2", "TARGETDURATION:3", "§6.2.1"),
        ("3/8.m4s", "4/8.m4s", "§6.2.1"),
        (
            "PART:DURATION=1.00000,URI=\"../../3/8.1",
            "PART:DURATION=0.90000,URI=\"../../3/8.1",
            "§6.2.1",
        ),
    ] {
        let found = compared(GOOD, &GOOD.replace(good, bad));
        assert!(
            found.iter().any(|finding| finding.starts_with(section)),
            "{bad:?} should offend {section}, found {found:?}"
        );
    }
}

#[test]
fn what_is_unknown_or_misplaced_is_no_playlist() {
    for bad in [
        GOOD.replace("#EXT-X-PART-INF", "#EXT-X-PART-INFO"),
        GOOD.replace("#EXTINF:2.00000,\n../../3/8.m4s", "../../3/8.m4s"),
        GOOD.replace("#EXTM3U\n", ""),
        format!("{GOOD}#EXT-X-MEDIA-SEQUENCE:7\n"),
        format!("{GOOD}#EXT-X-TARGETDURATION:2\n"),
    ] {
        assert!(MediaPlaylist::parse(&bad).is_err(), "{bad}");
    }
}

// What the imitated server knows: enough to fill every page.

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export const ago = (ms) => new Date(Date.now() - ms).toISOString();
const id = (n) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

export const owner = {
  id: id(1), email: "ana@example.org", display_name: "Ana", role: "streamer", totp: false, created_at: ago(40 * DAY), banned_at: null,
};
export const admin = { ...owner, id: id(2), email: "root@example.org", display_name: "Rosa", role: "admin", totp: true };

export const instance = { name: "Streamr", version: "0.3.0", setup_required: false, registration: "open", mail: true };

export const health = {
  bitrate_bps: 4_973_120, frame_rate: 30, declared_frame_rate: 30, gop_ms: 2000, drift_ms: 4, b_frames: true,
  codecs: "avc1.640028,mp4a.40.2", width: 1920, height: 1080, level: "good", sentence: "All is well.", remedy: null,
};
export const warning = {
  ...health, gop_ms: 8000, level: "warning", sentence: "Keyframes come only every 8 s, so viewers wait long to join.",
  remedy: "In OBS, set the keyframe interval to 2 s.",
};

export function stream(site, playback, more = {}) {
  const slug = more.slug ?? "friday-night";
  return {
    id: id(100), slug, title: "Friday night games", description: "Every Friday at nine.\nBring your own snacks.",
    visibility: "public", state: "live", testing: false, delivery: "low_latency", friends_only: true, reconnecting: false, created_at: ago(20 * DAY),
    started_at: ago(83 * MINUTE), ended_at: null, viewers: 128, peak_viewers: 214,
    playback: {
      hls: `${playback}/live/${slug}/index.m3u8`, friends: `${playback}/live/${slug}/friends.m3u8`,
      flv: `${playback}/live/${slug}.flv`, rtmp: `rtmp://localhost:1935/live/${slug}`,
    },
    thumbnail: `${playback}/live/${slug}/thumbnail.webp`, owner: { id: owner.id, name: owner.display_name }, health, mine: false,
    // Told to its owner only.
    ...(more.mine ? { ingest: { server: "rtmp://stream.example.org:1935/live", secure: "rtmps://stream.example.org:1936/live" } } : {}),
    ...more,
  };
}

export const quiet = { state: "offline", started_at: ago(5 * DAY), ended_at: ago(5 * DAY - 90 * MINUTE), viewers: 0, health: null };
export const fresh = { state: "ready", started_at: null, ended_at: null, viewers: 0, peak_viewers: 0, health: null };

// Ten minutes: a steady stream with one dip.
export function samples(until = Date.now()) {
  return Array.from({ length: 600 }, (_, i) => {
    const wave = Math.sin(i / 9) + Math.sin(i / 3.7) / 2;
    const dip = i > 380 && i < 410 ? 0.45 : 1;
    return {
      at: new Date(until - (600 - i) * 1000).toISOString(), bitrate_bps: Math.round((4_900_000 + wave * 160_000) * dip),
      frame_rate: dip < 1 ? 24 + wave : 30, gop_ms: 2000 + (i % 7 === 0 ? 33 : 0), drift_ms: Math.round(wave * 6), viewers: 100 + (i >> 4),
    };
  });
}

export const history = {
  items: [
    { id: id(503), started_at: ago(DAY), ended_at: ago(DAY - 95 * MINUTE), peak_viewers: 128, sessions: 412 },
    { id: id(502), started_at: ago(3 * DAY), ended_at: ago(3 * DAY - 61 * MINUTE), peak_viewers: 64, sessions: 1207 },
    { id: id(501), started_at: ago(9 * DAY), ended_at: ago(9 * DAY - 12 * MINUTE), peak_viewers: 0, sessions: 0 },
  ],
  next: null,
  totals: { broadcasts: 3, live_seconds: 168 * 60, sessions: 1619 },
};
export const links = [
  { id: id(201), label: "Family", created_at: ago(9 * DAY), last_used_at: ago(50 * MINUTE) },
  { id: id(202), label: "The Tuesday football group and everyone’s partners", created_at: ago(2 * DAY), last_used_at: null },
];
export const sessions = [
  { id: id(301), via: "owner", link: null, issued_at: ago(4 * MINUTE) },
  { id: id(302), via: "link", link: { id: links[0].id, label: "Family" }, issued_at: ago(51 * MINUTE) },
];
export const logins = [
  {
    id: id(401), current: true, created_at: ago(2 * DAY), last_used_at: ago(MINUTE), network: "192.0.2.0/24",
    user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
  },
  {
    id: id(402), current: false, created_at: ago(30 * DAY), last_used_at: ago(3 * DAY), network: "2001:db8::/48",
    user_agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
  },
];
export const audit = [
  ["login.succeeded", 2 * MINUTE, null, null], ["link.created", 50 * MINUTE, `stream/${id(100)}`, null],
  ["visibility.changed", DAY, `stream/${id(100)}`, { visibility: "private" }], ["key.changed", 2 * DAY, `stream/${id(100)}`, null],
  ["login.failed", 3 * DAY, `user/${id(1)}`, null], ["stream.created", 20 * DAY, `stream/${id(100)}`, null],
].map(([action, before, subject, detail], i) => ({
  id: id(500 + i), at: ago(before), action, actor: { id: owner.id, name: owner.display_name }, subject, network: "192.0.2.0/24", detail,
}));
export const users = [
  { ...admin, streams: 1 },
  { ...owner, streams: 3 },
  { ...owner, id: id(3), email: "a.very.long.address.that.wraps@mail.department.example.org", display_name: "", streams: 0, role: "friend" },
  { ...owner, id: id(4), email: "spam@example.net", display_name: "Cheap Watches", streams: 1, banned_at: ago(DAY) },
];
export const invitations = [
  { id: id(601), email: "bo@example.org", role: "streamer", created_at: ago(DAY), expires_at: ago(-6 * DAY), used_at: null },
  { id: id(602), email: null, role: "friend", created_at: ago(9 * DAY), expires_at: ago(2 * DAY), used_at: ago(8 * DAY) },
];
export const services = [
  { instance: "streamr-7f9c", kinds: ["coordinator", "ingest", "origin"], address: "10.0.0.4:8000", viewers: 0 },
  { instance: "edge-2b41", kinds: ["edge"], address: "10.0.0.9:8080", viewers: 128 },
];
export const flags = [
  { name: "registration.captcha", description: "Ask new accounts a question", enabled: false, default: false, updated_at: null, updated_by: null },
  { name: "playback.low_latency", description: "Low-latency playlists", enabled: true, default: true, updated_at: ago(DAY), updated_by: { id: admin.id, name: admin.display_name } },
];
export const recovery = Array.from({ length: 10 }, (_, i) => `k7q${i}-m2x${9 - i}-pw4t`);

// Friends who carry a stream.
const node = (n) => `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
export const friends = [
  {
    node: node(1), name: "Ana", joined_at: ago(21 * DAY), status: "online", viewers: 3, bitrate_bps: 14_900_000, measured_upload_bps: 41_000_000,
    limit_bps: 20_000_000, today_bytes: 18_400_000_000, month_bytes: 212_000_000_000, version: "0.3.0", supporter_url: `/supporter/${node(1)}#key`, trouble: null,
  },
  {
    node: node(2), name: "Bo with a very long name that has no end", joined_at: ago(3 * DAY), status: "paused", viewers: 0, bitrate_bps: 0, measured_upload_bps: 12_000_000,
    limit_bps: null, today_bytes: 640_000, month_bytes: 9_100_000_000, version: "0.3.0", supporter_url: `/supporter/${node(2)}#key`, trouble: "The network gets no UDP through: only viewers in the same house can be served.",
  },
  {
    node: node(3), name: "Cy", joined_at: ago(DAY), status: "quarantined", viewers: 0, bitrate_bps: 0, measured_upload_bps: 8_000_000,
    limit_bps: null, today_bytes: 0, month_bytes: 0, version: "0.2.9", supporter_url: `/supporter/${node(3)}#key`, trouble: "Its bytes were wrong in a check. Ask your friend to run streamr-node doctor.",
  },
];
export const invites = [
  { id: id(701), name: "Dee", created_at: ago(2 * 60 * MINUTE), expires_at: ago(-6 * DAY), state: "open" },
  { id: id(702), name: "Ana", created_at: ago(21 * DAY), expires_at: ago(14 * DAY), state: "used" },
  { id: id(703), name: "", created_at: ago(30 * DAY), expires_at: ago(23 * DAY), state: "expired" },
];
export const look = {
  stream: { slug: "friday-night", title: "Friday night games" }, streamer: "Ana", name: "Dee", expires_at: ago(-6 * DAY), 
  downloads: [
    { file: "streamr-node-linux-x86_64", system: "linux-x86_64", bytes: 9_800_000, url: "/downloads/streamr-node-linux-x86_64" },
    { file: "streamr-node-macos-aarch64", system: "macos-aarch64", bytes: 9_100_000, url: "/downloads/streamr-node-macos-aarch64" },
    { file: "streamr-node-windows-x86_64.exe", system: "windows-x86_64", bytes: 10_400_000, url: "/downloads/streamr-node-windows-x86_64.exe" },
  ],
};
export function delivery(carried = true) {
  const now = Date.now();
  const samples = Array.from({ length: 10 }, (_, i) => {
    const wave = Math.sin(i / 5) + Math.sin(i / 2.3) / 2;
    const share = carried ? Math.min(1, i / 4) : 0;
    const all = 60_000_000 + wave * 4_000_000;
    return { at: new Date(now - (10 - i) * 60_000).toISOString(), friends_bps: Math.round(all * 0.7 * share), peers_bps: Math.round(all * 0.15 * share), edge_bps: Math.round(all * (1 - 0.85 * share)) };
  });
  return {
    as_of: ago(0), node_bytes: 18_500_000_000, since: ago(83 * MINUTE), bytes: { friends: carried ? 18_400_000_000 : 0, peers: carried ? 4_100_000_000 : 0, edge: 6_900_000_000 },
    rates_bps: { friends: 42_000_000, peers: 9_000_000, edge: 9_000_000 }, viewers: { friends: carried ? 11 : 0, total: 128 },
    saved: { share: carried ? 0.765 : 0, money: { currency: "USD", micros: carried ? 1_125_000 : 0 } },
    nodes: carried ? friends.slice(0, 2).map(({ node, name, bitrate_bps }, i) => ({ node, name, viewers: 3 - i, bytes: 18_000_000_000, bitrate_bps })) : [], samples,
  };
}
export function supporter() {
  const day = (i) => new Date(Date.now() - i * DAY).toISOString().slice(0, 10);
  return {
    name: "Ana", status: "online", as_of: ago(0),
    streams: [
      { slug: "friday-night", title: "Friday night games", streamer: "Bo", today_bytes: 18_400_000_000, month_bytes: 212_000_000_000, total_bytes: 391_000_000_000 },
      { slug: "chess", title: "Chess with a very long title that takes more than one line on a phone", streamer: "Cy", today_bytes: 0, month_bytes: 4_000_000_000, total_bytes: 4_000_000_000 },
    ],
    days: Array.from({ length: 30 }, (_, i) => ({ day: day(i), bytes: i % 7 === 3 ? 0 : Math.round(7e9 * (1 + Math.sin(i))), sessions: 1 + (i % 6) })),
  };
}

// Friends mode without a coordinator: watch pages, a friend, one whose bytes are wrong, and one that never
// answers; the friends are pages too. Fails where wrong bytes were taken, where the wrong one was blamed,
// where a picture stood still, or where bytes don't add up. Meanwhile the coordinator goes and comes back.
// Every other page has no WebCrypto.
//
//   node swarm.mjs [<seconds> [<pages>]]
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";
import { LiveStream } from "./mock/live.mjs";
import { start } from "./mock/server.mjs";
import { serveStock, stockAddress } from "./stock.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const [seconds = 75, pages = 2] = process.argv.slice(2).map(Number);
const NODES = { ana: "0fffffff-0000-0000-0000-000000000001", eve: "0fffffff-0000-0000-0000-000000000002", mal: "0fffffff-0000-0000-0000-000000000003" };
const FAULTS = { eve: "wrong", mal: "silent" };
const REASONS = { eve: "digest", mal: "slow" };

const { world, stop } = await start(join(HERE, "../../crates/web/dist"));
world.live = new LiveStream(process.env.STREAMR_TEST_FFMPEG_CURRENT ?? "ffmpeg");
const receipts = new Map();
const reports = [];
const streams = new Set();
const friends = new Map();
let sessions = 0;

function session(host = new URL(world.site).host) {
  const id = `00000000-0000-4000-8000-${String((sessions += 1)).padStart(12, "0")}`;
  return {
    session: id, token: id, expires_in: 300, mode: "friends", swarm_id: "swarm", sources: [],
    playlist: `${world.playback}/live/friday-night/friends.m3u8?token=${id}`, friends_playlist: `${world.playback}/live/friday-night/friends.m3u8?token=${id}`,
    trackers: [`ws://${host}/t/${id}`], stun: [], origin_keys: [], friends_only: false,
  };
}

const prefixOf = (name) => `-FN0001-${name}`;
const peers = () => ({ nodes: [...friends].map(([peer_id, name]) => ({ peer_id, node: NODES[name], name })), dropped: [] });
world.usual = {
  stream: { delivery: "friends" },
  answers: {
    "POST /streams/*/sessions": ({ headers }) => ({ status: 201, body: session(headers.host) }),
    "GET /sessions/*/events": () => (response) => {
      streams.add(response);
      response.write(`event: peers\ndata: ${JSON.stringify(peers())}\n\n`);
    },
    "POST /sessions/*/receipts": ({ body }) => {
      receipts.set(body.token, [...(receipts.get(body.token) ?? []), ...body.receipts]);
      return { status: 200, body: { kept: body.receipts.at(-1).counter } };
    },
    "POST /sessions/*/reports": ({ body }) => {
      reports.push(body);
      return { status: 202, body: {} };
    },
  },
};

world.onpeer = (peer) => {
  const name = Object.keys(NODES).find((known) => peer.startsWith(prefixOf(known)));
  if (!name || friends.has(peer)) return;
  friends.set(peer, name);
  for (const response of streams) response.write(`event: peers\ndata: ${JSON.stringify(peers())}\n\n`);
};

// Not this computer's name: pages there have no secure context, as over plain http in a house.
const PLAIN = "tv.example";
const browser = await launch("--autoplay-policy=no-user-gesture-required", `--host-resolver-rules=MAP ${PLAIN} 127.0.0.1`);
const stock = await serveStock();
const errors = [];

async function friend(name) {
  const page = await browser.newPage();
  await page.goto(stockAddress(stock.url, session(), { fault: FAULTS[name], node: prefixOf(name) }));
  return page;
}

async function watch(i) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  // While the coordinator is away, the browser says so.
  page.on("console", (message) => message.type() === "error" && !/net::ERR_|WebSocket/.test(message.text()) && errors.push(message.text()));
  const site = i % 2 === 1 ? world.site.replace("localhost", PLAIN) : world.site;
  await page.goto(`${site}/watch/friday-night`, { waitUntil: "domcontentloaded" });
  return page;
}

try {
  // Whoever is proven is preferred: the faulty ones come first.
  const eve = await friend("eve");
  await friend("mal");
  const viewers = [];
  for (let i = 0; i < pages; i += 1) viewers.push(await watch(i));
  await viewers[0].waitForTimeout(15_000);
  const ana = await friend("ana");
  await ana.waitForTimeout((seconds - 15) * 500);
  // The coordinator is away: what plays goes on, and what is receipted waits.
  world.away = true;
  world.tracker.restart();
  for (const response of streams) response.destroy();
  streams.clear();
  await ana.waitForTimeout((seconds - 15) * 400);
  world.away = false;
  await ana.waitForTimeout((seconds - 15) * 100 + 8000);
  const read = await Promise.all(viewers.map((page) => page.evaluate(() => window.streamrStats())));
  const shown = await viewers[0].locator(".facts").innerText();
  const gave = { ana: (await ana.evaluate(() => window.stock())).uploaded, eve: (await eve.evaluate(() => window.stock())).uploaded };
  await Promise.all(viewers.map((page) => page.goto("about:blank")));
  await ana.waitForTimeout(1000);
  const last = [...receipts].map(([token, all]) => ({ ...all.at(-1), token }));
  const carried = read.map(({ carried: { bytes, rejected, left, refused, verified }, stalls, stalledMs, latency, clockDelay }) => ({ bytes, rejected, left, refused, verified, stalls, stalledMs, latency, clockDelay }));
  const all = carried.reduce((total, { bytes }) => total + bytes.friends + bytes.peers + bytes.edge, 0);
  const share = carried.reduce((total, { bytes }) => total + bytes.friends + bytes.peers, 0) / all;
  console.log(JSON.stringify({ share, shown, carried, gave, served: [...world.live.served], receipts: last, reports }, null, 1));
  assert.deepEqual(errors, []);
  const reasonOf = ({ peer_id }) => REASONS[Object.keys(NODES).find((name) => peer_id.startsWith(prefixOf(name)))];
  assert.ok(reports.every((report) => report.reason === reasonOf(report)), "blame landed on the wrong one");
  assert.ok(reports.some(({ reason }) => reason === "digest"), "nobody reported wrong bytes");
  assert.equal(new Set(reports.map(({ token, peer_id }) => `${token} ${peer_id}`)).size, reports.length, "a page reports a peer once");
  assert.equal(last.length, pages, "each page receipts");
  for (const { token, edge, nodes } of last) {
    assert.equal(edge, world.live.served.get(token), "the edge counts the same bytes");
    assert.ok(nodes.every(({ node }) => node === NODES.ana), "wrong bytes are receipted");
  }
  const told = last.flatMap(({ nodes }) => nodes).reduce((total, { bytes }) => total + bytes, 0);
  assert.ok(told > 0 && told <= gave.ana, `receipts say ${told}, the friend gave ${gave.ana}`);
  const sum = (of) => carried.reduce((total, { bytes }) => total + of(bytes), 0);
  assert.ok(sum(({ friends }) => friends) > 0, "the friend carried nothing");
  assert.ok(shown.includes("Carried by ana") || shown.includes("servers") || shown.includes("Shared"), shown);
  assert.ok(carried.every(({ stalledMs }) => stalledMs < 500), "wrong bytes stall");
} finally {
  await browser.close();
  stock.stop();
  world.tracker.stop();
  stop();
}

// Serves the built pages as the coordinator does, and imitates its API in memory. Which state of the
// world a request meets is named by its header `x-scenario`.
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import * as data from "./data.mjs";
import { tracker } from "./tracker.mjs";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const PICTURE = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 180"><rect width="320" height="180" fill="#274060"/><circle cx="210" cy="90" r="50" fill="#d9a441"/></svg>`;
const ROOT = "/api/v1";

export async function start(dist) {
  const world = { scenarios: {}, seen: [] };
  const server = createServer((request, response) => void answer(world, dist, request, response).catch((error) => {
    response.writeHead(500).end(String(error));
  }));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  world.site = `http://localhost:${port}`;
  // Another origin, as a playback host is.
  world.playback = `http://127.0.0.1:${port}`;
  world.tracker = tracker(server, (peer) => world.onpeer?.(peer), () => world.away);
  return { world, stop: () => server.closeAllConnections() ?? server.close() };
}

function policy({ playback }) {
  return `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob: ${playback}; media-src 'self' blob: ${playback}; connect-src 'self' ${playback}; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
}

async function answer(world, dist, request, response) {
  const url = new URL(request.url, world.site);
  if (url.pathname.startsWith(ROOT)) return api(world, request, response, url);
  if (url.pathname.startsWith("/live/")) return world.live && !url.pathname.endsWith(".webp") ? world.live.answer(url, request, response) : media(url, response);
  const path = normalize(decodeURIComponent(url.pathname));
  const file = extname(path) && existsSync(join(dist, path)) ? path : path.startsWith("/watch/") ? "/watch.html" : "/index.html";
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-security-policy": policy(world) });
  createReadStream(join(dist, file)).pipe(response);
}

// Pictures are there; playlists never answer, so that the player goes on loading.
function media(url, response) {
  if (!url.pathname.endsWith("thumbnail.webp")) return;
  response.writeHead(200, { "content-type": "image/svg+xml", "access-control-allow-origin": "*" }).end(PICTURE);
}

function json(response, status, body, headers = {}) {
  const type = status >= 400 ? "application/problem+json" : "application/json";
  response.writeHead(status, { "content-type": type, ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

export function problem(status, code, detail, errors) {
  return { status, body: { type: "about:blank", title: code, status, detail, code, errors } };
}

async function read(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text ? JSON.parse(text) : {};
}

async function api(world, request, response, url) {
  if (world.away) return response.destroy();
  const scenario = world.scenarios[request.headers["x-scenario"]] ?? world.usual ?? {};
  const path = url.pathname.slice(ROOT.length);
  const what = `${request.method} ${path}`;
  world.seen.push({ scenario: request.headers["x-scenario"], what });
  const body = await read(request);
  const ask = { world, scenario, body, query: url.searchParams, headers: request.headers };
  const given = Object.entries(scenario.answers ?? {}).find(([pattern]) => matches(pattern, what));
  const found = given ?? Object.entries(USUAL).find(([pattern]) => matches(pattern, what));
  if (!found) return json(response, 404, problem(404, "not_found", `no ${what}`).body);
  const made = typeof found[1] === "function" ? await found[1](ask) : found[1];
  if (made === "never") return undefined;
  if (made === "events") return events(ask, response);
  if (made === undefined) return response.writeHead(204).end();
  if (typeof made === "function") return made(response.writeHead(200, { "content-type": "text/event-stream" }));
  if (made.status) return json(response, made.status, made.body, made.headers);
  return json(response, request.method === "POST" ? 201 : 200, made);
}

function matches(pattern, what) {
  return new RegExp(`^${pattern.replaceAll("*", "[^/]+")}$`).test(what);
}

function theStream({ world, scenario }) {
  return data.stream(world.site, world.playback, scenario.stream);
}

function events(ask, response) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const say = (event, value) => response.write(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`);
  say("stream", theStream(ask));
  if (ask.scenario.later) setTimeout(() => say("stream", { ...theStream(ask), ...ask.scenario.later }), 400);
  if (!ask.scenario.beating) return;
  const beat = setInterval(() => {
    const sample = data.samples().at(-1);
    say("health", { ...sample, at: new Date().toISOString(), now: theStream(ask).health ?? data.health });
  }, 1000);
  response.on("close", () => clearInterval(beat));
}

const list = (items) => ({ items, next: null });
const login = ({ scenario }) => ({ access_token: "token", token_type: "Bearer", expires_in: 900, user: scenario.user ?? data.owner });

const USUAL = {
  "GET /instance": ({ scenario }) => ({ ...data.instance, ...scenario.instance }),
  "POST /auth/refresh": (ask) => (ask.scenario.user ? { status: 200, body: login(ask) } : problem(401, "unauthenticated", "log in again")),
  "POST /auth/(login|setup)": (ask) => ({ status: 200, body: login(ask) }),
  "POST /auth/register": ({ body }) => ({ email: body.email }),
  "POST /auth/password/forgot": { status: 202 },
  "POST /auth/(logout|logout-everywhere|password/reset)": () => undefined,
  "GET /me": ({ scenario }) => scenario.user,
  "PATCH /me": ({ scenario, body }) => ({ ...scenario.user, ...body }),
  "POST /me/password": () => undefined,
  "GET /me/logins": list(data.logins),
  "GET /me/audit": list(data.audit),
  "POST /me/totp": { secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", otpauth_url: "otpauth://totp/Streamr:ana@example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Streamr" },
  "POST /me/totp/confirm": { status: 200, body: { recovery_codes: data.recovery } },
  "GET /streams": (ask) => ({ streams: (ask.scenario.streams ?? [{}]).map((more) => data.stream(ask.world.site, ask.world.playback, more)), next: null }),
  "POST /streams": (ask) => ({ ...data.stream(ask.world.site, ask.world.playback, { ...data.fresh, ...ask.body, mine: true }), stream_key: "live_9f2c7b1e4a6d8035" }),
  "GET /streams/*": (ask) => theStream(ask),
  "PATCH /streams/*": (ask) => ({ ...theStream(ask), ...ask.body }),
  "POST /streams/*/key": { status: 200, body: { stream_key: "live_0123456789abcdef" } },
  "POST /streams/*/state": (ask) => ({ status: 200, body: { ...theStream(ask), state: ask.body.state } }),
  "POST /streams/*/sessions": (ask) => {
    const { playback, slug } = theStream(ask);
    return { session: "s", token: "t0k3n", expires_in: 300, playlist: `${playback.hls}?token=t0k3n`, friends_playlist: `${playback.friends}?token=t0k3n`, flv: `${playback.flv}?token=t0k3n`, rtmp: `rtmp://localhost:1935/live/${slug}?token=t0k3n`, sources: [], mode: "low_latency", swarm_id: "s", trackers: [], stun: [], origin_keys: [], friends_only: true };
  },
  "GET /streams/*/sessions": list(data.sessions),
  "GET /streams/*/history": ({ scenario }) => (scenario.stream?.state === "ready" ? { ...data.history, items: [], totals: { broadcasts: 0, live_seconds: 0, sessions: 0 } } : data.history),
  "GET /streams/*/links": list(data.links),
  "POST /streams/*/links": ({ body, scenario }) => ({ id: "new", label: body.label, created_at: data.ago(0), last_used_at: null, secret: "s3cr3t", url: `/watch/${scenario.stream?.slug ?? "friday-night"}#share=s3cr3t-9f2c7b1e4a6d80359f2c7b1e` }),
  "GET /streams/*/health": ({ scenario }) => (scenario.samples ? { samples: data.samples(scenario.samples === "now" ? Date.now() : scenario.samples), now: scenario.stream?.health ?? data.health } : { samples: [], now: null }),
  "GET /streams/*/events": () => "events",
  "GET /streams/*/friends": ({ scenario }) => ({ items: scenario.friends ?? data.friends }),
  "PATCH /streams/*/friends/*": () => undefined,
  "POST /streams/*/friends/*/message": () => undefined,
  "GET /streams/*/invites": ({ scenario }) => list(scenario.invites ?? data.invites),
  "POST /streams/*/invites": ({ world, body }) => ({ id: "new", link: `${world.site}/join#7Yk2fJm9QpXw4nRt8sVbZ1`, expires_at: data.ago(-7 * 24 * 3600 * 1000), name: body.name ?? "" }),
  "POST /invites/look": () => ({ status: 200, body: data.look }),
  "GET /streams/*/delivery": ({ scenario }) => data.delivery(scenario.carried ?? true),
  "GET /supporters/*": () => ({ status: 200, body: data.supporter() }),
  "GET /admin/users": ({ query }) => list(data.users.filter(({ email, display_name }) => `${email} ${display_name}`.includes(query.get("query") ?? ""))),
  "PATCH /admin/users/*": ({ body }) => ({ ...data.users[1], ...body }),
  "POST /admin/users/*/reset-link": { url: "/reset#5f0d9b8c7a6e", expires_at: data.ago(-3_600_000) },
  "GET /admin/invitations": list(data.invitations),
  "POST /admin/invitations": ({ body }) => ({ ...data.invitations[0], ...body, id: "new", url: "/register#inv-93c1e0" }),
  "GET /admin/services": list(data.services),
  "GET /admin/settings": { registration: "invitation" },
  "PATCH /admin/settings": ({ body }) => ({ status: 200, body }),
  "GET /admin/flags": list(data.flags),
  "PUT /admin/flags/*": ({ body }) => ({ ...data.flags[0], ...body }),
  "GET /admin/audit": list(data.audit),
  "DELETE .*": () => undefined,
};

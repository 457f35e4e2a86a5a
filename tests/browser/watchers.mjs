// Keeps watch pages open in headless Chromium and says what they count. A line of JSON in asks, a line of
// JSON out answers ({error} where it went wrong). Ends with its input.
//
//   {"do": "open", "url", "count": 3, "delay": "friends"}   -> {"pages": [ids]}   watch pages; each one a viewer
//   {"do": "come", "url", "count": 9, "stay": 3, "delay"}   -> {"startups": [ms]}  one by one, each when the one before plays
//   {"do": "stock", "session", "count": 1}                  -> {"pages": [ids]}   players that know nothing of Streamr
//   {"do": "read"}                                          -> {"pages": [{id, kind, …}]}
//   {"do": "forget"}                                        -> {}                 stalls are counted from here on
//   {"do": "close", "pages": [ids]}                         -> {}                 all without `pages`
import { createInterface } from "node:readline";
import { launch } from "./chromium.mjs";
import { serveStock, stockAddress } from "./stock.mjs";

const browser = await launch("--autoplay-policy=no-user-gesture-required");
const pages = new Map();
let stock;
let made = 0;

// Notes how long the picture stands still.
function noteFreezes() {
  let [time, since, longest] = [-1, performance.now(), 0];
  setInterval(() => {
    const now = performance.now();
    const current = document.querySelector("video")?.currentTime ?? 0;
    // Before it plays for the first time, it doesn't stand still.
    if (current === 0) since = now;
    longest = Math.max(longest, now - since);
    if (current !== time) [time, since] = [current, now];
  }, 50);
  Object.assign(window, { freezes: { longest: () => Math.round(longest), forget: () => ([since, longest] = [performance.now(), 0]) } });
}

async function add(kind, url, prepare) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const id = (made += 1);
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(`${message.text()} (${message.location().url})`));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.addInitScript(noteFreezes);
  await prepare?.(page);
  const opened = Date.now();
  await page.goto(url, { waitUntil: "domcontentloaded" });
  const entry = { id, kind, page, errors, startupMs: null };
  pages.set(id, entry);
  entry.started = page
    .waitForFunction(() => (document.querySelector("video")?.currentTime ?? 0) > 0 && !document.querySelector("video").paused, null, { timeout: 120_000 })
    .then(() => (entry.startupMs = Date.now() - opened), () => null);
  return id;
}

// What a watch page counts.
function readWatch() {
  const stats = window.streamrStats?.();
  const player = document.querySelector("[data-state]");
  return { state: player?.dataset.state ?? "", mode: stats?.mode ?? null, latency: stats?.latency ?? null, clockDelay: stats?.clockDelay ?? null, stalls: stats?.stalls ?? 0, stalledMs: Math.round(stats?.stalledMs ?? 0), time: document.querySelector("video")?.currentTime ?? 0, carried: stats?.carried ?? null };
}

async function read({ id, kind, page, errors, startupMs }) {
  const counted = await page.evaluate(kind === "watch" ? readWatch : () => window.stock());
  return { id, kind, startupMs, longestFreezeMs: await page.evaluate(() => window.freezes.longest()), ...counted, errors };
}

function watch(url, delay) {
  return add("watch", url, (page) => delay && page.addInitScript((value) => localStorage.setItem("delay", value), delay));
}

const acts = {
  async open({ url, count = 1, delay }) {
    return { pages: await Promise.all(Array.from({ length: count }, () => watch(url, delay))) };
  },
  async come({ url, count, stay, delay }) {
    const startups = [];
    for (let i = 0; i < count; i += 1) {
      const id = await watch(url, delay);
      startups.push(await pages.get(id).started);
      if (i >= stay) await acts.close({ pages: [id] });
    }
    return { startups };
  },
  async stock({ session, count = 1 }) {
    stock ??= await serveStock();
    return { pages: await Promise.all(Array.from({ length: count }, () => add("stock", stockAddress(stock.url, session)))) };
  },
  read: async () => ({ pages: await Promise.all([...pages.values()].map(read)) }),
  async forget() {
    await Promise.all([...pages.values()].map(({ page }) => page.evaluate(() => void window.freezes.forget())));
    return {};
  },
  async close({ pages: which = [...pages.keys()] }) {
    const left = which.map((id) => pages.get(id)).filter(Boolean);
    for (const { id } of left) pages.delete(id);
    // Leaving it is what a viewer does: the last receipt goes out, while the browser stays.
    await Promise.all(left.map(({ page }) => page.goto("about:blank")));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await Promise.all(left.map(({ page }) => page.context().close()));
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { do: what, ...how } = JSON.parse(line);
    if (!acts[what]) throw new Error(`nobody knows how to ${what}`);
    answer = await acts[what](how);
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
stock?.stop();

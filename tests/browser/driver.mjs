// Watches pages in headless Chromium. A line of JSON in asks (see testkit's `Watch`), a line of JSON out
// answers (`PageReport`, or {error}). Ends with its input.
import { createInterface } from "node:readline";
import { launch } from "./chromium.mjs";

const browser = await launch();

// What the player shows and the video did, read inside the page.
function look() {
  const player = document.querySelector("[data-state]");
  const video = document.querySelector("video");
  const number = (text) => (text === undefined || text === "" ? null : Number(text));
  return {
    state: player?.dataset.state ?? "",
    latency: number(player?.dataset.latency),
    stalls: number(player?.dataset.stalls),
    time: video?.currentTime ?? 0,
    frames: video?.getVideoPlaybackQuality().totalVideoFrames ?? 0,
    audioBytes: video?.webkitAudioDecodedByteCount ?? 0,
    muted: video?.muted ?? false,
  };
}

// Notes how long the picture stands still.
function noteFreezes() {
  let [time, since, longest] = [-1, performance.now(), 0];
  const read = () => {
    const now = performance.now();
    const current = document.querySelector("video")?.currentTime ?? -1;
    longest = Math.max(longest, now - since);
    if (current !== time) [time, since] = [current, now];
    return longest;
  };
  setInterval(read, 50);
  window.longestFreeze = read;
}

async function watch({ url, state, patienceMs, watchMs, screenshot }) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    const errors = [];
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(`${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => errors.push(String(error)));
    const opened = Date.now();
    await page.goto(url, { waitUntil: "domcontentloaded" });
    try {
      await page.waitForSelector(`[data-state="${state}"]`, { timeout: patienceMs, state: "attached" });
    } catch {
      const seen = JSON.stringify(await page.evaluate(look));
      throw new Error(`never ${state} within ${patienceMs} ms: ${seen}; ${errors.join("; ")}`);
    }
    const startupMs = Date.now() - opened;
    const before = await page.evaluate(look);
    await page.evaluate(noteFreezes);
    await page.waitForTimeout(watchMs);
    const after = await page.evaluate(look);
    if (screenshot) await page.screenshot({ path: screenshot });
    return {
      state: after.state,
      latency: after.latency,
      stalls: after.stalls,
      advanced: after.time - before.time,
      frames: after.frames - before.frames,
      audioBytes: after.audioBytes - before.audioBytes,
      muted: after.muted,
      startupMs,
      longestFreezeMs: Math.round(await page.evaluate(() => window.longestFreeze())),
      errors,
    };
  } finally {
    await context.close();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await watch(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();

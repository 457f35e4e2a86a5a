// A newcomer's first evening, with pages only: from the one-time link to LIVE, then private, a link for
// the family, a new key, and the end. ffmpeg stands in for OBS.
//
//   node newcomer.mjs '{"link", "ffmpeg", "file", "pictures"}'
//
// Says what was measured as a line of JSON; ends with 1 and the step that failed.
import assert from "node:assert/strict";
import { launch } from "./chromium.mjs";
import { Obs } from "./obs.mjs";
import { Visitor } from "./visitor.mjs";

const { link, ffmpeg, file, pictures } = JSON.parse(process.argv[2]);
const LIVE = /^LIVE$/;
const CUT_OFF_MS = 10_000;
const NOT_FOUND = /^Failed to load resource: the server responded with a status of 404/;

const browser = await launch();
const errors = [];
const measured = {};
const publishers = [];
const arrive = (name, expected) => Visitor.arrive(browser, name, { expected, pictures, errors });

function publish(server, key) {
  const obs = new Obs(ffmpeg, file, server, key);
  publishers.push(obs);
  return obs;
}

const owner = await arrive("the newcomer");
const { page } = owner;
let server, key, obs, share, family;

const story = {
  "makes the first account": async () => {
    await page.goto(link);
    await owner.picture("1-setup");
    await page.getByLabel("E-mail").fill("ana@example.org");
    await page.getByLabel("Your name").fill("Ana");
    await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
    await owner.press("Make the account");
    await page.getByRole("heading", { name: "Connect OBS" }).waitFor();
  },
  "gets a key": async () => {
    await owner.sees("Waiting for OBS");
    await owner.picture("2-connect");
    await owner.press("Make a new key");
    await page.getByRole("dialog").getByRole("button", { name: "Make a new key" }).click();
    await owner.press("Show key");
    server = await owner.copies("Server");
    key = await owner.copies("Key");
    await owner.sees(key);
    await owner.picture("3-key");
  },
  "sees the page turn green": async () => {
    obs = publish(server, key);
    await owner.sees("OBS is connected: you are live.");
    const green = Date.now();
    measured.greenAfterStartMs = green - obs.started;
    measured.greenAfterBytesMs = green - (obs.sent ?? obs.started);
    measured.previewMs = await owner.plays();
    await owner.picture("4-green");
  },
  "is live": async () => {
    await owner.follow("Go to Live");
    await page.getByRole("heading", { name: "Live", exact: true }).waitFor();
    await owner.sees(LIVE);
    const clock = page.getByTitle(/^since /);
    const seconds = async () => (await clock.innerText()).split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
    const before = await seconds();
    await owner.plays();
    assert.ok((await seconds()) > before, `the clock stands at ${before} s`);
    await owner.sees("Healthy:");
    for (const title of ["Bitrate", "Frames", "Between keyframes", "Sound against picture"]) {
      await page.getByRole("img", { name: new RegExp(`^${title}: now .+ in these 10 minutes`) }).waitFor();
    }
    await owner.picture("5-live");
  },
  "makes it private": async () => {
    await owner.follow("Access");
    await page.getByRole("radio", { name: /^Private/ }).check();
    await page.getByRole("radio", { name: /^Private/, checked: true, disabled: false }).waitFor();
    await page.reload();
    await page.getByRole("radio", { name: /^Private/, checked: true, disabled: false }).waitFor();
  },
  "shares a link": async () => {
    await page.getByLabel("For whom").fill("Family");
    await owner.press("Make a link");
    share = await owner.copies("Link");
    await owner.sees("not used yet");
    await owner.picture("6-share");
  },
  "whose opener watches": async () => {
    family = await arrive("the family");
    await family.page.goto(share, { waitUntil: "domcontentloaded" });
    measured.shareMs = await family.plays();
    await family.picture("7-shared");
  },
  "and nobody else does": async () => {
    const stranger = await arrive("a stranger", NOT_FOUND);
    await stranger.page.goto(share.split("#")[0]);
    await stranger.sees("There is no such stream, or it is private");
    await stranger.picture("8-stranger");
    await stranger.leave();
  },
  "still sees the preview": async () => {
    await owner.follow("Live");
    await owner.plays();
  },
  "makes a new key, and the old publisher is cut off": async () => {
    await owner.follow("Access");
    await owner.press("Make a new key");
    await owner.picture("9-new-key");
    const before = Date.now();
    await page.getByRole("dialog").getByRole("button", { name: "Make a new key" }).click();
    assert.ok(await obs.ends(CUT_OFF_MS), "the old publisher goes on");
    measured.cutOffMs = obs.ended - before;
    const old = key;
    await owner.press("Show key");
    key = await owner.copies("Key");
    assert.notEqual(key, old);
    const again = publish(server, old);
    assert.ok(await again.ends(CUT_OFF_MS), "the old key opens");
  },
  "publishes with the new key, and the link still plays": async () => {
    obs = publish(server, key);
    await owner.follow("Live");
    await owner.plays();
    await owner.sees(LIVE);
    await family.plays();
    await family.page.reload();
    measured.shareAgainMs = await family.plays();
    const stranger = await arrive("another stranger", NOT_FOUND);
    await stranger.page.goto(share.split("#")[0]);
    await stranger.sees("There is no such stream, or it is private");
    await stranger.leave();
  },
  "ends the stream": async () => {
    await owner.press("End stream");
    await owner.picture("10-end");
    await owner.press("End it");
    assert.ok(await obs.ends(CUT_OFF_MS), "the publisher goes on");
    await owner.sees("Offline, ended");
    await owner.picture("11-ended");
    await family.sees("Offline, ended");
    await family.picture("12-family-after");
  },
};

let step;
try {
  for (const [name, act] of Object.entries(story)) {
    step = name;
    await act();
  }
  step = "has no errors on any page";
  assert.deepEqual(errors, []);
  console.log(JSON.stringify(measured));
} catch (error) {
  console.error(`the newcomer ${step}: ${error}\n${errors.join("\n")}`);
  await owner.picture("failed").catch(() => undefined);
  process.exitCode = 1;
} finally {
  for (const publisher of publishers) publisher.stop();
  await browser.close();
}

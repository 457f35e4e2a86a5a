// Every page in every state that people meet: where it is, what the server says, and what is done there.
// Those that `behave` are about what happens, more than about what it looks like.
import * as data from "./data.mjs";
import { problem } from "./server.mjs";

const { owner, admin, quiet, fresh, warning } = data;
const broken = problem(503, "unavailable", "the database doesn’t answer");
const mine = { mine: true };
const secret = { slug: "family", title: "Family evening", visibility: "private" };
const button = (page, name) => page.getByRole("button", { name, exact: true }).click();

/** Waits until the page asked the server for something. A machine that has much to do takes its time. */
const asked = async (page, world, scenario, is) => {
  const before = Date.now();
  while (!world.seen.some((seen) => seen.scenario === scenario && is(seen.what))) {
    if (Date.now() - before > 20_000) throw new Error(`${scenario}: it was not asked for`);
    await page.waitForTimeout(50);
  }
};

const fillLogin = async (page) => {
  await page.getByLabel("E-mail").fill("ana@example.org");
  await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
  await button(page, "Log in");
};

export const states = {
  "front-live": {
    path: "/", shows: "Live now",
    streams: [{}, { id: "b", slug: "chess", title: "Chess with a very long title that takes more than one line on a phone", viewers: 1, health: null }],
    act: (page, { world, expect }) => expect(!world.seen.some(({ scenario, what }) => scenario === "front-live" && what.includes("refresh")), "asked who is logged in"),
  },
  "front-empty": { path: "/", shows: "Nobody is live right now", streams: [], },
  "front-setup": { path: "/", shows: "isn’t set up yet", streams: [], instance: { setup_required: true } },
  "front-error": { path: "/", shows: "Can’t list the streams", answers: { "GET /streams": broken } },
  "front-loading": { behaves: true, path: "/", shows: "Live now", answers: { "GET /streams": () => "never" } },
  nowhere: { path: "/no/such/page", shows: "There is no such page" },

  "watch-live": {
    path: "/watch/friday-night", shows: "Watch elsewhere",
    act: async (page, { world, expect }) => {
      await page.getByText("128 viewers").waitFor();
      expect(!world.seen.some(({ scenario, what }) => scenario === "watch-live" && what.includes("refresh")), "asked who is logged in");
    },
  },
  "watch-offline": { path: "/watch/friday-night", shows: "Offline, ended", stream: quiet },
  "watch-ready": { path: "/watch/friday-night", shows: "Is this your stream?", stream: fresh },
  "watch-turns-live": { behaves: true, path: "/watch/friday-night", shows: "128 viewers", stream: fresh, later: { state: "live", started_at: data.ago(1000), viewers: 128 } },
  "watch-reconnecting": { path: "/watch/friday-night", shows: "Reconnecting", stream: { reconnecting: true } },
  "watch-private-refused": {
    path: "/watch/family", shows: "it is private", answers: { "GET /streams/*": problem(404, "not_found", "there is no such stream, or it is private") },
  },
  "watch-share-withdrawn": {
    path: "/watch/family#share=old", shows: "withdrawn", answers: { "GET /streams/*": problem(404, "not_found", "no such stream"), "POST /streams/*/sessions": problem(404, "not_found", "no such stream") },
  },
  "watch-share": {
    path: "/watch/family#share=s3cr3t", shows: "token=t0k3n", stream: secret, act: (page) => button(page, "Make addresses"),
    answers: { "GET /streams/*": ({ world, headers }) => (headers["share-secret"] ? data.stream(world.site, world.playback, secret) : problem(404, "not_found", "no such stream")) },
  },
  "watch-own-private": {
    path: "/watch/family", shows: "This is your stream", user: owner, stream: { ...secret, mine: true },
    answers: { "GET /streams/*": ({ world, headers }) => (headers.authorization ? data.stream(world.site, world.playback, { ...secret, mine: true }) : problem(404, "not_found", "no such stream")) },
  },
  "watch-error": { path: "/watch/friday-night", shows: "Can’t play this stream", answers: { "GET /streams/*": broken } },
  "watch-loading": { behaves: true, path: "/watch/friday-night", shows: "Loading the stream", answers: { "GET /streams/*": () => "never" } },

  setup: { path: "/setup#one-time", shows: "Make the account", instance: { setup_required: true } },
  "setup-wrong": {
    path: "/setup#one-time", shows: "too common", instance: { setup_required: true },
    answers: { "POST /auth/setup": problem(422, "invalid", "some fields are not right", [{ field: "password", problem: "this password is too common" }]) },
    act: async (page) => {
      await page.getByLabel("E-mail").fill("ana@example.org");
      await page.getByLabel("Password", { exact: true }).fill("password");
      await button(page, "Make the account");
    },
  },
  "setup-done-connects": {
    behaves: true,
    path: "/setup#one-time", shows: "Waiting for OBS", instance: { setup_required: true }, user: undefined, stream: { ...fresh, ...mine }, streams: [{ ...fresh, ...mine }],
    act: async (page) => {
      await page.getByLabel("E-mail").fill("ana@example.org");
      await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
      await button(page, "Make the account");
    },
  },
  "setup-no-token": { path: "/setup", shows: "one-time link", instance: { setup_required: true } },
  "setup-over": { path: "/setup#one-time", shows: "Streamr is set up" },
  login: { path: "/login?next=/account", shows: "Make an account" },
  "login-wrong": { path: "/login", shows: "Wrong e-mail or password", answers: { "POST /auth/login": problem(401, "unauthenticated", "wrong e-mail or password") }, act: fillLogin },
  "login-often": { path: "/login", shows: "Wait 30 s", answers: { "POST /auth/login": { ...problem(429, "rate_limited", "too many"), headers: { "retry-after": "30" } } }, act: fillLogin },
  "login-second-step": {
    path: "/login", shows: "recovery codes", act: fillLogin, answers: { "POST /auth/login": ({ body }) => problem(401, body.totp ? "totp_required" : "totp_required", "the code is needed") },
  },
  "login-goes-on": {
    behaves: true,
    path: "/streams/friday-night/access?x=1", shows: "Who may watch", stream: mine,
    act: async (page, { expect }) => {
      await fillLogin(page);
      await page.getByRole("heading", { name: "Access" }).waitFor();
      expect(page.url().endsWith("/streams/friday-night/access?x=1"), `came to ${page.url()}`);
      expect(await page.evaluate(() => document.activeElement?.tagName) === "H1", "the heading didn’t take the focus");
    },
  },
  "login-stays-here": {
    behaves: true,
    path: "/login?next=//evil.example/", shows: "My streams",
    act: async (page, { world, expect }) => {
      await fillLogin(page);
      await page.getByRole("heading", { name: "My streams" }).waitFor();
      expect(page.url() === `${world.site}/streams`, `came to ${page.url()}`);
    },
  },
  register: { path: "/register", shows: "Your name" },
  "register-closed": { path: "/register", shows: "takes no new accounts", instance: { registration: "closed" } },
  "register-invitation-missing": { path: "/register", shows: "needs an invitation", instance: { registration: "invitation" } },
  "register-invitation": { behaves: true, path: "/register#inv", shows: "Your name", instance: { registration: "invitation" } },
  "register-taken": {
    path: "/register", shows: "Almost there", answers: { "POST /auth/login": problem(401, "unauthenticated", "wrong") },
    act: async (page) => {
      await page.getByLabel("E-mail").fill("ana@example.org");
      await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
      await button(page, "Make the account");
    },
  },
  forgot: { path: "/forgot", shows: "Send the link" },
  "forgot-no-mail": { path: "/forgot", shows: "sends no mail", instance: { mail: false } },
  "forgot-sent": {
    path: "/forgot", shows: "on its way",
    act: async (page) => {
      await page.getByLabel("E-mail").fill("ana@example.org");
      await button(page, "Send the link");
    },
  },
  reset: { path: "/reset#token", shows: "New password" },
  "reset-done": {
    path: "/reset#token", shows: "logged out everywhere",
    act: async (page) => {
      await page.getByLabel("New password", { exact: true }).fill("correct horse battery");
      await button(page, "Change the password");
    },
  },
  "reset-no-token": { path: "/reset", shows: "needs the whole link" },

  "streams-some": {
    path: "/streams", shows: "rehearsal", user: owner,
    streams: [
      { ...mine, health: warning }, { ...mine, ...quiet, id: "b", slug: "family", title: "Family evening", visibility: "private" },
      { ...mine, ...fresh, id: "c", slug: "new", title: "Something new", visibility: "unlisted", testing: true },
    ],
  },
  "streams-renews": {
    behaves: true,
    path: "/streams", shows: "Friday night games", user: owner, streams: [mine],
    answers: {
      "POST /auth/refresh": ({ scenario }) => ({ status: 200, body: { access_token: `token${(scenario.renewed = (scenario.renewed ?? 0) + 1)}`, token_type: "Bearer", expires_in: 900, user: owner } }),
      "GET /streams": ({ world, headers }) => (headers.authorization.endsWith("1") ? problem(401, "unauthenticated", "the token ran out") : { streams: [data.stream(world.site, world.playback, mine)] }),
    },
  },
  "streams-login-over": {
    behaves: true,
    path: "/streams", shows: "Forgot the password?", user: owner, answers: { "POST /auth/refresh": problem(401, "unauthenticated", "log in again") },
    act: async (page, { expect }) => {
      await page.getByRole("heading", { name: "Log in" }).waitFor();
      expect(page.url().endsWith("/login?next=%2Fstreams"), `came to ${page.url()}`);
    },
  },
  "streams-server-gone": { behaves: true, path: "/streams", shows: "Trying again", user: owner, answers: { "POST /auth/refresh": broken } },
  "streams-empty": { path: "/streams", shows: "three steps", user: owner, streams: [] },
  "streams-loading": { path: "/streams", shows: "My streams", user: owner, answers: { "GET /streams": () => "never" } },
  "streams-error": { path: "/streams", shows: "Trying again", user: owner, answers: { "GET /streams": broken } },
  "streams-create": {
    path: "/streams", shows: "fridays-cafe-night", user: owner, streams: [],
    act: async (page) => {
      await button(page, "Make a stream");
      await page.getByLabel("Title").fill("Friday’s Café Night");
    },
  },
  "streams-create-taken": {
    path: "/streams", shows: "is taken", user: owner, streams: [], answers: { "POST /streams": problem(409, "conflict", "that address is taken", [{ field: "slug", problem: "this address is taken" }]) },
    act: async (page) => {
      await button(page, "Make a stream");
      await page.getByLabel("Title").fill("Live");
      await button(page, "Make the stream");
    },
  },
  "streams-key": {
    path: "/streams", shows: "live_9f2c7b1e4a6d8035", user: owner, streams: [],
    act: async (page) => {
      await button(page, "Make a stream");
      await page.getByLabel("Title").fill("Live");
      await button(page, "Make the stream");
      await button(page, "Show key");
    },
  },
  "streams-key-plain-http": {
    behaves: true,
    path: "/streams", shows: "Copied", user: owner, streams: [], plain: true,
    act: async (page, { expect }) => {
      expect(!(await page.evaluate(() => isSecureContext)), "the context is secure");
      await button(page, "Make a stream");
      await page.getByLabel("Title").fill("Live");
      await button(page, "Make the stream");
      await button(page, "Copy Key");
    },
  },
  "streams-edit": { path: "/streams", shows: "Edit the stream", user: owner, streams: [{ ...mine, ...quiet }], act: (page) => button(page, "Edit") },
  "streams-escape": {
    behaves: true,
    path: "/streams", shows: "My streams", user: owner, streams: [{ ...mine, ...quiet }],
    act: async (page, { expect }) => {
      await button(page, "Edit");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      expect((await page.evaluate(() => document.activeElement?.textContent)) === "Edit", "the focus didn’t return");
    },
  },
  "streams-delete": { path: "/streams", shows: "to confirm", user: owner, streams: [{ ...mine, ...quiet }], act: (page) => button(page, "Delete") },

  "connect-waiting": { path: "/streams/friday-night/connect", shows: "Waiting for OBS", user: owner, stream: { ...mine, ...fresh } },
  "connect-new-key": {
    path: "/streams/friday-night/connect", shows: "Copy it now", user: owner, stream: { ...mine, ...fresh },
    act: async (page) => {
      await button(page, "Make a new key");
      await page.getByRole("dialog").getByRole("button", { name: "Make a new key" }).click();
    },
  },
  "connect-profile": {
    behaves: true,
    path: "/streams/friday-night/connect", shows: "pick the folder", user: owner, stream: { ...mine, ...fresh },
    act: async (page, { expect }) => {
      await button(page, "Make a new key");
      await page.getByRole("dialog").getByRole("button", { name: "Make a new key" }).click();
      const [saved] = await Promise.all([page.waitForEvent("download"), button(page, "OBS profile")]);
      expect(saved.suggestedFilename() === "Streamr-friday-night.zip", saved.suggestedFilename());
    },
  },
  "connect-arrives": {
    path: "/streams/friday-night/connect", shows: "OBS is connected: you are live", user: owner, stream: { ...mine, ...fresh }, later: { state: "live", started_at: data.ago(1000), health: warning },
  },
  "connect-rehearsal": { path: "/streams/friday-night/connect", shows: "a rehearsal", user: owner, stream: { ...mine, state: "testing", testing: true } },
  "connect-loading": { behaves: true, path: "/streams/friday-night/connect", shows: "Loading", user: owner, answers: { "GET /streams/*": () => "never" } },
  "connect-not-mine": { path: "/streams/friday-night/connect", shows: "isn’t a stream of yours", user: owner },
  "live-on-air": {
    path: "/streams/friday-night/live", shows: "All is well", user: owner, stream: mine, samples: "now", beating: true,
  },
  "live-warning": { path: "/streams/friday-night/live", shows: "keyframe interval to 2 s", user: owner, stream: { ...mine, health: warning }, samples: "now" },
  "live-reconnecting": { path: "/streams/friday-night/live", shows: "OBS is gone", user: owner, stream: { ...mine, reconnecting: true }, samples: "now" },
  "live-offline": { path: "/streams/friday-night/live", shows: "The graphs show what was last", user: owner, stream: { ...mine, ...quiet }, samples: Date.parse(quiet.ended_at) },
  "live-history": { path: "/streams/friday-night/live", shows: "Past broadcasts", user: owner, stream: { ...mine, ...quiet }, samples: Date.parse(quiet.ended_at) },
  "live-history-error": { path: "/streams/friday-night/live", shows: "Try again", user: owner, stream: { ...mine, ...quiet }, samples: Date.parse(quiet.ended_at), answers: { "GET /streams/*/history": broken } },
  "live-never": { path: "/streams/friday-night/live", shows: "Not live yet", user: owner, stream: { ...mine, ...fresh } },
  "live-rehearsal": { path: "/streams/friday-night/live", shows: "Go live", user: owner, stream: { ...mine, state: "testing", testing: true }, samples: "now" },
  "live-end": { path: "/streams/friday-night/live", shows: "End the stream?", user: owner, stream: mine, samples: "now", act: (page) => button(page, "End stream") },
  "live-server-gone": {
    path: "/streams/friday-night/live", shows: "What you see is from before", user: owner, stream: mine, samples: "now",
    answers: { "GET /streams/*/events": broken },
    act: async (page, { context }) => {
      await page.getByText("All is well").waitFor();
      await context.setOffline(true);
    },
  },
  "live-carried-none": { path: "/streams/friday-night/live", shows: "0 % saved", user: owner, stream: mine, samples: "now", carried: false },
  "live-delivery-error": { behaves: true, path: "/streams/friday-night/live", shows: "Nothing measured yet", user: owner, stream: mine, samples: "now", answers: { "GET /streams/*/delivery": broken } },
  "friends-some": { path: "/streams/friday-night/friends", shows: "One friend carries", user: owner, stream: { ...mine, delivery: "friends" } },
  "friends-empty": { path: "/streams/friday-night/friends", shows: "No friend helps yet", user: owner, stream: mine, friends: [], invites: [] },
  "friends-loading": { behaves: true, path: "/streams/friday-night/friends", shows: "Invite a friend", user: owner, stream: mine, answers: { "GET /streams/*/friends": () => "never" } },
  "friends-error": { path: "/streams/friday-night/friends", shows: "Trying again by itself", user: owner, stream: mine, answers: { "GET /streams/*/friends": broken } },
  "friends-invite": {
    path: "/streams/friday-night/friends", shows: "streamr-node join", user: owner, stream: { ...mine, delivery: "friends" },
    act: async (page) => {
      await button(page, "Invite a friend");
      await page.getByLabel("Name", { exact: true }).fill("Dee");
      await button(page, "Make the invite");
    },
  },
  "friends-private": { path: "/streams/family/friends", shows: "Make an address for OBS", user: owner, stream: { ...secret, ...mine, delivery: "friends" } },
  "friends-private-overlay": {
    path: "/streams/family/friends", shows: "/overlay/family#share=s3cr3t", user: owner, stream: { ...secret, ...mine, delivery: "friends" },
    act: async (page) => {
      await button(page, "Make an address for OBS");
      await button(page, "Show browser source");
    },
  },
  "friends-private-refused": {
    behaves: true, path: "/streams/family/friends", shows: "the database doesn’t answer", user: owner, stream: { ...secret, ...mine, delivery: "friends" },
    answers: { "POST /streams/*/links": broken }, act: (page) => button(page, "Make an address for OBS"),
  },
  "friends-pause": {
    behaves: true,
    path: "/streams/friday-night/friends", shows: "Resume", user: owner, stream: { ...mine, delivery: "friends" },
    act: async (page, { world }) => {
      await button(page, "Pause Ana");
      await asked(page, world, "friends-pause", (what) => what.startsWith("PATCH"));
    },
  },
  "friends-message": { path: "/streams/friday-night/friends", shows: "Message to Ana", user: owner, stream: { ...mine, delivery: "friends" }, act: (page) => button(page, "Message Ana") },
  "friends-remove": { path: "/streams/friday-night/friends", shows: "Remove Ana?", user: owner, stream: { ...mine, delivery: "friends" }, act: (page) => button(page, "Remove Ana") },
  join: { path: "/join#7Yk2fJm9QpXw4nRt8sVbZ1", shows: "chmod +x streamr-node-linux-x86_64 && ./streamr-node-linux-x86_64 join" },
  "join-another": {
    behaves: true, path: "/join#7Yk2fJm9QpXw4nRt8sVbZ1", shows: ".\\streamr-node-windows-x86_64.exe join",
    act: async (page) => {
      await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /^Windows/ }).click()]);
    },
  },
  "join-no-computer": {
    path: "/join#7Yk2fJm9QpXw4nRt8sVbZ1", shows: "Open on the computer", userAgent: "Mozilla/5.0 (Linux; Android 15; Pixel 9)",
    act: async (page, { expect }) => {
      await page.getByText("Open on the computer").waitFor();
      expect((await page.getByText("streamr-node-linux").count()) === 0, "a phone is given a command");
    },
  },
  "join-nothing-ready": { path: "/join#7Yk2fJm9QpXw4nRt8sVbZ1", shows: "target/release/streamr-node join", answers: { "POST /invites/look": { status: 200, body: { ...data.look, downloads: [] } } } },
  "join-over": { path: "/join#old", shows: "no longer good", answers: { "POST /invites/look": problem(404, "not_found", "no such invite") } },
  "join-no-secret": { path: "/join", shows: "needs the whole link" },
  "join-error": { path: "/join#7Yk2fJm9QpXw4nRt8sVbZ1", shows: "Can’t look at the invite", answers: { "POST /invites/look": broken } },
  supporter: { path: "/supporter/00000000-0000-7000-8000-000000000001#key", shows: "For whom" },
  "supporter-new": {
    path: "/supporter/00000000-0000-7000-8000-000000000001#key", shows: "Nothing yet",
    answers: { "GET /supporters/*": { status: 200, body: { name: "Dee", status: "offline", as_of: data.ago(0), streams: [], days: [] } } },
  },
  "supporter-wrong": { path: "/supporter/00000000-0000-7000-8000-000000000001#no", shows: "This link shows nothing", answers: { "GET /supporters/*": problem(404, "not_found", "no") } },
  overlay: {
    path: "/overlay/friday-night", shows: "Carried by",
    act: async (page, { expect }) => {
      await page.getByText("Carried by").waitFor();
      const behind = await page.evaluate(() => [document.documentElement, document.body].map((element) => getComputedStyle(element).backgroundColor).join());
      expect(behind === "rgba(0, 0, 0, 0),rgba(0, 0, 0, 0)", `painted behind: ${behind}`);
    },
  },
  "overlay-private": {
    behaves: true, path: "/overlay/family#share=s3cr3t", shows: "Carried by",
    answers: { "GET /streams/*/delivery": ({ headers }) => (headers["share-secret"] === "s3cr3t" ? data.delivery() : problem(404, "not_found", "no such stream")) },
  },
  "overlay-nobody": {
    behaves: true, path: "/overlay/friday-night", shows: "Who carries the stream", carried: false,
    act: async (page, { expect }) => {
      await page.waitForTimeout(500);
      expect((await page.getByText("Carried by").count()) === 0, "somebody is named");
    },
  },
  "watch-friends": {
    path: "/watch/friday-night", shows: "Watch elsewhere", stream: { delivery: "friends" },
    act: async (page, { world }) => {
      await page.locator("[data-mode=friends]").waitFor();
      await asked(page, world, "watch-friends", (what) => what.endsWith("/sessions"));
    },
  },
  "watch-opted-out": {
    behaves: true, path: "/watch/friday-night", shows: "Watch elsewhere", stream: { delivery: "friends" },
    act: async (page, { expect, world }) => {
      await page.locator("[data-mode=friends]").waitFor();
      await asked(page, world, "watch-opted-out", (what) => what.endsWith("/sessions"));
      await page.evaluate(() => localStorage.setItem("friends", "no"));
      world.seen.length = 0;
      await page.reload();
      await page.locator("[data-mode=friends]").waitFor();
      await page.waitForTimeout(500);
      expect(!world.seen.some(({ scenario, what }) => scenario === "watch-opted-out" && what.endsWith("/sessions")), "asked for friends");
    },
  },
  "access-public": { path: "/streams/friday-night/access", shows: "Logged in", user: owner, stream: mine },
  "access-private": {
    path: "/streams/family/access", shows: "shown only now", user: owner, stream: { ...secret, ...mine },
    act: async (page) => {
      await page.getByLabel("For whom").fill("Grandma");
      await button(page, "Make a link");
      await button(page, "Make addresses");
    },
  },
  "access-empty": {
    path: "/streams/family/access", shows: "Nobody opened it yet", user: owner, stream: { ...secret, ...mine },
    answers: { "GET /streams/*/(links|sessions)": { items: [] }, "GET /me/audit": { items: [] } },
  },
  "access-error": { path: "/streams/family/access", shows: "Try again", user: owner, stream: mine, answers: { "GET /streams/*/links": broken } },

  account: { path: "/account", shows: "Safari on iPhone", user: owner },
  "account-other-tab": {
    behaves: true,
    path: "/account", shows: "Forgot the password?", user: owner,
    act: async (page, { context, world }) => {
      await page.getByText("Safari on iPhone").waitFor();
      const other = await context.newPage();
      await other.goto(`${world.site}/streams`);
      await button(other, "Account menu of Ana");
      await button(other, "Log out");
      await page.getByRole("heading", { name: "Log in" }).waitFor();
    },
  },
  "account-pairing": {
    path: "/account", shows: "JBSWY3DPEHPK3PXP", user: owner,
    act: async (page) => {
      await button(page, "Turn on");
      await page.getByLabel("Your password", { exact: true }).fill("correct horse battery");
      await button(page, "Continue");
    },
  },
  "account-recovery": {
    path: "/account", shows: "I have kept them", user: owner,
    act: async (page) => {
      await button(page, "Turn on");
      await page.getByLabel("Your password", { exact: true }).fill("correct horse battery");
      await button(page, "Continue");
      await page.getByLabel("Code", { exact: true }).fill("123456");
      await page.getByRole("button", { name: "Turn on" }).click();
    },
  },
  "account-password": { path: "/account", shows: "Current password", user: owner, act: (page) => button(page, "Change the password") },
  "account-delete": { path: "/account", shows: "for good?", user: admin, act: (page) => button(page, "Delete my account") },
  "account-menu": { path: "/account", shows: "Log out everywhere", user: admin, act: (page) => button(page, "Account menu of Rosa") },

  "admin-users": { path: "/admin", shows: "Cheap Watches", user: admin },
  "admin-users-none": { path: "/admin", shows: "Nobody has that", user: admin, act: (page) => page.getByLabel("Search users").fill("zzz") },
  "admin-ban": { path: "/admin/users", shows: "Ban Ana?", user: admin, act: (page) => page.getByRole("button", { name: "Ban" }).first().click() },
  "admin-reset-link": { path: "/admin/users", shows: "Reset link for", user: admin, act: (page) => page.getByRole("button", { name: "Reset link" }).nth(1).click() },
  "admin-streams": { path: "/admin/streams", shows: "Private", user: admin, streams: [{}, { ...quiet, id: "b", ...secret }] },
  "admin-services": { path: "/admin/services", shows: "edge-2b41", user: admin },
  "admin-registration": {
    path: "/admin/registration", shows: "Send this link", user: admin, act: (page) => button(page, "Make an invitation"),
  },
  "admin-flags": { path: "/admin/flags", shows: "Low-latency playlists", user: admin },
  "admin-audit": { path: "/admin/audit", shows: "visibility private", user: admin },
  "admin-error": { path: "/admin/audit", shows: "Try again", user: admin, answers: { "GET /admin/audit": broken } },
  "admin-refused": { path: "/admin", shows: "Only for administrators", user: owner },
};

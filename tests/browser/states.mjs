// Takes a picture of every page in every state, on a phone and on a desk, dark and light, and fails on
// what people would trip over: serious accessibility faults, errors, and violations of the policy.
//
//   node states.mjs [<folder for the pictures> [<part of a state's name>]]
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";
import { start } from "./mock/server.mjs";
import { states } from "./mock/states.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const DIST = join(HERE, "../../crates/web/dist");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };
// Colours don't depend on the size: each is checked with one of them.
const CHECKED = [["phone", "dark"], ["desk", "light"]];
const PICTURED = [["phone", "dark"], ["phone", "light"], ["desk", "light"], ["desk", "dark"]];
const AT_ONCE = 3;
const PATIENCE_MS = 20_000;
// An answer that says no is written to the console too; the states ask for such answers.
const EXPECTED = /^Failed to load resource: the server responded with a status of [45]\d\d|net::ERR_(FAILED|INTERNET_DISCONNECTED|EMPTY_RESPONSE|ABORTED)/;

const [folder, only = ""] = process.argv.slice(2);
if (folder) mkdirSync(folder, { recursive: true });
const { world, stop } = await start(DIST);
const wanted = Object.entries(states).filter(([name]) => name.includes(only));
for (const [name, state] of wanted) world.scenarios[name] = state;
// A name that isn't this computer's: there, pages over plain http have no secure context.
const browser = await launch("--host-resolver-rules=MAP tv.example 127.0.0.1");
const findings = [];

async function open(name, state, [size, colorScheme]) {
  const context = await browser.newContext({
    viewport: SIZES[size],
    colorScheme,
    reducedMotion: "reduce",
    userAgent: state.userAgent,
    extraHTTPHeaders: { "x-scenario": name },
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  if (state.user) await page.addInitScript(() => localStorage.setItem("logged-in", "yes"));
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !EXPECTED.test(text)) findings.push(`${name}: ${text}`);
  });
  page.on("pageerror", (error) => findings.push(`${name}: ${error}`));
  return { context, page };
}

async function check(page, name, look) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
  for (const { id, impact, help, nodes } of violations) {
    if (impact !== "serious" && impact !== "critical") continue;
    const where = nodes.slice(0, 3).map(({ target }) => target.join(" ")).join("; ");
    findings.push(`${name} (${look}): ${id}, ${help}: ${where}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) findings.push(`${name} (${look}): ${wide} px wider than the screen`);
}

// What is there to see how pages behave, not how they look, is seen on the desk only.
function looksOf({ behaves }) {
  const looks = folder ? PICTURED : CHECKED;
  return behaves ? looks.filter(([size]) => size === "desk") : looks;
}

// One page is enough: what is done on the phone is then looked at on the desk too.
async function visit(name, state) {
  const looks = looksOf(state);
  const { context, page } = await open(name, state, looks[0]);
  try {
    const site = state.plain ? world.site.replace("localhost", "tv.example") : world.site;
    await page.goto(site + state.path, { waitUntil: "domcontentloaded" });
    await state.act?.(page, { world, context, expect: (good, what) => good || findings.push(`${name}: ${what}`) });
    await page.getByText(state.shows).first().waitFor();
    for (const [size, theme] of looks) {
      await page.setViewportSize(SIZES[size]);
      await page.emulateMedia({ colorScheme: theme });
      if (CHECKED.some((look) => look[0] === size && look[1] === theme)) await check(page, name, `${size}, ${theme}`);
      if (folder) await page.screenshot({ path: join(folder, `${name}-${size}-${theme}.png`), fullPage: true });
    }
  } catch (error) {
    findings.push(`${name}: ${error}`);
    if (folder) await page.screenshot({ path: join(folder, `${name}-failed.png`) }).catch(() => undefined);
  } finally {
    await context.close();
  }
}

const queue = [...wanted];
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await visit(...next);
  }),
);
await browser.close();
stop();
for (const finding of findings) console.error(finding);
console.log(`${wanted.length} states, ${findings.length} findings`);
process.exit(findings.length > 0 ? 1 : 0);

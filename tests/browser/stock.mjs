// Builds and serves the page of stock/: the npm packages unchanged, bundled with the pages' own tools.
//
//   node stock.mjs '{"session": "<answer of POST /streams/{id}/sessions>", "seconds": 30}'
//
// plays a session and says its counters as a line of JSON.
import { createReadStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const PACKAGES = join(HERE, "../../crates/web/node_modules");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8" };

// Where the page is, and how to end it.
export async function serveStock() {
  const { build } = await import(join(PACKAGES, "vite/dist/node/index.js"));
  const out = mkdtempSync(join(tmpdir(), "streamr-stock-"));
  await build({
    root: join(HERE, "stock"),
    configFile: false,
    logLevel: "error",
    // The tracker client asks.
    define: { "process.browser": "true" },
    // The packages are the pages' own; they are resolved from there.
    resolve: { alias: ["hls.js", "p2p-media-loader-hlsjs", "events"].map((name) => ({ find: new RegExp(`^${name}$`), replacement: join(PACKAGES, name) })) },
    build: { outDir: out, emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 2000 },
  });
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    const file = join(out, extname(path) ? path : "index.html");
    if (!existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    return createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
    rmSync(out, { recursive: true, force: true });
  };
  return { url: `http://localhost:${server.address().port}/`, stop };
}

// What the page plays, of the answer to POST /streams/{id}/sessions.
export function stockAddress(url, session, more = {}) {
  const { friends_playlist: playlist, swarm_id: swarmId, trackers, stun } = session;
  return `${url}#${encodeURIComponent(JSON.stringify({ playlist, swarmId, trackers, stun, ...more }))}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { session, seconds = 30 } = JSON.parse(process.argv[2]);
  const { url, stop } = await serveStock();
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(stockAddress(url, session));
    await page.waitForTimeout(seconds * 1000);
    console.log(JSON.stringify(await page.evaluate(() => window.stock())));
  } finally {
    await browser.close();
    stop();
  }
}

// A live stream of a file, as an edge serves it in friends mode: whole segments, and a digest of each.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SECONDS = 2;
const WINDOW = 15;
const EPOCH = 7;
const OPEN = { "access-control-allow-origin": "*", "access-control-allow-headers": "range", "cache-control": "no-store" };

export class LiveStream {
  // What left for whom, by session.
  served = new Map();
  gone = false;
  #parts;
  #init;
  #began;

  constructor(ffmpeg, segments = 120) {
    const folder = mkdtempSync(join(tmpdir(), "streamr-live-"));
    const rate = ["-f", "lavfi", "-i", `testsrc2=size=640x360:rate=25:duration=${segments * SECONDS}`, "-f", "lavfi", "-i", `sine=frequency=440:duration=${segments * SECONDS}`];
    const encode = ["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-b:v", "1500k", "-minrate", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", "-x264-params", "nal-hrd=cbr", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac"];
    const hls = ["-f", "hls", "-hls_time", `${SECONDS}`, "-hls_list_size", "0", "-hls_segment_type", "fmp4", "-hls_segment_filename", join(folder, "%05d.m4s"), join(folder, "all.m3u8")];
    execFileSync(ffmpeg, ["-hide_banner", "-loglevel", "error", ...rate, ...encode, ...hls], { stdio: ["ignore", "ignore", "inherit"] });
    this.#init = readFileSync(join(folder, "init.mp4"));
    this.#parts = readdirSync(folder).filter((name) => name.endsWith(".m4s")).sort().map((name) => readFileSync(join(folder, name)));
    rmSync(folder, { recursive: true, force: true });
    this.#began = Date.now() - WINDOW * SECONDS * 1000;
  }

  // Answers what it knows.
  answer(url, request, response) {
    if (this.gone) return response.destroy();
    const [, , , session, name, file] = /^\/live\/([^/]+)\/(?:(s)\/([^/]+)\/)?(?:(.*)\/)?([^/]+)$/.exec(url.pathname) ?? [];
    if (file === "friends.m3u8" && !session) return this.#text(response, this.#multivariant(url));
    if (file === "friends.m3u8") return this.#text(response, this.#media());
    if (file === "init.mp4") return this.#bytes(request, response, this.#init);
    const bytes = this.#parts[Number(file?.split(".")[0])];
    if (name !== `${EPOCH}` || !bytes) return response.writeHead(404, OPEN).end();
    return this.#bytes(request, response, bytes, session);
  }

  #text(response, text) {
    response.writeHead(200, { "content-type": "application/vnd.apple.mpegurl", ...OPEN }).end(text);
  }

  #bytes(request, response, bytes, session) {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const range = from > 0 ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
    if (session) this.served.set(session, (this.served.get(session) ?? 0) + bytes.length - from);
    response.writeHead(from > 0 ? 206 : 200, { "content-type": "video/mp4", "content-length": bytes.length - from, ...range, ...OPEN });
    response.end(request.method === "HEAD" ? undefined : bytes.subarray(from));
  }

  #multivariant(url) {
    const session = url.searchParams.get("token") ?? "bare";
    return `#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH=1800000,CODECS="avc1.42c01e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=25.000\ns/${session}/friends.m3u8\n`;
  }

  #media() {
    const last = Math.min(this.#parts.length, Math.floor((Date.now() - this.#began) / 1000 / SECONDS));
    const first = Math.max(0, last - WINDOW);
    const lines = ["#EXTM3U", "#EXT-X-VERSION:7", `#EXT-X-TARGETDURATION:${SECONDS}`, `#EXT-X-MEDIA-SEQUENCE:${first}`, `#EXT-X-MAP:URI="${EPOCH}/init.mp4"`];
    for (let number = first; number < last; number += 1) {
      lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(this.#began + number * SECONDS * 1000).toISOString()}`);
      lines.push(`#EXT-X-STREAMR-SHA256:${createHash("sha256").update(this.#parts[number]).digest("hex")}`, `#EXTINF:${SECONDS}.000,`, `${EPOCH}/${number}.m4s`);
    }
    return `${lines.join("\n")}\n`;
  }
}

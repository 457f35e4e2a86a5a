// ffmpeg in the place of OBS: it is given a server and a key, and sends a file to them again and again.
import { spawn } from "node:child_process";

export class Obs {
  // When it was started, when it had sent the first picture, and when it ended; by the same clock as `Date.now`.
  started = Date.now();
  sent;
  ended;
  #process;
  #end;

  constructor(ffmpeg, file, server, key) {
    const arguments_ = ["-hide_banner", "-nostdin", "-loglevel", "error", "-progress", "pipe:1", "-stats_period", "0.1"];
    arguments_.push("-re", "-stream_loop", "-1", "-i", file, "-c", "copy", "-f", "flv", `${server}/${key}`);
    // It never outlives this process.
    this.#process = spawn("setpriv", ["--pdeathsig", "KILL", "--", ffmpeg, ...arguments_], { stdio: ["ignore", "pipe", "ignore"] });
    this.#process.stdout.on("data", (text) => {
      if (/^frame=[1-9]/m.test(text)) this.sent ??= Date.now();
    });
    this.#end = new Promise((resolve) => {
      this.#process.once("error", resolve);
      this.#process.once("exit", () => {
        this.ended = Date.now();
        resolve();
      });
    });
  }

  // Whether it ends by itself within this time.
  async ends(withinMs) {
    let timer;
    const patience = new Promise((resolve) => (timer = setTimeout(resolve, withinMs)));
    await Promise.race([this.#end, patience]);
    clearTimeout(timer);
    return this.ended !== undefined;
  }

  stop() {
    this.#process.kill("SIGKILL");
  }
}

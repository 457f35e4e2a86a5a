// Somebody with a browser of their own: nothing is known of them, and what goes wrong on their pages is kept.
import { join } from "node:path";

const PATIENCE_MS = 20_000;

export class Visitor {
  // `expected` are errors that belong to what this visitor tries.
  static async arrive(browser, name, { expected, pictures, errors }) {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      permissions: ["clipboard-read", "clipboard-write"],
    });
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
        console.error(`the policy’s ${violatedDirective} forbids ${blockedURI}`);
      });
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const note = (text) => {
      if (!expected?.test(text)) errors.push(`${name} at ${new URL(page.url()).pathname}: ${text}`);
    };
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") note(`${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => note(String(error)));
    return new Visitor(page, pictures);
  }

  constructor(page, pictures) {
    this.page = page;
    this.pictures = pictures;
  }

  press(name) {
    return this.page.getByRole("button", { name, exact: true }).click();
  }

  follow(name) {
    return this.page.getByRole("link", { name, exact: true }).click();
  }

  sees(text, options) {
    return this.page.getByText(text).first().waitFor(options);
  }

  // What the button beside `label` copies.
  async copies(label) {
    await this.press(`Copy ${label}`);
    await this.page.getByRole("button", { name: `Copy ${label}`, exact: true }).getByText("Copied").waitFor();
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  // Milliseconds from now until the player plays and the picture moved for two seconds.
  async plays() {
    const asked = Date.now();
    const player = this.page.getByRole("region", { name: "Player" });
    await player.and(this.page.locator('[data-state="playing"]')).waitFor();
    const startedMs = Date.now() - asked;
    const video = await player.locator("video").elementHandle();
    const from = await video.evaluate(({ currentTime }) => currentTime);
    await this.page.waitForFunction(([video, from]) => video.currentTime > from + 2, [video, from]);
    return startedMs;
  }

  // Of the whole page; of what is on the screen while a dialog covers it.
  async picture(name) {
    if (!this.pictures) return;
    const fullPage = !(await this.page.getByRole("dialog").isVisible());
    await this.page.screenshot({ path: join(this.pictures, `newcomer-${name}.png`), fullPage });
  }

  leave() {
    return this.page.context().close();
  }
}

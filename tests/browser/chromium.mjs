// Debian's Chromium, quiet: it asks nobody anything.
import { chromium } from "playwright-core";

export function launch(...more) {
  return chromium.launch({
    executablePath: process.env.STREAMR_TEST_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...more,
    ],
  });
}

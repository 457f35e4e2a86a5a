/** Asking again and again, more rarely while it fails. */

const LONGEST_MS = 15_000;

/** The pause after `failures` failed attempts in a row; `random` is in [0, 1). */
export function pause(usual: number, failures: number, random: number): number {
  const longer = Math.min(usual * 2 ** failures, Math.max(LONGEST_MS, usual));
  return failures === 0 ? longer : longer * (0.75 + random / 2);
}

export interface Poll {
  /** Ask now. */
  now(): void;
  stop(): void;
}

/**
 * Runs `task` at once and then every `usual()` milliseconds after it ended; it reports its own
 * results and throws when it failed. `usual` returning undefined ends the polling until `now()`.
 */
export function poll(task: (signal: AbortSignal) => Promise<void>, usual: () => number | undefined): Poll {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let running = false;
  const stopped = new AbortController();

  async function run(): Promise<void> {
    if (running || stopped.signal.aborted) return;
    clearTimeout(timer);
    running = true;
    try {
      await task(stopped.signal);
      failures = 0;
    } catch {
      failures += 1;
    }
    running = false;
    const next = usual();
    if (stopped.signal.aborted || next === undefined) return;
    timer = setTimeout(() => void run(), pause(next, failures, Math.random()));
  }

  const seen = (): void => {
    if (document.visibilityState === 'visible' && usual() !== undefined) void run();
  };
  document.addEventListener('visibilitychange', seen);
  void run();
  return {
    now: () => void run(),
    stop() {
      stopped.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
    },
  };
}

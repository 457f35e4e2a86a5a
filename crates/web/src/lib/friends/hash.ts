/** SHA-256 by the browser; where it has none (plain http), by a worker, or without one by the page itself. */

import { sha256 as inPage } from '@noble/hashes/sha2.js';

interface Asked {
  data: ArrayBuffer;
  resolve: (hash: string) => void;
}

type Waiting = Map<number, Asked>;

let worker: { port: Worker; waiting: Waiting; next: number } | undefined;
let withoutWorker = false;

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function subtle(): SubtleCrypto | undefined {
  return (crypto as { subtle?: SubtleCrypto }).subtle;
}

/** Starts the worker, where one will be needed: before the first segment is there. */
export function prepare(): void {
  if (!subtle() && !withoutWorker) running();
}

export async function sha256(data: ArrayBuffer): Promise<string> {
  const browsers = subtle();
  if (browsers) return hex(new Uint8Array(await browsers.digest('SHA-256', data)));
  return withoutWorker ? here(data) : inWorker(data);
}

function here(data: ArrayBuffer): string {
  return hex(inPage(new Uint8Array(data)));
}

/** Some pages may start none. */
function running(): typeof worker {
  try {
    return (worker ??= start());
  } catch {
    withoutWorker = true;
    return undefined;
  }
}

function inWorker(data: ArrayBuffer): Promise<string> | string {
  const its = running();
  if (!its) return here(data);
  const { port, waiting } = its;
  const id = its.next++;
  return new Promise((resolve) => {
    waiting.set(id, { data, resolve });
    // A copy: the bytes are played, and given to others, meanwhile.
    port.postMessage({ id, data });
  });
}

function start(): NonNullable<typeof worker> {
  const port = new Worker(new URL('./hash-worker.ts', import.meta.url), { type: 'module' });
  const waiting: Waiting = new Map();
  port.onmessage = ({ data }: MessageEvent<{ id: number; hash: string }>) => {
    waiting.get(data.id)?.resolve(data.hash);
    waiting.delete(data.id);
  };
  // Nobody is blamed for a worker that can't run: the page hashes by itself from now on.
  port.onerror = () => {
    withoutWorker = true;
    worker = undefined;
    for (const { data, resolve } of waiting.values()) resolve(here(data));
    waiting.clear();
  };
  return { port, waiting, next: 0 };
}

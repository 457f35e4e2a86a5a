/** SHA-256 by the browser; where it has none (plain http), by a worker. */

type Waiting = Map<number, (hash: string) => void>;

let worker: { port: Worker; waiting: Waiting; next: number } | undefined;

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export async function sha256(data: ArrayBuffer): Promise<string> {
  const subtle = (crypto as { subtle?: SubtleCrypto }).subtle;
  if (subtle) return hex(new Uint8Array(await subtle.digest('SHA-256', data)));
  return inWorker(data);
}

function inWorker(data: ArrayBuffer): Promise<string> {
  worker ??= start();
  const { port, waiting } = worker;
  const id = worker.next++;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    // A copy: the bytes are played, and given to others, meanwhile.
    port.postMessage({ id, data });
  });
}

function start(): NonNullable<typeof worker> {
  const port = new Worker(new URL('./hash-worker.ts', import.meta.url), { type: 'module' });
  const waiting: Waiting = new Map();
  port.onmessage = ({ data }: MessageEvent<{ id: number; hash: string }>) => {
    waiting.get(data.id)?.(data.hash);
    waiting.delete(data.id);
  };
  // What can't be checked is not accepted.
  port.onerror = () => {
    for (const resolve of waiting.values()) resolve('');
    waiting.clear();
    worker = undefined;
  };
  return { port, waiting, next: 0 };
}

/** The coordinator's public API, as far as the pages read it. */

export type StreamState = 'ready' | 'live' | 'offline';

export interface Playback {
  hls: string;
  friends: string;
  flv: string;
  rtmp: string;
}

export interface Health {
  bitrate_bps: number;
  frame_rate: number;
  gop_ms: number;
  drift_ms: number;
  codecs: string;
  width: number;
  height: number;
}

export interface Stream {
  id: string;
  slug: string;
  title: string;
  state: StreamState;
  reconnecting: boolean;
  started_at: string | null;
  ended_at: string | null;
  viewers: number;
  playback: Playback;
  health?: Health;
}

/** Why the API gave no answer. */
export class ApiError extends Error {
  constructor(
    readonly kind: 'missing' | 'refused' | 'server' | 'unreachable',
    message: string,
  ) {
    super(message);
  }
}

const TIMEOUT_MS = 8000;
/** Under this, a difference to the server's clock is the header's rounding. */
const SKEW_MS = 2000;

let skew = 0;

/** The server's time: elapsed times are right even where the viewer's clock isn't. */
export function serverNow(): number {
  return Date.now() + skew;
}

function noteClock(response: Response): void {
  const date = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(date)) return;
  const difference = date + 500 - Date.now();
  skew = Math.abs(difference) > SKEW_MS ? difference : 0;
}

async function read<T>(path: string, signal?: AbortSignal): Promise<T> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      headers: { accept: 'application/json' },
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch {
    throw new ApiError('unreachable', 'The server doesn’t answer.');
  }
  noteClock(response);
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  const detail = problem.detail ?? `The server answered ${response.status}.`;
  if (response.status === 404) throw new ApiError('missing', detail);
  throw new ApiError(response.status >= 500 ? 'server' : 'refused', detail);
}

const STREAMS = '/api/v1/streams';

export async function liveStreams(signal?: AbortSignal): Promise<Stream[]> {
  return (await read<{ streams: Stream[] }>(`${STREAMS}?state=live`, signal)).streams;
}

export async function allStreams(signal?: AbortSignal): Promise<Stream[]> {
  return (await read<{ streams: Stream[] }>(STREAMS, signal)).streams;
}

let early: { name: string; answer: Promise<Stream> } | undefined;

/** Asks for a stream before there is a component to show it. */
export function firstLook(name: string): void {
  const answer = read<Stream>(`${STREAMS}/${encodeURIComponent(name)}`);
  answer.catch(() => undefined);
  early = { name, answer };
}

export function stream(name: string, signal?: AbortSignal): Promise<Stream> {
  if (early?.name === name) {
    const { answer } = early;
    early = undefined;
    return answer;
  }
  return read<Stream>(`${STREAMS}/${encodeURIComponent(name)}`, signal);
}

/** What OBS calls the server: the RTMP address without the stream's name. */
export function rtmpServer(rtmp: string): string {
  return rtmp.slice(0, rtmp.lastIndexOf('/'));
}

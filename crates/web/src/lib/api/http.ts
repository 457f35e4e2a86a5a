/** One request to the API: the login's token, the time limit, and the answer or the reason for none. */

import { ApiError, fromAnswer } from './error';
import { noteClock } from './server-clock';

export type Query = Record<string, string | number | boolean | null | undefined>;

export interface Ask {
  body?: unknown;
  /** The secret of a share link. */
  share?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Without the login's token, even where there is one. */
  anonymous?: boolean;
  /** Makes something: sent twice, it makes one. */
  creates?: boolean;
  /** Lives on when the page is left. */
  keepalive?: boolean;
}

/** How requests come by the login; set by the session, which itself makes requests. */
interface Login {
  token(): string | undefined;
  /** Makes a new token; false when one has to log in again. */
  renew(): Promise<boolean>;
}

const TIMEOUT_MS = 8000;
const ROOT = '/api/v1';

let login: Login = { token: () => undefined, renew: () => Promise.resolve(false) };

export function useLogin(its: Login): void {
  login = its;
}

/** `/streams/{s}` with its names filled in. */
export function fill(template: string, path: Record<string, string> = {}, query: Query = {}): string {
  const address = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(path[name] ?? ''));
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') asked.set(name, String(value));
  }
  const text = asked.toString();
  return `${ROOT}${address}${text === '' ? '' : `?${text}`}`;
}

function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function headers(ask: Ask, accept: string): Record<string, string> {
  const made: Record<string, string> = { accept };
  const token = ask.anonymous ? undefined : login.token();
  if (token !== undefined) made['authorization'] = `Bearer ${token}`;
  if (ask.share !== undefined) made['share-secret'] = ask.share;
  if (ask.body !== undefined) made['content-type'] = 'application/json';
  if (ask.creates) made['idempotency-key'] = idempotencyKey();
  return made;
}

async function once(method: string, address: string, ask: Ask, accept: string, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(address, {
      method,
      headers: headers(ask, accept),
      cache: 'no-store',
      credentials: 'same-origin',
      signal,
      ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
      ...(ask.keepalive ? { keepalive: true } : {}),
    });
  } catch {
    throw new ApiError('unreachable', 'The server doesn’t answer.');
  }
}

/** The answer; a token that ran out is renewed once. */
export async function request(
  method: string,
  address: string,
  ask: Ask = {},
  accept = 'application/json',
  signal: AbortSignal = limit(ask.signal),
): Promise<Response> {
  const before = ask.anonymous ? undefined : login.token();
  let response = await once(method, address, ask, accept, signal);
  if (response.status === 401 && before !== undefined) {
    const renewed = await login.renew();
    // A login that is over is no reason not to show what everybody may see.
    const asAnyone = method === 'GET' && login.token() === undefined;
    if (renewed || asAnyone) response = await once(method, address, ask, accept, signal);
  }
  noteClock(response);
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as Parameters<typeof fromAnswer>[1];
  throw fromAnswer(response.status, problem, response.headers.get('retry-after'));
}

function limit(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

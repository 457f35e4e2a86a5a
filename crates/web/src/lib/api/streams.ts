/** What everybody may ask about streams: enough to list and to watch them. */

import { call } from './call';
import type { Ask } from './http';
import type { PlaybackSession, Stream } from './types';

export async function liveStreams(signal?: AbortSignal): Promise<Stream[]> {
  return (await call('get', '/streams', { query: { state: 'live' }, signal })).streams;
}

export async function allStreams(signal?: AbortSignal): Promise<Stream[]> {
  return (await call('get', '/streams', { signal })).streams;
}

let early: { name: string; answer: Promise<Stream> } | undefined;

/** Asks for a stream before there is a component to show it. */
export function firstLook(name: string, share: string | undefined): void {
  const answer = call('get', '/streams/{stream}', { path: { stream: name }, share });
  answer.catch(() => undefined);
  early = { name, answer };
}

export function stream(name: string, ask: Pick<Ask, 'share' | 'signal'> = {}): Promise<Stream> {
  if (early?.name === name) {
    const { answer } = early;
    early = undefined;
    return answer;
  }
  return call('get', '/streams/{stream}', { path: { stream: name }, ...ask });
}

export interface FriendsAsk {
  /** Whether friends may carry the session. */
  friends?: boolean;
  /** Verifies this page's receipts. */
  receipt_key?: string;
}

/** Addresses that play; with a token in them where the stream isn't for everybody. */
export function openPlayback(name: string, share: string | undefined, ask: FriendsAsk = {}): Promise<PlaybackSession> {
  const body = { ...ask, ...(share === undefined ? {} : { share }) };
  return call('post', '/streams/{stream}/sessions', { path: { stream: name }, body });
}

/** What OBS calls the server: the RTMP address without the stream's name. */
export function rtmpServer(rtmp: string): string {
  return rtmp.slice(0, rtmp.lastIndexOf('/'));
}

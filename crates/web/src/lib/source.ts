/** Where the player gets a stream: from the edges, or with friends who carry it. */

import { ApiError, asApiError } from './api/error';
import { openPlayback } from './api/streams';
import type { Delivery, PlaybackSession, Stream } from './api/types';
import type { CarriedSession } from './friends/session';
import { needsToken, type PlaybackAccess } from './playback';

export interface Opened {
  url: string;
  /** There where friends may carry it. */
  carried?: CarriedSession;
}

export interface Source {
  /** Another one means to begin anew. */
  key: string;
  mode: Delivery;
  open: () => Promise<Opened>;
}

type Carrying = typeof import('./friends/carry');

let carrying: Promise<Carrying> | undefined;

/** The part that only sessions carried by friends need. */
export function loadCarrying(): Promise<Carrying> {
  carrying ??= import('./friends/carry').catch((error: unknown) => {
    carrying = undefined;
    throw error;
  });
  return carrying;
}

/** Whether this browser can be given anything by friends. */
export function carriable(): boolean {
  return 'RTCPeerConnection' in globalThis && 'MediaSource' in globalThis;
}

/** At most 2 s behind, from the edges alone. */
export function lowLatency(stream: Stream, access: PlaybackAccess): Source {
  const { hls } = stream.playback;
  const closed = needsToken(stream);
  return {
    key: `low_latency ${hls}`,
    mode: 'low_latency',
    open: async () => ({ url: closed ? await access.playlist() : hls }),
  };
}

/** 6 to 9 s behind; carried by friends, unless the viewer doesn't want that. */
export function friendly(stream: Stream, share: string | undefined, allowed: boolean): Source {
  const { friends } = stream.playback;
  const closed = needsToken(stream);
  const ask = allowed && carriable();
  let last: { answer: PlaybackSession; carried: CarriedSession | undefined } | undefined;

  async function begin(): Promise<Opened> {
    if (!ask && !closed) return opened();
    const carrying = ask ? await loadCarrying().catch(() => undefined) : undefined;
    const key = carrying?.makeKey();
    const answer = await openPlayback(stream.slug, share, key ? { friends: true, receipt_key: key.shown } : { friends: false });
    last = { answer, carried: key && session(answer, key) };
    return opened();
  }

  function opened(): Opened {
    if (!last) return { url: friends };
    const { answer, carried } = last;
    return { url: answer.friends_playlist, ...(carried ? { carried } : {}) };
  }

  return {
    key: `friends ${ask ? 'carried' : 'alone'} ${friends}`,
    mode: 'friends',
    async open() {
      try {
        return await begin();
      } catch (error) {
        if (!away(asApiError(error)) || (closed && !last)) throw error;
        // The coordinator is away: what it opened may be opened again, as another epoch.
        if (last?.carried) last.carried = { ...last.carried, epoch: last.carried.epoch + 1 };
        return opened();
      }
    },
  };
}

function away({ kind, status }: ApiError): boolean {
  return kind === 'unreachable' || kind === 'server' || status === 429;
}

function session(answer: PlaybackSession, key: CarriedSession['key']): CarriedSession | undefined {
  const { trackers, swarm_id, stun, friends_only } = answer;
  if (trackers.length === 0) return undefined;
  return { session: answer.session, token: answer.token, swarmId: swarm_id, trackers, stun, friendsOnly: friends_only, key, epoch: 1 };
}

/** What a page says about its session: its receipts, and peers that gave wrong bytes. */

import { ApiError } from './error';
import { fill, request } from './http';
import type { Reason } from '../friends/conduct';
import type { Outcome, Post } from '../friends/spool';

export interface Report {
  token: string;
  peer_id: string;
  epoch: number;
  msn: number;
  /** Of what came, where something came. */
  sha256?: string;
  reason: Reason;
}

/** Where the session's peers are told. */
export function peersAddress(session: string, token: string): string {
  return fill('/sessions/{session}/events', { session }, { token });
}

/** `last`: the page ends. What is to outlive it may have 64 KiB in all. */
export async function sendReceipts({ session, token, receipts }: Post, last: boolean): Promise<Outcome> {
  const address = fill('/sessions/{session}/receipts', { session });
  try {
    await request('POST', address, { body: { token, receipts }, anonymous: true, keepalive: last });
    return 'kept';
  } catch (error) {
    if (!(error instanceof ApiError)) return 'refused';
    const away = error.kind === 'unreachable' || error.kind === 'server' || error.status === 429;
    if (away) return 'away';
    return error.status === 422 || error.status === 400 ? 'old' : 'refused';
  }
}

export async function sendReport(session: string, body: Report): Promise<void> {
  await request('POST', fill('/sessions/{session}/reports', { session }), { body, anonymous: true });
}

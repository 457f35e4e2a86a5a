/** What the owner of a stream may ask and do. */

import { call } from './call';
import type {
  AuditEntry,
  BroadcastHistory,
  Delivery,
  HealthHistory,
  List,
  NewShareLink,
  NewStream,
  SessionEntry,
  ShareLink,
  Stream,
  StreamState,
  Visibility,
} from './types';

export interface StreamChange {
  title?: string;
  description?: string;
  visibility?: Visibility;
  testing?: boolean;
  delivery?: Delivery;
  friends_only?: boolean;
}

export const myStreams = (signal?: AbortSignal): Promise<{ streams: Stream[]; next?: string | null }> =>
  call('get', '/streams', { query: { owner: 'me', limit: 100 }, signal });

export const createStream = (body: StreamChange & { title: string; slug?: string }): Promise<NewStream> =>
  call('post', '/streams', { body, creates: true });

export const changeStream = (s: string, body: StreamChange): Promise<Stream> =>
  call('patch', '/streams/{stream}', { path: { stream: s }, body });

export const deleteStream = (s: string): Promise<void> => call('delete', '/streams/{stream}', { path: { stream: s } });

export const newKey = (s: string): Promise<{ stream_key: string }> => call('post', '/streams/{stream}/key', { path: { stream: s } });

export const moveStream = (s: string, state: Extract<StreamState, 'live' | 'offline' | 'archived'>): Promise<Stream> =>
  call('post', '/streams/{stream}/state', { path: { stream: s }, body: { state } });

export const healthHistory = (s: string, signal?: AbortSignal): Promise<HealthHistory> =>
  call('get', '/streams/{stream}/health', { path: { stream: s }, signal });

export const streamHistory = (s: string, after?: string): Promise<BroadcastHistory> =>
  call('get', '/streams/{stream}/history', { path: { stream: s }, query: { after, limit: 10 } });

export const playbackSessions = (s: string, after?: string): Promise<List<SessionEntry>> =>
  call('get', '/streams/{stream}/sessions', { path: { stream: s }, query: { after } });

export const endPlaybackSession = (s: string, id: string): Promise<void> =>
  call('delete', '/streams/{stream}/sessions/{session}', { path: { stream: s, session: id } });

export const shareLinks = (s: string): Promise<List<ShareLink>> =>
  call('get', '/streams/{stream}/links', { path: { stream: s } });

export const createShareLink = (s: string, label: string): Promise<NewShareLink> =>
  call('post', '/streams/{stream}/links', { path: { stream: s }, body: { label }, creates: true });

export const deleteShareLink = (s: string, id: string): Promise<void> =>
  call('delete', '/streams/{stream}/links/{link}', { path: { stream: s, link: id } });

export const myAudit = (after?: string): Promise<List<AuditEntry>> => call('get', '/me/audit', { query: { after, limit: 20 } });

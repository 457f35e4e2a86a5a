/** What the owner of a stream may ask and do. */

import { call } from './http';
import type {
  AuditEntry,
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
}

export const myStreams = (signal?: AbortSignal): Promise<{ streams: Stream[]; next?: string | null }> =>
  call('get', '/streams', { query: { owner: 'me', limit: 100 }, signal });

export const createStream = (body: StreamChange & { title: string; slug?: string }): Promise<NewStream> =>
  call('post', '/streams', { body });

export const changeStream = (s: string, body: StreamChange): Promise<Stream> =>
  call('patch', '/streams/{s}', { path: { s }, body });

export const deleteStream = (s: string): Promise<void> => call('delete', '/streams/{s}', { path: { s } });

export const newKey = (s: string): Promise<{ stream_key: string }> => call('post', '/streams/{s}/key', { path: { s } });

export const moveStream = (s: string, state: Extract<StreamState, 'live' | 'offline' | 'archived'>): Promise<Stream> =>
  call('post', '/streams/{s}/state', { path: { s }, body: { state } });

export const healthHistory = (s: string, signal?: AbortSignal): Promise<HealthHistory> =>
  call('get', '/streams/{s}/health', { path: { s }, signal });

export const playbackSessions = (s: string, after?: string): Promise<List<SessionEntry>> =>
  call('get', '/streams/{s}/sessions', { path: { s }, query: { after } });

export const endPlaybackSession = (s: string, id: string): Promise<void> =>
  call('delete', '/streams/{s}/sessions/{id}', { path: { s, id } });

export const shareLinks = (s: string, after?: string): Promise<List<ShareLink>> =>
  call('get', '/streams/{s}/links', { path: { s }, query: { after } });

export const createShareLink = (s: string, label: string): Promise<NewShareLink> =>
  call('post', '/streams/{s}/links', { path: { s }, body: { label } });

export const deleteShareLink = (s: string, id: string): Promise<void> =>
  call('delete', '/streams/{s}/links/{id}', { path: { s, id } });

export const myAudit = (after?: string): Promise<List<AuditEntry>> => call('get', '/me/audit', { query: { after, limit: 20 } });

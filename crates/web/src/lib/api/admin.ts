/** What only admins may ask and do. */

import { call } from './call';
import { fill, request } from './http';
import type { AdminUser, AuditEntry, Flag, Invitation, List, Registration, Role, Service, Stream, User } from './types';

export const users = (query: string, after?: string): Promise<List<AdminUser>> =>
  call('get', '/admin/users', { query: { query, after } });

export const changeUser = (id: string, body: { role?: Role; banned?: boolean }): Promise<User> =>
  call('patch', '/admin/users/{user}', { path: { user: id }, body });

export const resetLink = (id: string): Promise<{ url: string; expires_at: string }> =>
  call('post', '/admin/users/{user}/reset-link', { path: { user: id } });

export async function everyStream(after?: string): Promise<List<Stream>> {
  const { streams, next } = await call('get', '/streams', {
    query: { owner: 'all', after },
  });
  return { items: streams, next: next ?? null };
}

export const invitations = (after?: string): Promise<List<Invitation>> =>
  call('get', '/admin/invitations', { query: { after } });

export const invite = (body: { email?: string; role: Role }): Promise<Invitation & { url: string }> =>
  call('post', '/admin/invitations', { body, creates: true });

export const withdrawInvitation = (id: string): Promise<void> =>
  call('delete', '/admin/invitations/{invitation}', { path: { invitation: id } });

export const services = (): Promise<List<Service>> => call('get', '/admin/services');

export const settings = (): Promise<{ registration: Registration }> => call('get', '/admin/settings');

export const changeSettings = (body: { registration: Registration }): Promise<{ registration: Registration }> =>
  call('patch', '/admin/settings', { body });

export const flags = (): Promise<List<Flag>> => call('get', '/admin/flags');

export const setFlag = (name: string, enabled: boolean): Promise<Flag> =>
  call('put', '/admin/flags/{flag}', { path: { flag: name }, body: { enabled } });

export const audit = (action: string, after?: string): Promise<List<AuditEntry>> =>
  call('get', '/admin/audit', { query: { action, after } });

/** The whole log, one entry a line. It may be long: the limit is a minute. */
export async function exportAudit(): Promise<Blob> {
  const address = fill('/admin/audit/export');
  const answer = await request('GET', address, {}, 'application/x-ndjson', AbortSignal.timeout(60_000));
  return answer.blob();
}

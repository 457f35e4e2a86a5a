/** Friends who carry a stream: their invites, what they do, and what it saves. */

import { call } from './call';
import type { components } from './schema';
import type { List } from './types';

type Schemas = components['schemas'];

export type InviteState = 'open' | 'used' | 'revoked' | 'expired';
export type FriendStatus = 'online' | 'offline' | 'paused' | 'draining' | 'quarantined';

export type Invite = Omit<Schemas['InviteView'], 'state'> & { state: InviteState };
/** The link is told only once. */
export type NewInvite = Invite & { link: string };
export type InviteLook = Schemas['SeenInvite'];
export type Download = Schemas['Download'];
export type Friend = Omit<Schemas['FriendView'], 'status'> & { status: FriendStatus };
export type DeliveryFacts = Schemas['DeliveryView'];
export type Sample = Schemas['Sample'];
export type Supporter = Omit<Schemas['SupporterView'], 'status'> & { status: FriendStatus };

/** The description calls their states text, and tells the words in prose. */
function worded<T>(answer: Promise<unknown>): Promise<T> {
  return answer as Promise<T>;
}

export const invites = (stream: string, after?: string): Promise<List<Invite>> =>
  worded(call('get', '/streams/{stream}/invites', { path: { stream }, query: { after } }));

export const createInvite = (stream: string, body: { name?: string; expires_in?: number }): Promise<NewInvite> =>
  worded(call('post', '/streams/{stream}/invites', { path: { stream }, body, creates: true }));

export const deleteInvite = (stream: string, invite: string): Promise<void> =>
  call('delete', '/streams/{stream}/invites/{invite}', { path: { stream, invite } });

export const lookAtInvite = (invite: string): Promise<InviteLook> => call('post', '/invites/look', { body: { invite } });

export const friends = (stream: string, signal?: AbortSignal): Promise<List<Friend>> =>
  worded(call('get', '/streams/{stream}/friends', { path: { stream }, signal }));

export const changeFriend = (stream: string, node: string, body: { paused?: boolean; name?: string }): Promise<void> =>
  call('patch', '/streams/{stream}/friends/{node}', { path: { stream, node }, body });

export const removeFriend = (stream: string, node: string): Promise<void> =>
  call('delete', '/streams/{stream}/friends/{node}', { path: { stream, node } });

export const sendToFriend = (stream: string, node: string, text: string): Promise<void> =>
  call('post', '/streams/{stream}/friends/{node}/message', { path: { stream, node }, body: { text } });

export const deliveryOf = (stream: string, share?: string, signal?: AbortSignal): Promise<DeliveryFacts> =>
  call('get', '/streams/{stream}/delivery', { path: { stream }, share, signal });

export const supporter = (node: string, key: string, signal?: AbortSignal): Promise<Supporter> =>
  worded(call('get', '/supporters/{node}', { path: { node }, query: { key }, signal, anonymous: true }));

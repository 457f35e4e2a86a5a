/** The shapes the API speaks, from its description; `npm run schema` writes it into schema.d.ts. */

import type { components } from './schema';

export type StreamState = 'ready' | 'testing' | 'live' | 'offline' | 'archived';
export type Visibility = 'public' | 'unlisted' | 'private';
export type Role = 'streamer' | 'friend' | 'admin';
/** How viewers get a stream: from our edges within 2 s, or carried by friends. */
export type Delivery = 'low_latency' | 'friends';
export type Registration = 'open' | 'invitation' | 'closed';

/** Fields that the description calls text, and whose words it tells in prose. */
interface Words {
  state: StreamState;
  visibility: Visibility;
  role: Role;
  registration: Registration;
  via: 'owner' | 'link';
  delivery: Delivery;
  mode: Delivery;
}

/** What the API tells, with the words of {@link Words}. */
export type Told<T> = T extends (infer Item)[]
  ? Told<Item>[]
  : T extends object
    ? { [K in keyof T]: K extends keyof Words ? (string extends T[K] ? Words[K] : Told<T[K]>) : Told<T[K]> }
    : T;

type Schemas = components['schemas'];

export type Playback = Schemas['Playback'];
export type Health = Schemas['HealthView'];
export type HealthSample = Schemas['HealthSample'];
export type HealthHistory = Schemas['HealthHistory'];
export type Broadcast = Schemas['BroadcastView'];
export type BroadcastTotals = Schemas['TotalsView'];
export type BroadcastHistory = Schemas['History'];
export type Stream = Told<Schemas['StreamView']>;
export type NewStream = Told<Schemas['CreatedStream']>;
export type PlaybackSession = Told<Schemas['OpenedSession']>;
export type SessionEntry = Told<Schemas['SessionView']>;
export type ShareLink = Schemas['ShareView'];
export type NewShareLink = Schemas['CreatedShare'];
export type User = Told<Schemas['UserView']>;
export type LoginAnswer = Told<Schemas['LoginAnswer']>;
export type Instance = Told<Schemas['Instance']>;
export type LoginEntry = Schemas['LoginView'];
export type AuditEntry = Schemas['AuditView'];
export type AdminUser = Told<Schemas['ListedUser']>;
export type Invitation = Told<Schemas['InvitationView']>;
export type Service = Schemas['ServiceView'];
export type Flag = Schemas['FlagView'];

export interface List<T> {
  items: T[];
  next?: string | null;
}

/** The shapes the API speaks, as the pages name them. */

export type StreamState = 'ready' | 'testing' | 'live' | 'offline' | 'archived';
export type Visibility = 'public' | 'unlisted' | 'private';
export type Role = 'streamer' | 'friend' | 'admin';
export type Registration = 'open' | 'invitation' | 'closed';

export interface Playback {
  hls: string;
  friends: string;
  flv: string;
  rtmp: string;
}

export interface Health {
  bitrate_bps: number;
  frame_rate: number;
  declared_frame_rate?: number | null;
  gop_ms: number;
  drift_ms: number;
  b_frames: boolean;
  codecs: string;
  width: number;
  height: number;
  level: 'good' | 'warning' | 'bad';
  sentence: string;
  remedy?: string | null;
}

export interface Stream {
  id: string;
  slug: string;
  title: string;
  description: string;
  visibility: Visibility;
  state: StreamState;
  testing: boolean;
  reconnecting: boolean;
  created_at: string;
  started_at?: string | null;
  ended_at?: string | null;
  viewers: number;
  peak_viewers: number;
  playback: Playback;
  ingest: { server: string; secure?: string | null };
  thumbnail: string;
  owner?: { id: string; name: string } | null;
  health?: Health | null;
  mine: boolean;
}

export type NewStream = Stream & { stream_key: string };

export interface HealthSample {
  at: string;
  bitrate_bps: number;
  frame_rate: number;
  gop_ms: number;
  drift_ms: number;
  viewers: number;
}

export interface HealthHistory {
  samples: HealthSample[];
  now?: Health | null;
}

export interface PlaybackSession {
  session: string;
  token: string;
  expires_in: number;
  playlist: string;
  friends_playlist: string;
  flv: string;
  rtmp: string;
}

export interface SessionEntry {
  id: string;
  via: 'owner' | 'link';
  link?: { id: string; label: string } | null;
  issued_at: string;
}

export interface ShareLink {
  id: string;
  label: string;
  created_at: string;
  last_used_at?: string | null;
}

export type NewShareLink = ShareLink & { secret: string; url: string };

export interface User {
  id: string;
  email: string;
  display_name: string;
  role: Role;
  totp: boolean;
  created_at: string;
  banned_at?: string | null;
}

export interface LoginAnswer {
  access_token: string;
  token_type: string;
  expires_in: number;
  user: User;
}

export interface Instance {
  name: string;
  version: string;
  setup_required: boolean;
  registration: Registration;
  mail: boolean;
}

export interface LoginEntry {
  id: string;
  current: boolean;
  created_at: string;
  last_used_at: string;
  user_agent?: string | null;
  network?: string | null;
}

export interface AuditEntry {
  id: string;
  at: string;
  action: string;
  actor?: { id: string; name: string } | null;
  subject?: string | null;
  network?: string | null;
  detail?: unknown;
}

export type AdminUser = User & { streams: number };

export interface Invitation {
  id: string;
  email?: string | null;
  role: Role;
  created_at: string;
  expires_at: string;
  used_at?: string | null;
}

export interface Service {
  instance: string;
  kinds: string[];
  address: string;
  viewers: number;
}

export interface Flag {
  name: string;
  description: string;
  enabled: boolean;
  default: boolean;
  updated_at?: string | null;
  updated_by?: string | null;
}

export interface List<T> {
  items: T[];
  next?: string | null;
}

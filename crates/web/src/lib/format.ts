/** Numbers with their units, and times. */

import type { Health } from './api/types';

type Picture = Pick<Health, 'height' | 'frame_rate' | 'declared_frame_rate'>;

/** `1:02:03`, `2:03`; never negative. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, '0');
  const h = Math.floor(seconds / 3600);
  const m = Math.floor((seconds % 3600) / 60);
  return h > 0 ? `${h}:${two(m)}:${two(seconds % 60)}` : `${m}:${two(seconds % 60)}`;
}

/** `just now`, `5 minutes ago`, `3 days ago`. */
export function ago(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return 'just now';
  const words = new Intl.RelativeTimeFormat('en', { numeric: 'always' });
  if (minutes < 60) return words.format(-minutes, 'minute');
  if (minutes < 24 * 60) return words.format(-Math.floor(minutes / 60), 'hour');
  return words.format(-Math.floor(minutes / (24 * 60)), 'day');
}

/** The moment itself, in the viewer's own time. */
export function absolute(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return time;
  return date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** `2.5 Mbit/s`, `128 kbit/s`. */
export function bitrate(bps: number): string {
  if (!Number.isFinite(bps) || bps <= 0) return '–';
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`;
}

/** `3.2 GB`, `640 kB`; as those who sell traffic count. */
export function bytes(count: number): string {
  if (!Number.isFinite(count) || count <= 0) return '0 MB';
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let value = count / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** `1.9 s`; a dash when unknown. */
export function seconds(value: number | undefined, digits = 1): string {
  return value === undefined || !Number.isFinite(value) ? '–' : `${Math.max(0, value).toFixed(digits)} s`;
}

/** `1 viewer`, `12 viewers`. */
export function viewers(count: number): string {
  return `${count.toLocaleString('en')} ${count === 1 ? 'viewer' : 'viewers'}`;
}

/**
 * `720p30`; undefined when the size is not known yet. What is measured wavers by a frame: where it is
 * about what the encoder declared, that is said.
 */
export function quality({ height, frame_rate, declared_frame_rate }: Picture): string | undefined {
  if (height <= 0) return undefined;
  const near = declared_frame_rate && Math.abs(frame_rate / declared_frame_rate - 1) < 0.1;
  const rate = near ? declared_frame_rate : frame_rate;
  return `${height}p${rate > 0 ? Math.round(rate) : ''}`;
}

export function host(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

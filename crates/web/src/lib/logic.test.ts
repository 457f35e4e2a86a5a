import { describe, expect, it } from 'vitest';
import { ApiError, rtmpServer, type Stream } from './api';
import { ago, bitrate, clock, quality, seconds, viewers } from './format';
import { behind, bufferedAhead } from './latency';
import { pause } from './poll';
import { delay, step } from './recovery';
import { route } from './route';
import { shown } from './shown';

const live: Stream = {
  id: 'x', slug: 'main', title: 'Main', state: 'live', reconnecting: false,
  started_at: null, ended_at: null, viewers: 0,
  playback: { hls: '', friends: '', flv: '', rtmp: 'rtmp://h:1935/live/main' },
};

describe('addresses', () => {
  it('lead to pages', () => {
    expect(route('/')).toEqual({ page: 'front' });
    expect(route('/watch/main')).toEqual({ page: 'watch', stream: 'main' });
    expect(route('/watch/')).toEqual({ page: 'nowhere' });
    expect(route('/watch/%E0%A4%A')).toEqual({ page: 'nowhere' });
  });
  it('give OBS its server', () => expect(rtmpServer(live.playback.rtmp)).toBe('rtmp://h:1935/live'));
});

describe('words', () => {
  it('carry units', () => {
    expect(clock(3_723_000)).toBe('1:02:03');
    expect(clock(-5)).toBe('0:00');
    expect(bitrate(2_500_000)).toBe('2.5 Mbit/s');
    expect(bitrate(0)).toBe('–');
    expect(seconds(1.94)).toBe('1.9 s');
    expect(seconds(undefined)).toBe('–');
    expect(viewers(1)).toBe('1 viewer');
    expect(quality(720, 29.97)).toBe('720p30');
    expect(ago(20_000)).toBe('just now');
    expect(ago(3 * 3_600_000)).toBe('3 hours ago');
  });
});

describe('the live edge', () => {
  it('is left only beyond the slack', () => {
    expect(behind(2.4, 1, 2)).toBe(false);
    expect(behind(3.2, 1, 2)).toBe(true);
  });
  it('counts only the range that is playing', () => {
    expect(bufferedAhead([[0, 2], [5, 8]], 6)).toBe(2);
    expect(bufferedAhead([[0, 2]], 3)).toBe(0);
  });
});

describe('a fatal error', () => {
  it('is met gently first', () => {
    expect(step({ kind: 'network', status: 503 }, 1)).toBe('resume');
    expect(step({ kind: 'network', status: 503 }, 5)).toBe('rebuild');
    expect(step({ kind: 'network', status: 404 }, 1)).toBe('rebuild');
    expect(step({ kind: 'network', atStart: true }, 1)).toBe('rebuild');
    expect(step({ kind: 'media' }, 1)).toBe('repair');
    expect(step({ kind: 'media' }, 2)).toBe('rebuild');
    expect(step({ kind: 'codec' }, 1)).toBe('give up');
  });
  it('never waits long', () => {
    expect(delay(1, 0)).toBeLessThan(250);
    expect(delay(50, 0.999)).toBeLessThanOrEqual(5000);
  });
});

describe('polling', () => {
  it('slows down while it fails', () => {
    expect(pause(2000, 0, 0.5)).toBe(2000);
    expect(pause(2000, 2, 0.5)).toBe(8000);
    expect(pause(2000, 20, 0.999)).toBeLessThan(20_000);
  });
});

describe('what is shown', () => {
  const gone = new ApiError('missing', '');
  const down = new ApiError('unreachable', '');
  it('follows API and player', () => {
    expect(shown(undefined, undefined, 'idle')).toBe('loading');
    expect(shown(undefined, gone, 'idle')).toBe('error');
    expect(shown(live, undefined, 'loading')).toBe('loading');
    expect(shown(live, undefined, 'playing')).toBe('playing');
    expect(shown(live, undefined, 'stalled')).toBe('reconnecting');
    expect(shown({ ...live, reconnecting: true }, undefined, 'playing')).toBe('reconnecting');
    expect(shown({ ...live, state: 'offline' }, undefined, 'playing')).toBe('playing');
    expect(shown({ ...live, state: 'offline' }, undefined, 'stalled')).toBe('offline');
    expect(shown({ ...live, state: 'ready' }, undefined, 'idle')).toBe('ready');
  });
  it('goes on playing while the API is away', () => expect(shown(live, down, 'playing')).toBe('playing'));
});

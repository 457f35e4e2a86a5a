import { describe, expect, it } from 'vitest';
import { ApiError, fromAnswer, sentence } from './api/error';
import { fill } from './api/http';
import { rtmpServer } from './api/streams';
import { ago, bitrate, clock, quality, seconds, viewers } from './format';
import { behind, bufferedAhead } from './latency';
import { pause } from './poll';
import { delay, step } from './recovery';
import { loginPath, route, safeNext, shareSecret } from './route';
import { shown } from './shown';

const live = { state: 'live', reconnecting: false } as const;

describe('addresses', () => {
  it('lead to pages', () => {
    expect(route('/')).toEqual({ page: 'front' });
    expect(route('/watch/main')).toEqual({ page: 'watch', stream: 'main' });
    expect(route('/watch/')).toEqual({ page: 'nowhere' });
    expect(route('/watch/%E0%A4%A')).toEqual({ page: 'nowhere' });
    expect(route('/streams')).toEqual({ page: 'streams' });
    expect(route('/streams/my%20show/live')).toEqual({ page: 'studio', stream: 'my show', tab: 'live' });
    expect(route('/streams/main')).toEqual({ page: 'studio', stream: 'main', tab: 'live' });
    expect(route('/streams/main/else')).toEqual({ page: 'nowhere' });
    expect(route('/admin')).toEqual({ page: 'admin', section: 'users' });
    expect(route('/admin/audit')).toEqual({ page: 'admin', section: 'audit' });
    expect(route('/admin/audit/more')).toEqual({ page: 'nowhere' });
    expect(route('/login')).toEqual({ page: 'login' });
    expect(route('/login/more')).toEqual({ page: 'nowhere' });
  });
  it('are left for other sites by nobody', () => {
    const origin = 'https://tv.example';
    const next = (address: string | null): string => safeNext(address, origin);
    expect(next('/streams/main/live?a=b#c')).toBe('/streams/main/live?a=b#c');
    for (const bad of [null, '', '//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)', '/\t/evil.example']) {
      expect(next(bad)).toBe('/streams');
    }
    expect(next('/login?next=/login')).toBe('/streams');
    expect(next('/no-such-page')).toBe('/streams');
    expect(loginPath('/watch/a b#share=x')).toBe('/login?next=%2Fwatch%2Fa%20b%23share%3Dx');
  });
  it('carry the secret of a share link', () => {
    expect(shareSecret('#share=abc')).toBe('abc');
    expect(shareSecret('#share=')).toBeUndefined();
    expect(shareSecret('')).toBeUndefined();
  });
  it('are filled in without letting names break out', () => {
    expect(fill('/streams/{s}/links/{id}', { s: 'a/b', id: '..' })).toBe('/api/v1/streams/a%2Fb/links/..');
    expect(fill('/x', {}, { after: undefined, query: '', limit: 5 })).toBe('/api/v1/x?limit=5');
  });
  it('give OBS its server', () => expect(rtmpServer('rtmp://h:1935/live/main')).toBe('rtmp://h:1935/live'));
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
    expect(quality({ height: 720, frame_rate: 29.97 })).toBe('720p30');
    expect(quality({ height: 720, frame_rate: 58.4, declared_frame_rate: 60 })).toBe('720p60');
    expect(quality({ height: 720, frame_rate: 40.2, declared_frame_rate: 60 })).toBe('720p40');
    expect(quality({ height: 0, frame_rate: 30 })).toBeUndefined();
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

describe('a refusal', () => {
  it('is a sentence', () => {
    expect(sentence('wrong e-mail or password')).toBe('Wrong e-mail or password.');
    expect(sentence('Why? ')).toBe('Why?');
  });
  it('says what it is and for how long', () => {
    const missing = fromAnswer(404, { detail: 'no such stream', code: 'not_found' }, null);
    expect([missing.kind, missing.code, missing.message]).toEqual(['missing', 'not_found', 'No such stream.']);
    const often = fromAnswer(429, {}, '30');
    expect([often.kind, often.retryAfterS]).toEqual(['refused', 30]);
    expect(often.message).toContain('30 s');
    expect(fromAnswer(502, {}, null).kind).toBe('server');
  });
});

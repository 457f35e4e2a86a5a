import { unzipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { actionWords, detailWords, subjectWords } from './audit';
import { device } from './device';
import { append, pointsOf, SPAN_MS, type Sample } from './health-log.svelte';
import { profileFiles, profileZip } from './obs-profile';
import { needsToken } from './playback';
import { ceiling, line, nearest, recent, summary, type Scale } from './series';
import { suggestSlug } from './slug';
import { EventParser, readEvents } from './sse';
import { held } from './turns';

describe('server-sent events', () => {
  it('are whole however they are cut', () => {
    const text = ': hello\r\n\r\nevent: stream\ndata: {"a":1}\n\ndata: x\ndata:y\n\n';
    const parser = new EventParser();
    const events = [...text].flatMap((character) => parser.push(character));
    expect(events).toEqual([
      { event: 'stream', data: '{"a":1}' },
      { event: 'message', data: 'x\ny' },
    ]);
  });
  it('end with their answer, and are given up when silent', async () => {
    const seen: string[] = [];
    const body = new Response('event: gone\ndata: {}\n\n').body;
    if (body) await readEvents(body, ({ event }) => seen.push(event));
    expect(seen).toEqual(['gone']);
    const silent = new ReadableStream<Uint8Array>();
    await expect(readEvents(silent, () => undefined, 10)).rejects.toThrow('silent');
  });
});

describe('a graph', () => {
  const points = [0, 1000, 2000, 60_000].map((at) => ({ at, value: at / 1000 }));
  const scale: Scale = { now: 60_000, spanMs: 60_000, low: 0, high: 60, width: 600, height: 100 };
  it('has a steady, round scale', () => {
    expect([0, 4.2e6, 5e6, 29.97, 60, 2].map(ceiling)).toEqual([1, 5e6, 5e6, 30, 60, 2]);
  });
  it('breaks where nothing was heard', () => {
    expect(line(points, scale)).toBe('M0 100L10 98.3L20 96.7M600 0');
  });
  it('keeps its span, and knows its nearest point', () => {
    expect(recent(points, 61_500, 60_000).map(({ at }) => at)).toEqual([2000, 60_000]);
    expect(nearest(points, 1600)?.at).toBe(2000);
    expect(nearest([], 5)).toBeUndefined();
    expect(summary(points)).toEqual({ last: 60, lowest: 0, highest: 60 });
  });
});

describe('the health log', () => {
  const sample = (at: number): Sample => ({ at, bitrate_bps: 1, frame_rate: 1, gop_ms: 1, drift_ms: 0, viewers: 0 });
  it('takes each second once and forgets the old', () => {
    const one = append([], sample(1000));
    expect(append(one, sample(1000))).toEqual(one);
    const later = append(one, sample(1000 + SPAN_MS + 6000));
    expect(later.map(({ at }) => at)).toEqual([1000 + SPAN_MS + 6000]);
  });
  it('draws no distance between keyframes before there are two', () => {
    const samples = [{ ...sample(1000), gop_ms: 0 }, sample(2000)];
    expect(pointsOf(samples, 'gop_ms')).toEqual([{ at: 2000, value: 1 }]);
    expect(pointsOf(samples, 'drift_ms')).toHaveLength(2);
  });
});

describe('the OBS profile', () => {
  const target = { slug: 'live', server: 'rtmp://h:1935/live', key: 'k"ey' };
  it('is a folder that OBS imports', async () => {
    const zip = unzipSync(new Uint8Array(await profileZip(target).arrayBuffer()));
    expect(Object.keys(zip)).toEqual([
      'Streamr-live/basic.ini',
      'Streamr-live/service.json',
      'Streamr-live/streamEncoder.json',
    ]);
  });
  it('says where to send, and how', () => {
    const files = profileFiles(target);
    const service = JSON.parse(files['Streamr-live/service.json'] ?? '') as unknown;
    expect(service).toEqual({
      type: 'rtmp_custom',
      settings: { server: target.server, key: target.key, use_auth: false, bwtest: false },
    });
    const encoder = JSON.parse(files['Streamr-live/streamEncoder.json'] ?? '') as unknown;
    expect(encoder).toMatchObject({ bitrate: 5000, keyint_sec: 2, rate_control: 'CBR', preset: 'veryfast' });
    expect(files['Streamr-live/basic.ini']).toMatch(/^\[General\]\nName=Streamr-live\n\n\[Output\]\nMode=Advanced\n/);
  });
});

describe('words', () => {
  it('suggest an address', () => {
    expect(suggestSlug('Friday’s Café Night!')).toBe('fridays-cafe-night');
    expect(suggestSlug('  日本 ')).toBe('');
    expect(suggestSlug('a'.repeat(60))).toHaveLength(40);
  });
  it('name devices', () => {
    const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0';
    const edge = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0';
    const phone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1';
    expect([firefox, edge, phone].map(device)).toEqual(['Firefox on Linux', 'Edge on Windows', 'Safari on iPhone']);
    expect(device(undefined)).toBe('Unknown device');
  });
  it('tell the log', () => {
    expect(actionWords('key.changed')).toBe('New key made');
    expect(actionWords('node.joined')).toBe('node.joined');
    expect(detailWords({ from: 'public', to: 'private', more: {} })).toBe('from public, to private');
    expect(detailWords(null)).toBe('');
    expect(subjectWords('stream/01a1fec0-529e-74bb-98fe-2674145c90f2')).toBe('stream …145c90f2');
    expect(subjectWords('setting/registration')).toBe('setting registration');
    expect(subjectWords(null)).toBe('');
    expect(subjectWords('stream/1', { 'stream/1': '“Friday”' })).toBe('“Friday”');
  });
});

describe('tabs', () => {
  it('wait for the one whose turn it is', () => {
    expect(held('1 5000', '2', 1000)).toBe(true);
    expect(held('1 5000', '1', 1000)).toBe(false);
    expect(held('1 5000', '2', 6000)).toBe(false);
    expect(held(undefined, '2', 0)).toBe(false);
  });
});

describe('a token', () => {
  it('is for what isn’t for everybody', () => {
    const stream = { visibility: 'public', state: 'live', testing: false } as const;
    expect(needsToken(stream)).toBe(false);
    expect(needsToken({ ...stream, visibility: 'private' })).toBe(true);
    expect(needsToken({ ...stream, state: 'testing', testing: true })).toBe(true);
  });
});

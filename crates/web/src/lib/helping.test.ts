import { describe, expect, test } from 'vitest';
import type { DeliveryFacts, Sample } from './api/helpers';
import { area, moments, money, percent } from './area';
import { delivery, type Choice } from './delay';
import { downloadsFor, system, systemWords } from './device';
import { bytes } from './format';
import { joinCommand } from './join';
import { carrying } from './overlay';
import { overlayPath, route, secretOf, shareSecret } from './route';

describe('addresses of friends', () => {
  test('lead to their pages', () => {
    expect(route('/join')).toEqual({ page: 'join' });
    expect(route('/join/x')).toEqual({ page: 'nowhere' });
    expect(route('/supporter/1')).toEqual({ page: 'supporter', node: '1' });
    expect(route('/supporter')).toEqual({ page: 'nowhere' });
    expect(route('/overlay/friday')).toEqual({ page: 'overlay', stream: 'friday' });
    expect(route('/streams/friday/friends')).toEqual({ page: 'studio', stream: 'friday', tab: 'friends' });
  });

  test('keep their secret behind the #', () => {
    expect([secretOf('#a%2Bb'), secretOf('#a%'), secretOf('')]).toEqual(['a+b', 'a%', '']);
  });

  test('open a private stream’s overlay by a share link', () => {
    expect(overlayPath('friday')).toBe('/overlay/friday');
    const { pathname, hash } = new URL(overlayPath('friday', 'a+b/c='), 'http://a');
    expect([pathname, shareSecret(hash)]).toEqual(['/overlay/friday', 'a+b/c=']);
  });
});

describe('joining', () => {
  const all = ['linux-x86_64', 'linux-aarch64', 'macos-x86_64', 'macos-aarch64', 'windows-x86_64'].map((name) => ({ system: name }));
  const names = (ua: string) => downloadsFor(all, system(ua)).map(({ system: name }) => name);

  test('offers what is for this system, the likelier processor first', () => {
    expect(names('Mozilla/5.0 (X11; Linux x86_64)')).toEqual(['linux-x86_64', 'linux-aarch64']);
    expect(names('Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)')).toEqual(['macos-aarch64', 'macos-x86_64']);
    expect(names('Mozilla/5.0 (Windows NT 10.0; Win64)')).toEqual(['windows-x86_64']);
    expect(names('Mozilla/5.0 (Linux; Android 15)')).toEqual([]);
    expect(names('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)')).toEqual([]);
  });

  test('says systems as people do', () => {
    expect(all.map(({ system: name }) => systemWords(name))).toEqual([
      'Linux, Intel or AMD', 'Linux, ARM', 'macOS, Intel or AMD', 'macOS, Apple silicon', 'Windows, Intel or AMD',
    ]);
  });

  test('is one command, whatever the link holds', () => {
    expect(joinCommand("http://a/join#x'; rm -rf ~; '", undefined)).toBe("target/release/streamr-node join 'http://a/join#x; rm -rf ~; '");
    expect(joinCommand('http://a/join#x" & del "', 'windows')).toBe('target\\release\\streamr-node.exe join "http://a/join#x & del "');
  });

  test('runs the file as it was saved', () => {
    const command = (its: string, file: string) => joinCommand('http://a/join#x', its, file);
    const linux = 'streamr-node-linux-x86_64';
    expect(command('linux-x86_64', linux)).toBe(`chmod +x ${linux} && ./${linux} join 'http://a/join#x'`);
    const mac = 'streamr-node-macos-aarch64';
    expect(command('macos-aarch64', mac)).toBe(`chmod +x ${mac} && ./${mac} join 'http://a/join#x'`);
    const windows = 'streamr-node-windows-x86_64.exe';
    expect(command('windows-x86_64', windows)).toBe(`.\\${windows} join "http://a/join#x"`);
  });
});

describe('who delivers', () => {
  const at = (s: number) => new Date(s * 1000).toISOString();
  const sample = (s: number, friends: number, peers: number, edge: number): Sample => ({ at: at(s), friends_bps: friends, peers_bps: peers, edge_bps: edge });
  const scale = { now: 600_000, spanMs: 600_000, low: 0, high: 100, width: 100, height: 100 };

  test('layers stand on one another', () => {
    const all = moments([sample(540, 50, 20, 30), sample(480, 50, 0, 50)]);
    expect(area(all, 'friends', scale)).toBe('M80 50L90 50L100 50L100 100L90 100L80 100Z');
    expect(area(all, 'edge', scale)).toBe('M80 0L90 0L100 0L100 30L90 30L80 50Z');
  });

  test('a minute alone is seen', () => {
    expect(area(moments([sample(60, 50, 0, 0)]), 'friends', scale)).toBe('M10 50L20 50L20 100L10 100Z');
  });

  test('where nothing was heard, nothing is drawn', () => {
    const all = moments([sample(60, 50, 0, 0), sample(120, 50, 0, 0), sample(420, 50, 0, 0), sample(480, 50, 0, 0)]);
    expect(area(all, 'friends', scale).match(/M/g)).toHaveLength(2);
    expect(area([], 'friends', scale)).toBe('');
  });

  test('shares and money are rounded without flattery', () => {
    expect([0, 0.004, 0.42, 0.996, 1].map(percent)).toEqual(['0 %', '< 1 %', '42 %', '99 %', '100 %']);
    expect([0, 1_200, 1_125_000].map((micros) => money({ currency: 'USD', micros }))).toEqual(['$0.00', '$0.0012', '$1.13']);
    expect([0, 900, 640_000, 999_600, 18_400_000_000, 212e9].map(bytes)).toEqual(['0 MB', '1 kB', '640 kB', '1.0 MB', '18.4 GB', '212 GB']);
  });

  test('the overlay names who carries somebody, in an order that holds', () => {
    const node = (name: string, viewers: number) => ({ node: name, name, viewers, bytes: 0, bitrate_bps: 0 });
    const facts = (...nodes: ReturnType<typeof node>[]) => ({ nodes }) as unknown as DeliveryFacts;
    expect(carrying(undefined)).toEqual([]);
    expect(carrying(facts(node('Bo', 1), node('Ana', 9), node('Cy', 0))).map(({ name }) => name)).toEqual(['Ana', 'Bo']);
    expect(carrying(facts(...Array.from({ length: 9 }, (_, i) => node(`${i}`, 1)))).at(-1)).toEqual({ node: 'more', name: '3 more' });
  });
});

test('a viewer’s choice of delay goes before the stream’s', () => {
  const choice = (delay: Choice['delay']): Choice => ({ delay, friends: true });
  expect(delivery({ delivery: 'low_latency' }, choice('friends'))).toBe('friends');
  expect(delivery({ delivery: 'friends' }, choice(undefined))).toBe('friends');
  expect(delivery({ delivery: 'friends' }, choice('low_latency'))).toBe('low_latency');
});

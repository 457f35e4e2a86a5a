import { afterEach, describe, expect, test, vi } from 'vitest';
import { verify } from '@noble/ed25519';
import { Conduct } from './conduct';
import { Digests, segmentName } from './digests';
import { hex } from './hash';
import { Judge } from './judge';
import { canonical, makeKey, signed, type Receipt } from './receipt';
import { EDGE, Shares } from './shares';
import { carriedBy, counts, plus, snapshot } from './snapshot';
import { fitting, RECEIPTS, sendStored, Spool, thinned, type Outcome, type Post } from './spool';
import { again } from '../hls';
import { present } from './tracker-socket';
import { rate, windows } from './tuning';
import { said } from './wire';

const SESSION = '00112233-4455-6677-8899-aabbccddeeff';
const NODE = '0fffffff-0000-0000-0000-000000000001';

function command(...bytes: number[]): Uint8Array {
  return Uint8Array.from([...'cstr'].map((c) => c.charCodeAt(0)).concat(bytes, [...'cend'].map((c) => c.charCodeAt(0))));
}

const field = (name: string, ...value: number[]): number[] => [name.charCodeAt(0), value.length, ...value];

describe('what peers say', () => {
  test('requests say the segment and the byte it is resumed at', () => {
    expect(said(command(1, ...field('i', 0x01, 0x02), ...field('r', 7)))).toEqual({ kind: 'request', segment: 258, from: 0 });
    expect(said(command(1, ...field('i', 9), ...field('r', 7), ...field('b', 0x01, 0, 0)))).toEqual({ kind: 'request', segment: 9, from: 65536 });
  });

  test('answers say how much follows', () => {
    expect(said(command(2, ...field('i', 9), ...field('s', 0x10, 0), ...field('r', 7)))).toEqual({ kind: 'answer', segment: 9, size: 4096 });
    expect(said(command(4, ...field('i', 9), ...field('r', 7)))).toEqual({ kind: 'absent', segment: 9 });
  });

  test('media, announcements and broken commands say nothing', () => {
    expect(said(new Uint8Array(1000))).toBeUndefined();
    expect(said(new Uint8Array(0))).toBeUndefined();
    expect(said(command(0, 'l'.charCodeAt(0), 0x10, 0))).toBeUndefined();
    expect(said(command(1, 'i'.charCodeAt(0), 0x0f, 1))).toBeUndefined();
    expect(said(command(1, ...field('r', 7)))).toBeUndefined();
    expect(said(command())).toBeUndefined();
  });
});

describe('shares', () => {
  test('each source has the bytes from where it began to where the next one did', () => {
    const shares = new Shares();
    shares.begin(7, 'ana', 0);
    shares.begin(7, 'bo', 300);
    shares.begin(7, EDGE, 700);
    expect(shares.commit(7, 1000, 5)).toEqual([
      { source: 'ana', from: 0, to: 300 },
      { source: 'bo', from: 300, to: 700 },
      { source: EDGE, from: 700, to: 1000 },
    ]);
    expect(Object.fromEntries(shares.given)).toEqual({ ana: 300, bo: 400, [EDGE]: 300 });
  });

  test('who gave nothing before another went on has nothing', () => {
    const shares = new Shares();
    shares.begin(7, 'ana', 0);
    shares.begin(7, 'bo', 0);
    shares.begin(7, 'ana', 400);
    shares.begin(7, 'bo', 400);
    expect(shares.parts(7, 500)).toEqual([
      { source: 'bo', from: 0, to: 400 },
      { source: 'bo', from: 400, to: 500 },
    ]);
  });

  test('what was thrown away and begun anew is not counted', () => {
    const shares = new Shares();
    shares.begin(7, 'ana', 0);
    shares.begin(7, 'bo', 600);
    shares.begin(7, EDGE, 0);
    shares.commit(7, 1000, 0);
    expect(Object.fromEntries(shares.given)).toEqual({ [EDGE]: 1000 });
  });

  test('a segment counts once, and wrong bytes are told apart', () => {
    const shares = new Shares();
    shares.begin(7, 'ana', 0);
    shares.reject(7, 1000);
    expect(shares.commit(7, 1000, 0)).toEqual([]);
    shares.begin(7, EDGE, 0);
    shares.commit(7, 900, 0);
    shares.commit(7, 900, 0);
    expect([...shares.given, ...shares.rejected]).toEqual([[EDGE, 900], ['ana', 1000]]);
    expect([shares.verified, shares.refused]).toEqual([1, 1]);
  });

  test('who gave lately is known, and old segments are forgotten', () => {
    const shares = new Shares();
    for (let segment = 0; segment < 1000; segment += 1) shares.begin(segment, 'ana', 0);
    expect(shares.parts(0, 10)).toEqual([]);
    shares.commit(999, 10, 20);
    expect(shares.since(20)).toEqual(['ana']);
    expect(shares.since(21)).toEqual([]);
  });
});

describe('blame', () => {
  const good = Uint8Array.from({ length: 100 }, (_, i) => i);
  const bad = good.map((byte, i) => (i === 60 ? 255 : byte));
  const part = (source: string, from: number, to: number) => ({ source, from, to });

  test('the only source of wrong bytes is blamed at once', () => {
    expect(new Judge().wrong(7, 'hash', bad.buffer, [part('ana', 0, 50), part('ana', 50, 100)])).toEqual([{ source: 'ana', hash: 'hash' }]);
    expect(new Judge().wrong(7, 'hash', bad.buffer, [part(EDGE, 0, 100)])).toEqual([]);
    expect(new Judge().wrong(7, 'hash', bad.buffer, [])).toEqual([]);
  });

  test('of several, the one whose bytes were wrong is, when the right ones came', () => {
    const judge = new Judge();
    expect(judge.wrong(7, 'hash', bad.buffer, [part('ana', 0, 50), part('bo', 50, 80), part(EDGE, 80, 100)])).toEqual([]);
    expect(judge.right(8, good.buffer)).toEqual([]);
    expect(judge.right(7, good.buffer)).toEqual([{ source: 'bo', hash: 'hash' }]);
    expect(judge.right(7, good.buffer)).toEqual([]);
  });

  test('bytes beyond the real end are wrong', () => {
    const judge = new Judge();
    judge.wrong(7, 'hash', good.buffer, [part(EDGE, 0, 50), part('bo', 50, 100)]);
    expect(judge.right(7, good.slice(0, 90).buffer)).toEqual([{ source: 'bo', hash: 'hash' }]);
  });
});

describe('conduct', () => {
  test('a peer that is slow three times in a row rests, and longer each time', () => {
    const conduct = new Conduct();
    expect([conduct.strike('ana', false, 0), conduct.strike('ana', false, 0)]).toEqual([false, false]);
    conduct.good('ana');
    expect([conduct.strike('ana', false, 0), conduct.strike('ana', false, 0), conduct.strike('ana', false, 0)]).toEqual([false, false, true]);
    expect([conduct.out('ana', 14_000), conduct.out('ana', 15_001)]).toEqual([true, false]);
    for (let i = 0; i < 3; i += 1) conduct.strike('ana', false, 20_000);
    expect([conduct.out('ana', 49_000), conduct.out('ana', 50_001)]).toEqual([true, false]);
  });

  test('one that answers too slowly has twice as many chances', () => {
    const conduct = new Conduct();
    expect(Array.from({ length: 6 }, () => conduct.strike('ana', true, 0))).toEqual([false, false, false, false, false, true]);
  });

  test('wrong bytes are for good, and a report is made once', () => {
    const conduct = new Conduct();
    conduct.ban('ana');
    conduct.strike('ana', false, 0);
    conduct.strike('ana', false, 0);
    conduct.strike('ana', false, 0);
    expect(conduct.out('ana', 1e12)).toBe(true);
    expect([conduct.toReport('ana'), conduct.toReport('ana')]).toEqual([true, false]);
  });
});

describe('digests', () => {
  const a = 'a'.repeat(64);
  const playlist = `#EXTM3U\n#EXT-X-MAP:URI="3/init.mp4"\n#EXT-X-STREAMR-SHA256:${a}\n#EXTINF:2.0,\n../../3/41.m4s\r\n#EXTINF:2.0,\n3/42.m4s\n#EXT-X-STREAMR-SHA256:nonsense\n#EXTINF:2,\n3/43.m4s?token=x\n`;

  test('each line is for the segment that follows, wherever it is fetched', () => {
    const digests = new Digests();
    digests.read(playlist);
    expect(digests.of({ epoch: 3, number: 41 })).toBe(a);
    expect(digests.of({ epoch: 4, number: 41 })).toBeUndefined();
    expect(digests.of({ epoch: 3, number: 42 })).toBeUndefined();
    expect(digests.of({ epoch: 3, number: 43 })).toBeUndefined();
    expect(digests.named(41)).toEqual({ epoch: 3, number: 41 });
  });

  test('segments are told by the end of their address', () => {
    expect(segmentName('https://edge.example/live/a/s/1-2/12/345.m4s?x=1')).toEqual({ epoch: 12, number: 345 });
    expect(segmentName('https://edge.example/live/a/12/init.mp4')).toBeUndefined();
  });
});

describe('receipts', () => {
  const receipt = { epoch: 1, counter: 2, at_unix_ms: 3, peers: 4, edge: 5, nodes: [{ node: NODE, bytes: 6 }] };

  test('are signed over these bytes', () => {
    expect(hex(canonical(SESSION, receipt))).toBe(
      [
        hex(new TextEncoder().encode('streamr/receipt/1')), '00', SESSION.replaceAll('-', ''), '00000001', '0000000000000002', '0000000000000003',
        '0000000000000004', '0000000000000005', '0001', NODE.replaceAll('-', ''), '0000000000000006',
      ].join(''),
    );
  });

  test('name nodes in the order of their ids, also in what is sent', () => {
    const key = makeKey();
    const nodes = [{ node: 'FF000000-0000-0000-0000-000000000000', bytes: 1 }, { node: NODE, bytes: 6 }];
    const made = signed(SESSION, { ...receipt, nodes }, key);
    expect(made.nodes.map(({ node }) => node[0])).toEqual(['0', 'f']);
    const bytes = (text: string) => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    expect(verify(bytes(made.signature), canonical(SESSION, made), bytes(key.shown))).toBe(true);
    expect(verify(bytes(made.signature), canonical(SESSION, { ...made, counter: 3 }), bytes(key.shown))).toBe(false);
    expect(key.shown).toMatch(/^[\w-]{43}$/);
  });

  test('are cumulative by node; one that is not told yet waits', () => {
    const known = new Map([['-FN0001-a', { node: NODE, name: 'Ana' }], ['-FN0001-b', { node: NODE, name: 'Ana' }]]);
    const given = new Map([['-FN0001-a', 5], ['-FN0001-b', 6], ['-FN0001-c', 100], ['-PM0203-x', 7], [EDGE, 8]]);
    expect(counts(given, known)).toEqual({ nodes: [{ node: NODE, bytes: 11 }], peers: 7, edge: 8 });
  });
});

describe('the spool', () => {
  const made = (counter: number): Receipt => ({ epoch: 1, counter, at_unix_ms: counter, nodes: [], peers: 0, edge: counter, signature: '' });

  test('thins out, and never loses the newest', () => {
    let receipts: Receipt[] = [];
    for (let counter = 1; counter <= 1000; counter += 1) receipts = thinned([...receipts, made(counter)]);
    expect(receipts.length).toBeLessThanOrEqual(RECEIPTS);
    expect(receipts.at(-1)?.counter).toBe(1000);
    expect(receipts.every(({ counter }, i) => i === 0 || counter > (receipts[i - 1]?.counter ?? 0))).toBe(true);
  });

  test('keeps what the server did not take, and sends all of it later', async () => {
    const posts: Post[] = [];
    let outcome: Outcome = 'away';
    const spool = new Spool(SESSION, 'token', (post) => {
      posts.push(post);
      return Promise.resolve(outcome);
    });
    spool.add(made(1));
    await Promise.resolve();
    await Promise.resolve();
    expect(spool.waiting).toBe(1);
    outcome = 'kept';
    spool.add(made(2));
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(posts.at(-1)?.receipts.map(({ counter }) => counter)).toEqual([1, 2]);
    expect(spool.waiting).toBe(0);
  });

  test('posts are small enough to be taken, also those of many nodes', () => {
    const nodes = Array.from({ length: 64 }, (_, i) => ({ node: NODE.replace(/01$/, String(i).padStart(2, '0')), bytes: 1e9 }));
    const many = Array.from({ length: RECEIPTS }, (_, i) => ({ ...made(i + 1), nodes }));
    const first = fitting(many);
    expect(first.length).toBeGreaterThan(1);
    expect(JSON.stringify(first).length).toBeLessThan(33 * 1024);
    expect(fitting([made(1), made(2)])).toHaveLength(2);
    expect(fitting([{ ...made(1), nodes: Array.from({ length: 1000 }, () => nodes[0] ?? { node: NODE, bytes: 1 }) }, made(2)])).toHaveLength(1);
  });

  describe('past the end of a page', () => {
    const kept = new Map<string, string>();
    vi.stubGlobal('localStorage', {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    });
    afterEach(() => kept.clear());

    test('the newest is sent at once, and all of it later, of each time that the session was open', async () => {
      const leaving: Post[] = [];
      const leave = (epoch: number): void => {
        const spool = new Spool(SESSION, 'token', (post, last) => {
          if (last) leaving.push(post);
          return Promise.resolve<Outcome>('away');
        });
        spool.add({ ...made(1), epoch });
        spool.leave({ ...made(2), epoch });
      };
      leave(1);
      leave(2);
      await new Promise((resolve) => setTimeout(resolve, 0));
      expect(leaving.map(({ receipts }) => receipts.map(({ epoch, counter }) => [epoch, counter]))).toEqual([[[1, 2]], [[2, 2]]]);
      const later: Post[] = [];
      await sendStored((post) => {
        later.push(post);
        return Promise.resolve<Outcome>('kept');
      });
      expect(later.map(({ receipts }) => receipts.map(({ epoch, counter }) => [epoch, counter]))).toEqual([[[1, 1], [1, 2]], [[2, 1], [2, 2]]]);
      await sendStored(() => Promise.reject(new Error('nothing is left')));
    });
  });

  test('who comes back to the tracker is there again, with no offers that are stale', () => {
    const announce = { action: 'announce', info_hash: 'i', peer_id: 'p', numwant: 5, event: 'started', offers: [{ offer_id: 'o', offer: { type: 'offer', sdp: 'v=0' } }] };
    expect(JSON.parse(present(JSON.stringify(announce)) ?? '')).toEqual({ action: 'announce', info_hash: 'i', peer_id: 'p', numwant: 0, offers: [] });
    expect(present(JSON.stringify({ ...announce, event: 'stopped' }))).toBeUndefined();
    expect(present(JSON.stringify({ action: 'announce', offer_id: 'o', answer: { type: 'answer', sdp: 'v=0' } }))).toBeUndefined();
  });

  test('gives up what the server refuses', async () => {
    const spool = new Spool(SESSION, 'token', () => Promise.resolve<Outcome>('refused'));
    spool.add(made(1));
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(spool.waiting).toBe(0);
  });
});

describe('what is shown', () => {
  const known = new Map([
    ['-FN0001-a', { node: 'a', name: 'Ana' }],
    ['-FN0001-b', { node: 'b', name: 'Bo' }],
  ]);
  const facts = {
    given: new Map([['-FN0001-a', 10], [EDGE, 5], ['-PM0203-x', 3]]), rejected: new Map(), verified: 3, refused: 0,
    open: ['-FN0001-a', '-PM0203-x'], recent: ['-FN0001-b', '-FN0001-a', EDGE], last: '', left: { wrong: 0, slow: 0, told: 0 },
  };

  test('those who gave lately are named, others are counted', () => {
    const shown = snapshot(facts, known);
    expect(shown.carriers).toEqual(['Ana', 'Bo']);
    expect(shown.bytes).toEqual({ friends: 10, peers: 3, edge: 5 });
    expect(shown.connected).toEqual({ friends: 1, peers: 1 });
    expect([carriedBy([]), carriedBy(['Ana']), carriedBy(['Ana', 'Bo']), carriedBy(['Ana', 'Bo', 'Cy'])]).toEqual([undefined, 'Ana', 'Ana + 1 friend', 'Ana + 2 friends']);
  });

  test('a session opened anew goes on counting', () => {
    const shown = snapshot(facts, known);
    const both = plus(shown, shown);
    expect(both.bytes).toEqual({ friends: 20, peers: 6, edge: 10 });
    expect(both.nodes).toEqual([{ node: 'a', name: 'Ana', bytes: 20 }]);
    expect(plus(undefined, shown)).toBe(shown);
  });

  test('what a stall cost is made up for, unless little is left to play', () => {
    expect([rate(1, 3, 5, 2), rate(1.04, 1, 5, 2), rate(1.04, 0.3, 5, 2), rate(1, 3, 1, 2), rate(1, 1, 5, 2)]).toEqual([1.04, 1.04, 1.04, 1, 1]);
  });

  test('who is too close to live for friends falls back', () => {
    expect([rate(1, -2.6, 2, 2), rate(0.9, -2.4, 2, 2), rate(0.9, -0.6, 2, 2), rate(0.95, -0.1, 2, 2), rate(1, -0.6, 2, 2), rate(0.95, 0.6, 5, 2), rate(1.04, -0.6, 5, 2)]).toEqual([
      0.9, 0.95, 0.95, 1, 1, 1, 1,
    ]);
  });

  test('segments of 2 s are asked of an edge 3 s before they play, and sooner while nobody else is there', () => {
    expect(windows(2, false)).toEqual({ highDemandTimeWindow: 3, httpDownloadTimeWindow: 5 });
    expect(windows(2, true)).toEqual({ highDemandTimeWindow: 5, httpDownloadTimeWindow: 5 });
  });

  test('a segment without an answer is asked for again, some times, while the publisher is there', () => {
    const asked = (there: boolean, count: number, code: number | undefined, usual: boolean): boolean | undefined => {
      const retry = again(() => there, 6);
      const response = code === undefined ? undefined : { url: '', data: '', code };
      return retry.shouldRetry?.(retry, count, false, response, usual);
    };
    expect([asked(true, 0, 0, false), asked(true, 5, 0, false), asked(true, 0, 503, true)]).toEqual([true, true, true]);
    expect([asked(true, 6, 0, false), asked(false, 0, 0, false), asked(true, 0, 404, false), asked(true, 0, undefined, false)]).toEqual([false, false, false, false]);
  });
});

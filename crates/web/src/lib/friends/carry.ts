/**
 * A session that friends carry: p2p-media-loader between hls.js and the network. Every segment is
 * checked against its digest before it plays; bytes are told apart by who gave them, and receipted.
 */

import type Hls from 'hls.js';
import type { HlsConfig, LevelLoadedData } from 'hls.js';
import { HlsJsP2PEngine } from 'p2p-media-loader-hlsjs';
import { peersAddress, sendReceipts, sendReport } from '../api/friends';
import { serverNow } from '../api/server-clock';
import { Carriers } from './carriers';
import { Conduct, type Reason } from './conduct';
import { Digests, segmentName, type SegmentName } from './digests';
import { prepare, sha256 } from './hash';
import { Judge, type Guilty } from './judge';
import { close, watch } from './peer';
import type { CarriedSession } from './session';
import { signed, type Receipt } from './receipt';
import { EDGE, Shares } from './shares';
import { counts, nameOf, snapshot, type Left, type Snapshot } from './snapshot';
import { sendStored, Spool } from './spool';
import { openAfter } from './tracker-socket';
import * as tuning from './tuning';
import type { Said } from './wire';

export { makeKey } from './receipt';

const RECEIPT_EVERY_MS = 30_000;
/** Whoever gave bytes within this time carries the stream now. */
const RECENT_MS = 20_000;
/** Segments of which announced sizes are remembered. */
const CLAIMS = 64;
/** Peers are looked for once the first segment is there, or after this. */
const FIRST_MS = 2500;

/** Of our streams, until the playlist tells. */
const TARGET = 2;

type Engine = InstanceType<typeof HlsJsP2PEngine>;

export class Carry {
  readonly #its: CarriedSession;
  readonly #engine: Engine;
  readonly #carriers: Carriers;
  readonly #spool: Spool;
  readonly #shares = new Shares();
  readonly #digests = new Digests();
  readonly #judge = new Judge();
  readonly #conduct = new Conduct();
  readonly #open = new Set<string>();
  /** What peers said a segment's size is, where they were asked for all of it. */
  readonly #claims = new Map<number, Map<string, number>>();
  /** Since when a peer is asked for something. */
  readonly #asked = new Map<string, { segment: number; whole: boolean; at: number; answered: boolean }>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #leaving = new AbortController();
  #begin!: () => void;
  #counter = 0;
  #receipted = -1;
  #target = TARGET;
  #last = '–';
  readonly #left: Left = { wrong: 0, slow: 0, told: 0 };

  constructor(its: CarriedSession) {
    this.#its = its;
    prepare();
    // What friends need is begun behind the first segment: they must not make the start slower.
    const first = new Promise<void>((resolve) => {
      this.#begin = resolve;
      setTimeout(resolve, FIRST_MS);
    });
    openAfter(first);
    this.#carriers = new Carriers(peersAddress(its.session, its.token), (peers) => peers.forEach((peer) => this.#leave(peer, 'told')));
    void first.then(() => {
      if (this.#leaving.signal.aborted) return;
      void this.#carriers.listen();
      void sendStored(sendReceipts);
    });
    this.#spool = new Spool(its.session, its.token, sendReceipts);
    watch({
      refuses: (peer) => this.#refuses(peer),
      opened: (peer) => this.#opened(peer),
      closed: (peer) => this.#closed(peer),
      asked: (peer, what) => this.#peerAsked(peer, what),
      answered: (peer, what) => this.#peerAnswered(peer, what),
    });
    this.#engine = this.#makeEngine();
    this.#timer = setInterval(() => this.#sign(), RECEIPT_EVERY_MS);
    addEventListener('pagehide', () => this.#end(), { signal: this.#leaving.signal });
  }

  /** What hls.js loads with. */
  config(): Partial<HlsConfig> {
    return this.#engine.getConfigForHlsJs() as Partial<HlsConfig>;
  }

  bind(hls: Hls, events: typeof Hls.Events): void {
    this.#engine.bindHls(hls);
    hls.on(events.LEVEL_LOADED, (_event: unknown, { details }: LevelLoadedData) => {
      this.#digests.read(details.m3u8);
      if (this.#target === details.targetduration) return;
      this.#target = details.targetduration;
      this.#tune();
    });
    hls.on(events.FRAG_BUFFERED, () => this.#begin());
  }

  read(): Snapshot {
    const { given, rejected, verified, refused } = this.#shares;
    const recent = this.#shares.since(performance.now() - RECENT_MS);
    const facts = { given, rejected, verified, refused, open: this.#open, recent, last: this.#last, left: this.#left };
    return snapshot(facts, this.#carriers.known);
  }

  destroy(): void {
    this.#end();
    this.#leaving.abort();
    clearInterval(this.#timer);
    this.#carriers.stop();
    watch(undefined);
    this.#engine.destroy();
  }

  #tune(): void {
    this.#engine.applyDynamicConfig({ core: tuning.windows(this.#target, this.#open.size === 0) });
  }

  #opened(peer: string): void {
    this.#open.add(peer);
    if (this.#open.size === 1) this.#tune();
  }

  #closed(peer: string): void {
    if (this.#open.delete(peer) && this.#open.size === 0) this.#tune();
  }

  #makeEngine(): Engine {
    const { swarmId, trackers, stun, friendsOnly } = this.#its;
    const saving = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true;
    const validate = (url: string, data: ArrayBuffer, trusted: boolean): Promise<boolean> => this.#check(url, data, trusted);
    const engine = new HlsJsP2PEngine({
      core: {
        swarmId,
        announceTrackers: trackers,
        rtcConfig: { iceServers: stun.map((urls) => ({ urls })) },
        isP2PUploadDisabled: friendsOnly || saving,
        segmentMemoryStorageLimit: tuning.MEMORY_MIB,
        ...tuning.windows(TARGET, true),
        p2pDownloadTimeWindow: 120,
        p2pNotReceivingBytesTimeoutMs: tuning.PEER_SILENCE_MS,
        httpNotReceivingBytesTimeoutMs: tuning.EDGE_SILENCE_MS,
        httpErrorRetries: 1,
        validateP2PSegment: (url, _range, data) => validate(url, data, false),
        validateHTTPSegment: (url, _range, data) => validate(url, data, true),
        httpRequestSetup: (url, _range, signal, asked) => Promise.resolve(this.#edgeAsked(url, signal, asked?.start ?? 0)),
      },
    });
    engine.addEventListener('onSegmentLoaded', ({ segmentUrl, bytesLength, peerId }) => this.#loaded(segmentUrl, bytesLength, peerId));
    engine.addEventListener('onSegmentError', ({ error, peerId }) => {
      if (peerId === undefined) return;
      if (error.type === 'peer-segment-absent') this.#strike(peerId, 'absent');
      else if (error.type !== 'p2p-segment-validation-failed' && error.type !== 'peer-closed') this.#strike(peerId, 'slow');
      this.#asked.delete(peerId);
    });
    engine.addEventListener('onSegmentAbort', ({ peerId }) => {
      if (peerId === undefined) return;
      const asked = this.#asked.get(peerId);
      if (asked && performance.now() - asked.at > tuning.FAIR_TRY_MS) this.#strike(peerId, 'slow');
      this.#asked.delete(peerId);
    });
    return engine;
  }

  /**
   * The edge completes what a peer began, if bytes of that peer verified before. From anybody else the
   * beginning may be wrong, which would be seen at the end, when little is left to play: the edge gives all.
   */
  #edgeAsked(url: string, signal: AbortSignal, loaded: number): Request {
    const name = segmentName(url);
    const parts = name && loaded > 0 ? this.#shares.parts(name.number, loaded) : [];
    const from = parts.every(({ source }) => source === EDGE || this.#conduct.proven(source)) ? loaded : 0;
    if (name) this.#shares.begin(name.number, EDGE, from);
    return new Request(url, { signal, headers: from > 0 ? { range: `bytes=${from}-` } : {} });
  }

  #peerAsked(peer: string, what: Said): void {
    if (what.kind !== 'request') return;
    this.#shares.begin(what.segment, peer, what.from);
    this.#asked.set(peer, { segment: what.segment, whole: what.from === 0, at: performance.now(), answered: false });
  }

  #peerAnswered(peer: string, what: Said): void {
    if (what.kind !== 'answer') return;
    if (what.size > tuning.LARGEST_SEGMENT) {
      this.#ban(peer);
      return;
    }
    const asked = this.#asked.get(peer);
    if (asked?.segment !== what.segment) return;
    asked.answered = true;
    if (!asked.whole) return;
    const claims = this.#claims.get(what.segment) ?? new Map<string, number>();
    this.#claims.set(what.segment, claims.set(peer, what.size));
    for (const old of this.#claims.keys()) {
      if (this.#claims.size <= CLAIMS) break;
      this.#claims.delete(old);
    }
  }

  /** Only from our servers may come what the playlist has no digest of. */
  async #check(url: string, data: ArrayBuffer, trusted: boolean): Promise<boolean> {
    const name = segmentName(url);
    const expected = name && this.#digests.of(name);
    if (!name || expected === undefined) return trusted;
    const hash = await sha256(data);
    if (hash === expected) {
      this.#blame(name, this.#judge.right(name.number, data));
      return true;
    }
    this.#blame(name, this.#judge.wrong(name.number, hash, data, this.#shares.reject(name.number, data.byteLength)));
    return false;
  }

  #blame(name: SegmentName, guilty: Guilty[]): void {
    for (const { source, hash } of guilty) {
      this.#ban(source);
      this.#report(source, name, 'digest', hash);
    }
  }

  /** It verified, and is taken. */
  #loaded(url: string, length: number, peer: string | undefined): void {
    const name = segmentName(url);
    if (!name) return;
    if (peer !== undefined) {
      this.#conduct.good(peer);
      this.#asked.delete(peer);
    }
    const parts = this.#shares.commit(name.number, length, performance.now());
    for (const { source } of parts) if (source !== EDGE) this.#conduct.prove(source);
    if (parts.length > 0) {
      const sources = [...new Set(parts.map(({ source }) => nameOf(source, this.#carriers.known)))];
      this.#last = `${name.number} from ${sources.join(', ')}`;
    }
    for (const [claimant, size] of this.#claims.get(name.number) ?? []) if (size !== length) this.#ban(claimant);
    this.#claims.delete(name.number);
  }

  #refuses(peer: string): boolean {
    return this.#carriers.dropped(peer) || this.#conduct.out(peer, performance.now());
  }

  #ban(peer: string): void {
    this.#conduct.ban(peer);
    this.#leave(peer, 'wrong');
  }

  #strike(peer: string, reason: Reason): void {
    const asked = this.#asked.get(peer);
    if (!this.#conduct.strike(peer, asked?.answered ?? false, performance.now())) return;
    this.#leave(peer, 'slow');
    const name = asked && this.#digests.named(asked.segment);
    if (name) this.#report(peer, name, reason);
  }

  #leave(peer: string, why: keyof Left): void {
    if (this.#open.has(peer)) this.#left[why] += 1;
    this.#closed(peer);
    close(peer);
  }

  #report(peer: string, { epoch, number }: SegmentName, reason: Reason, hash?: string): void {
    if (reason === 'digest' && !this.#conduct.toReport(peer)) return;
    const { session, token } = this.#its;
    const report = { token, peer_id: peer, epoch, msn: number, reason, ...(hash === undefined ? {} : { sha256: hash }) };
    // The peer is left in any case; a report only helps others.
    void sendReport(session, report).catch(() => undefined);
  }

  /** What came so far, signed; nothing where no more came since the last time. */
  #receipt(): Receipt | undefined {
    const { given } = this.#shares;
    const total = [...given.values()].reduce((sum, bytes) => sum + bytes, 0);
    const its = counts(given, this.#carriers.known);
    const told = its.peers + its.edge + its.nodes.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total === 0 || told === this.#receipted) return undefined;
    this.#receipted = told;
    this.#counter += 1;
    const receipt = { epoch: this.#its.epoch, counter: this.#counter, at_unix_ms: Math.round(serverNow()), ...its };
    return signed(this.#its.session, receipt, this.#its.key);
  }

  #sign(): void {
    const receipt = this.#receipt();
    if (receipt) this.#spool.add(receipt);
  }

  #end(): void {
    this.#spool.leave(this.#receipt());
  }
}

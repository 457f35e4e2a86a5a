/** The player: one video element fed by hls.js (or by the browser itself), that never gives up. */

import type Hls from 'hls.js';
import type { ErrorData, FragBufferedData, FragLoadedData } from 'hls.js';
import { Servers } from './elsewhere';
import type { Carry } from './friends/carry';
import { rate } from './friends/tuning';
import { NOBODY, plus, type Snapshot } from './friends/snapshot';
import { config, jumpAfter, loadHls, scripted } from './hls';
import { behind, bufferedAhead, ranges } from './latency';
import { delay, step, type Failure } from './recovery';
import type { Phase } from './shown';
import { loadCarrying, type Opened, type Source } from './source';
import { NO_STATS, readStats, type Stats } from './stats';
import { keep, recall } from './theme';

/** How often the numbers are read. */
const TICK_MS = 250;
/** Without progress for this long, the picture counts as frozen. */
const FROZEN_MS = 900;
/** hls.js and the browser had their chance; begin anew. */
const REBUILD_AFTER_MS = 10_000;
/** After a stall longer than this, some buffer is gathered first: else the next one is near. */
const REFILL_AFTER_MS = 500;
const REFILL_AT_MOST_MS = 2500;
/** Beyond this target duration, a stream that just began is played from its first segment on. */
const LONG_SEGMENT_S = 4;
const NATIVE_HLS = 'application/vnd.apple.mpegurl';

export class LivePlayer {
  phase = $state<Phase>('idle');
  paused = $state(false);
  muted = $state(false);
  volume = $state(1);
  /** The browser refused sound until the viewer touches the page. */
  soundBlocked = $state(false);
  latency = $state<number | undefined>(undefined);
  atEdge = $state(true);
  stalls = $state(0);
  stalledMs = $state(0);
  stats = $state<Stats>(NO_STATS);
  /** Why nothing can be played here at all. */
  failure = $state<string | undefined>(undefined);
  /** Who carries this session; nothing where friends don't. */
  carried = $state.raw<Snapshot | undefined>(undefined);
  /** The last picture is held on the canvas while the video element starts anew. */
  holding = $state(false);

  #video: HTMLVideoElement;
  #canvas: HTMLCanvasElement;
  #source: Source | undefined;
  #carry: Carry | undefined;
  /** What came before the session was opened anew. */
  #before: Snapshot | undefined;
  #Hls: typeof Hls | undefined;
  #hls: Hls | undefined;
  #servers = new Servers();
  #generation = 0;
  #failures = 0;
  #repair: ReturnType<typeof setTimeout> | undefined;
  #due: (() => void) | undefined;
  #sourceThere = true;
  /** The stream is over; what is buffered is played out. */
  #ending = false;
  #wantsPlay = true;
  #following = true;
  #stallSince: number | undefined;
  #refillSince: number | undefined;
  #lastTime = 0;
  #progressAt = 0;
  #rebuiltAt = 0;
  #fps = { at: 0, frames: 0 };
  #tick: ReturnType<typeof setInterval>;
  #listening = new AbortController();

  constructor(video: HTMLVideoElement, canvas: HTMLCanvasElement) {
    this.#video = video;
    this.#canvas = canvas;
    const volume = Number(recall('volume') ?? 1);
    video.volume = volume >= 0 && volume <= 1 ? volume : 1;
    video.muted = recall('muted') === 'yes';
    this.volume = video.volume;
    this.muted = video.muted;
    this.#listen();
    this.#tick = setInterval(() => this.#read(), TICK_MS);
  }

  /** Plays from there; called again with the same source it does nothing, with another it begins anew. */
  start(source: Source): void {
    if (this.#source?.key === source.key) return;
    this.stop();
    this.#source = source;
    this.#wantsPlay = true;
    this.#following = true;
    this.failure = undefined;
    this.phase = 'loading';
    this.#failures = 0;
    void this.#open();
  }

  /** The stream ended: plays what is there, and asks for no more. */
  finish(): void {
    this.#sourceThere = false;
    this.#ending = true;
    if (this.phase === 'playing') this.#hls?.stopLoad();
    else this.stop();
  }

  /** Lets go of everything but the numbers. */
  stop(): void {
    if (this.#source === undefined) return;
    this.#source = undefined;
    this.#endStall();
    this.#close();
    this.phase = 'idle';
    this.holding = false;
    this.latency = undefined;
    this.carried = undefined;
    this.#before = undefined;
    this.soundBlocked = false;
  }

  destroy(): void {
    this.stop();
    clearInterval(this.#tick);
    this.#listening.abort();
  }

  /** Whether the publisher is there. While it isn't, nothing is asked for in vain. */
  setSource(there: boolean): void {
    this.#sourceThere = there;
    if (there && this.#ending) this.#hls?.startLoad();
    this.#ending = false;
    if (there) this.#runDue();
  }

  toggle(): void {
    if (this.#video.paused) this.play();
    else this.pause();
  }

  play(): void {
    this.#wantsPlay = true;
    this.#refillSince = undefined;
    void this.#play();
  }

  pause(): void {
    this.#wantsPlay = false;
    this.#refillSince = undefined;
    this.#follow(false);
    this.#video.pause();
    this.paused = true;
  }

  setMuted(muted: boolean): void {
    this.#video.muted = muted;
    if (!muted && this.#video.volume === 0) this.#video.volume = 0.5;
    this.soundBlocked = false;
    keep('muted', muted ? 'yes' : undefined);
    if (!muted && this.#video.paused && this.#wantsPlay) void this.#play();
  }

  /** Without sound, and without changing what the viewer chose for watching. */
  hush(): void {
    this.#video.muted = true;
    this.muted = true;
  }

  setVolume(volume: number): void {
    const value = Math.min(1, Math.max(0, volume));
    this.#video.volume = value;
    this.#video.muted = value === 0;
    this.soundBlocked = false;
    keep('volume', String(value));
    keep('muted', undefined);
  }

  goLive(): void {
    this.#follow(true);
    const edge = this.#edge();
    if (edge !== undefined) this.#video.currentTime = edge;
    this.play();
  }

  /** Moves within what the playlist still holds. */
  seekBy(seconds: number): void {
    const { seekable } = this.#video;
    if (seekable.length === 0) return;
    const edge = this.#edge() ?? seekable.end(seekable.length - 1);
    const wanted = this.#video.currentTime + seconds;
    if (wanted >= edge) {
      this.goLive();
      return;
    }
    this.#follow(false);
    this.#video.currentTime = Math.max(seekable.start(0) + 0.5, wanted);
  }

  #follow(following: boolean): void {
    this.#following = following;
    if (this.#hls) this.#hls.config.liveMaxLatencyDurationCount = following ? jumpAfter(this.#source?.mode ?? 'low_latency') : Infinity;
  }

  #edge(): number | undefined {
    if (this.#hls) return this.#hls.liveSyncPosition ?? undefined;
    const { seekable } = this.#video;
    return seekable.length > 0 ? seekable.end(seekable.length - 1) - 3 : undefined;
  }

  async #play(): Promise<void> {
    const video = this.#video;
    try {
      await video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return;
      if (video.muted) {
        this.#wantsPlay = false;
        return;
      }
      video.muted = true;
      try {
        await video.play();
        this.soundBlocked = true;
      } catch {
        video.muted = false;
        this.#wantsPlay = false;
        this.phase = 'playing';
      }
    }
  }

  async #open(): Promise<void> {
    const generation = ++this.#generation;
    const source = this.#source;
    if (source === undefined) return;
    this.#progressAt = performance.now();
    this.#rebuiltAt = this.#progressAt;
    let Hls: Awaited<ReturnType<typeof loadHls>> | undefined;
    let opened: Opened;
    try {
      [opened, Hls] = await Promise.all([source.open(), scripted() ? loadHls() : undefined]);
    } catch {
      if (generation === this.#generation) this.#later(() => void this.#open());
      return;
    }
    if (generation !== this.#generation) return;
    if (!Hls) {
      this.#openNative(opened.url);
      return;
    }
    this.#Hls = Hls;
    if (!Hls.isSupported()) {
      if (this.#video.canPlayType(NATIVE_HLS)) this.#openNative(opened.url);
      else this.#fail('This browser can’t play H.264 live video. Open the address below in VLC.');
      return;
    }
    const carrying = opened.carried && (await loadCarrying().catch(() => undefined));
    if (generation !== this.#generation) return;
    // Where friends can't be asked after all, the edges have everything too.
    const carry = carrying && opened.carried && new carrying.Carry(opened.carried);
    this.#carry = carry;
    const hls = new Hls({ ...config(source.mode, () => this.#sourceThere), ...carry?.config() });
    carry?.bind(hls, Hls.Events);
    this.#hls = hls;
    this.#servers = new Servers();
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      // There is one rendition; its levels are the servers that have it.
      hls.loadLevel = 0;
    });
    this.#follow(this.#following);
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (hls === this.#hls) this.#onError(data);
    });
    hls.on(Hls.Events.LEVEL_LOADED, (_event, { details }) => {
      // Segments of many seconds are not waited for twice.
      if (details.targetduration > LONG_SEGMENT_S) hls.config.initialLiveManifestSize = 1;
    });
    const arrived = (_event: unknown, data: FragBufferedData | FragLoadedData): void => {
      this.#failures = 0;
      // hls.js counts the failures of all servers together, and forgets only those of the one that plays.
      for (const level of hls.levels) level.fragmentError = 0;
      const part = data.part ? `.${data.part.index}` : '';
      this.stats.last = `${data.frag.sn}${part}`;
    };
    hls.on(Hls.Events.FRAG_BUFFERED, arrived);
    hls.attachMedia(this.#video);
    hls.loadSource(opened.url);
    if (this.#wantsPlay) void this.#play();
  }

  #openNative(url: string): void {
    if (!this.#video.canPlayType(NATIVE_HLS)) {
      this.#fail('This browser can’t play live video. Open the address below in VLC.');
      return;
    }
    this.#video.src = url;
    if (this.#wantsPlay) void this.#play();
  }

  #close(): void {
    this.#generation += 1;
    this.#refillSince = undefined;
    clearTimeout(this.#repair);
    this.#due = undefined;
    this.#hls?.destroy();
    this.#hls = undefined;
    if (this.#carry) this.#before = { ...plus(this.#before, this.#carry.read()), ...NOBODY };
    this.#carry?.destroy();
    this.#carry = undefined;
    if (this.#video.src) {
      this.#video.removeAttribute('src');
      this.#video.load();
    }
  }

  #fail(reason: string): void {
    this.failure = reason;
    this.phase = 'failed';
  }

  #onError(data: ErrorData): void {
    if (!this.#Hls) return;
    if (!data.fatal) {
      if (data.type === this.#Hls.ErrorTypes.NETWORK_ERROR) this.#elsewhere();
      return;
    }
    const { ErrorTypes, ErrorDetails } = this.#Hls;
    this.#failures += 1;
    const failure: Failure = {
      kind: 'other',
      status: data.response?.code,
      atStart: data.details.startsWith('manifest'),
    };
    if (
      data.details === ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR ||
      data.details === ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR
    ) {
      failure.kind = 'codec';
    } else if (data.type === ErrorTypes.NETWORK_ERROR) {
      failure.kind = 'network';
    } else if (data.type === ErrorTypes.MEDIA_ERROR) {
      failure.kind = 'media';
    }
    switch (step(failure, this.#failures)) {
      case 'resume':
        this.#later(() => this.#hls?.startLoad());
        break;
      case 'repair':
        // Whoever carries the session would be lost with the media source: it begins anew with both.
        if (this.#carry) {
          this.#later(() => this.#rebuild());
          break;
        }
        this.#hls?.recoverMediaError();
        if (this.#wantsPlay) void this.#play();
        break;
      case 'rebuild':
        this.#later(() => this.#rebuild());
        break;
      case 'give up':
        this.#close();
        this.#fail('This browser can’t decode this stream. Open the address below in VLC.');
        break;
    }
  }

  /** Something could not be loaded: another server may have it. */
  #elsewhere(): void {
    const hls = this.#hls;
    if (!hls || !this.#sourceThere) return;
    const next = this.#servers.after(Math.max(0, hls.loadLevel), hls.levels.length, performance.now());
    if (next !== undefined) hls.loadLevel = next;
  }

  /** A recovery step waits a little, and for the publisher. */
  #later(action: () => void): void {
    clearTimeout(this.#repair);
    this.#due = undefined;
    this.#repair = setTimeout(
      () => {
        this.#due = action;
        if (this.#sourceThere) this.#runDue();
      },
      delay(this.#failures, Math.random()),
    );
  }

  #runDue(): void {
    const action = this.#due;
    this.#due = undefined;
    action?.();
  }

  /** A new session from the first playlist on; the viewer goes on seeing the last picture. */
  #rebuild(): void {
    if (this.#source === undefined) return;
    this.#hold();
    this.#close();
    void this.#open();
  }

  #hold(): void {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (width === 0 || this.#video.readyState < 2) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
    try {
      this.#canvas.getContext('2d')?.drawImage(this.#video, 0, 0, width, height);
      this.holding = true;
    } catch {
      // then the frame is black for a moment
    }
  }

  #listen(): void {
    const video = this.#video;
    const on = (name: string, act: () => void): void =>
      video.addEventListener(name, act, { signal: this.#listening.signal });
    on('waiting', () => {
      if (this.phase === 'playing' && !video.seeking && !video.paused) this.#beginStall();
    });
    on('playing', () => this.#moving());
    on('timeupdate', () => {
      if (!video.paused && !video.seeking && video.currentTime !== this.#lastTime) this.#moving();
    });
    on('pause', () => {
      if (this.#refillSince !== undefined) return;
      this.paused = !this.#wantsPlay || document.pictureInPictureElement === video;
      if (document.pictureInPictureElement === video) this.#wantsPlay = false;
      this.#endStall();
    });
    on('play', () => {
      this.#wantsPlay = true;
      this.paused = false;
      this.#progressAt = performance.now();
    });
    on('volumechange', () => {
      this.muted = video.muted;
      this.volume = video.volume;
      if (!video.muted) this.soundBlocked = false;
    });
    on('ended', () => {
      if (this.phase === 'playing') this.#beginStall();
    });
    on('error', () => {
      if (this.#hls || this.#source === undefined || !video.src) return;
      this.#failures += 1;
      this.#later(() => this.#rebuild());
    });
  }

  #moving(): void {
    if (this.#source === undefined || this.#video.readyState < 2) return;
    this.#lastTime = this.#video.currentTime;
    this.#progressAt = performance.now();
    if (this.#refilling()) return;
    this.#endStall();
    this.holding = false;
    this.phase = 'playing';
  }

  /** Seconds to have ahead before going on after a stall: what is wanted, as far as it can be had. */
  #enough(): number {
    const hls = this.#hls;
    const wanted = (hls?.targetLatency ?? 1) - 0.5;
    const details = hls?.latestLevelDetails;
    if (this.#source?.mode !== 'friends' || !details) return Math.max(0.5, wanted);
    // Where friends carry, only what is played next is fetched at once; the rest may take its time.
    const there = details.edge - this.#video.currentTime - 0.1;
    return Math.max(0.5, Math.min(wanted, 1.5 * details.targetduration, there));
  }

  #ahead(): number {
    return bufferedAhead(ranges(this.#video.buffered), this.#video.currentTime);
  }

  /** Waits for more when a stall ends with next to nothing in the buffer. */
  #refilling(): boolean {
    if (this.#refillSince !== undefined) return true;
    const now = performance.now();
    const long = this.#stallSince !== undefined && now - this.#stallSince > REFILL_AFTER_MS;
    if (!long || !this.#hls || this.#ending || this.#ahead() >= this.#enough()) return false;
    this.#refillSince = now;
    this.#video.pause();
    return true;
  }

  #refilled(now: number): void {
    if (this.#refillSince === undefined) return;
    if (this.#ahead() < this.#enough() && now - this.#refillSince < REFILL_AT_MOST_MS) return;
    this.#refillSince = undefined;
    this.#endStall();
    if (this.#wantsPlay) void this.#play();
  }

  #beginStall(): void {
    if (this.#stallSince !== undefined || this.#ending) return;
    this.#stallSince = performance.now();
    this.stalls += 1;
  }

  #endStall(): void {
    if (this.#stallSince === undefined) return;
    this.stalledMs += performance.now() - this.#stallSince;
    this.#stallSince = undefined;
    if (this.phase === 'stalled') this.phase = 'playing';
  }

  #read(): void {
    if (this.#source === undefined || this.phase === 'failed') return;
    const video = this.#video;
    const now = performance.now();
    this.#refilled(now);
    const frozen = now - this.#progressAt;
    const meant = this.#wantsPlay && !video.seeking;
    if (meant && this.phase === 'playing' && frozen > FROZEN_MS) {
      if (!video.paused) this.#beginStall();
      this.phase = 'stalled';
    }
    const last = Math.max(this.#progressAt, this.#rebuiltAt);
    if (this.#wantsPlay && this.#sourceThere && now - last > REBUILD_AFTER_MS && this.phase !== 'idle') {
      this.#failures += 1;
      this.#rebuiltAt = now;
      this.#rebuild();
    }
    this.#readNumbers(now);
  }

  #readNumbers(now: number): void {
    const video = this.#video;
    const hls = this.#hls;
    const details = hls?.latestLevelDetails ?? undefined;
    const { seekable } = video;
    if (hls && details) {
      this.latency = hls.latency;
      const target = hls.targetLatency ?? details.targetduration * 3;
      this.atEdge = !behind(hls.latency, target, details.targetduration);
      // In low latency, hls.js does this itself.
      if (this.#source?.mode === 'friends' && this.#following) {
        video.playbackRate = rate(video.playbackRate, hls.latency - target, this.#ahead(), details.targetduration);
      }
    } else if (!hls && seekable.length > 0) {
      this.latency = seekable.end(seekable.length - 1) - video.currentTime;
      this.atEdge = !behind(this.latency, 8, 4);
    }
    const read = readStats(video, hls);
    const { frames } = read;
    if (now - this.#fps.at >= 1000) {
      const seconds = (now - this.#fps.at) / 1000;
      this.stats.fps = frames >= this.#fps.frames ? (frames - this.#fps.frames) / seconds : 0;
      this.#fps = { at: now, frames };
      this.carried = this.#carry ? plus(this.#before, this.#carry.read()) : this.#before;
    }
    Object.assign(this.stats, read);
  }
}

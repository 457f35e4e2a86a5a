/** hls.js, in a chunk of its own that only watching needs. */

import type HlsClass from 'hls.js';
import type { HlsConfig, LoadPolicy, RetryConfig } from 'hls.js';

import type { Delivery } from './api/types';
import { BEHIND_TARGETS, JUMP_AFTER_TARGETS } from './friends/tuning';

type Hls = typeof HlsClass;

/** Whether the browser lets scripts feed a video element. Without it (old iPhones) HLS is native. */
export function scripted(): boolean {
  return 'ManagedMediaSource' in globalThis || 'MediaSource' in globalThis;
}

let loaded: Promise<Hls> | undefined;

export function loadHls(): Promise<Hls> {
  if (!scripted()) return Promise.reject(new Error('no MediaSource'));
  loaded ??= import('hls.js/light').then(
    (module) => module.default as unknown as Hls,
    (error: unknown) => {
      loaded = undefined;
      throw error;
    },
  );
  return loaded;
}

/** A publisher may take a minute to come back, another origin three seconds. */
function retrying(worthwhile: () => boolean, maxNumRetry: number): RetryConfig {
  return {
    maxNumRetry,
    retryDelayMs: 400,
    maxRetryDelayMs: 3000,
    backoff: 'exponential',
    shouldRetry: (_config, _count, _timeout, _response, usual) => usual && worthwhile(),
  };
}

function policy(retry: RetryConfig, firstByteMs: number, allMs: number): LoadPolicy {
  return {
    default: {
      maxTimeToFirstByteMs: firstByteMs,
      maxLoadTimeMs: allMs,
      timeoutRetry: { ...retry, retryDelayMs: 0 },
      errorRetry: retry,
    },
  };
}

/**
 * A segment without an answer (a connection that broke, bytes that did not verify) is asked for again at
 * once: hls.js would take it for a gap, and leave its two seconds out.
 */
export function again(worthwhile: () => boolean, maxNumRetry: number): RetryConfig {
  return {
    ...retrying(worthwhile, maxNumRetry),
    retryDelayMs: 100,
    shouldRetry: (_config, count, _timeout, response, usual) =>
      (usual || (response?.code === 0 && count < maxNumRetry)) && worthwhile(),
  };
}

/** `worthwhile` says whether trying again makes sense now; without it an error ends the loading. */
function common(worthwhile: () => boolean): Partial<HlsConfig> {
  return {
    // Fragmented MP4 needs no remuxing: a worker would only cost the start a round trip.
    enableWorker: false,
    maxLiveSyncPlaybackRate: 1.05,
    liveSyncOnStallIncrease: 0.5,
    liveDurationInfinity: true,
    backBufferLength: 30,
    maxBufferLength: 20,
    startFragPrefetch: true,
    testBandwidth: false,
    abrEwmaDefaultEstimate: 5_000_000,
    manifestLoadPolicy: policy(retrying(worthwhile, 3), 10_000, 15_000),
  };
}

/** The delay itself is the server's to say (PART-HOLD-BACK), so liveSyncDuration stays unset. */
function lowLatency(worthwhile: () => boolean): Partial<HlsConfig> {
  return {
    ...common(worthwhile),
    lowLatencyMode: true,
    // A blocking reload answers after three target durations at the latest.
    playlistLoadPolicy: policy(retrying(worthwhile, 4), 35_000, 40_000),
    fragLoadPolicy: policy(again(worthwhile, 6), 10_000, 30_000),
  };
}

/** Whole segments: an edge that hangs is given up before what is buffered ends. */
function friends(worthwhile: () => boolean): Partial<HlsConfig> {
  return {
    ...common(worthwhile),
    lowLatencyMode: false,
    // Who waited for the stream begins with its second segment: with one alone it would stand still after it.
    initialLiveManifestSize: 2,
    liveSyncDurationCount: BEHIND_TARGETS,
    liveMaxLatencyDurationCount: jumpAfter('friends'),
    playlistLoadPolicy: policy(retrying(worthwhile, 4), 2500, 5000),
    fragLoadPolicy: policy(again(worthwhile, 6), 2500, 10_000),
  };
}

export function config(mode: Delivery, worthwhile: () => boolean): Partial<HlsConfig> {
  return mode === 'friends' ? friends(worthwhile) : lowLatency(worthwhile);
}

/** Beyond this many target durations, a viewer who follows the edge is taken back to it. */
export function jumpAfter(mode: Delivery): number {
  return mode === 'friends' ? JUMP_AFTER_TARGETS : 5;
}

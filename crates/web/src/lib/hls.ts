/** hls.js, in a chunk of its own that only watching needs. */

import type HlsClass from 'hls.js';
import type { HlsConfig, LoadPolicy, RetryConfig } from 'hls.js';

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
function policy(worthwhile: () => boolean, maxNumRetry: number, firstByteMs: number, allMs: number): LoadPolicy {
  const retry: RetryConfig = {
    maxNumRetry,
    retryDelayMs: 400,
    maxRetryDelayMs: 3000,
    backoff: 'exponential',
    shouldRetry: (_config, _count, _timeout, _response, usual) => usual && worthwhile(),
  };
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
 * The delay itself is the server's to say (PART-HOLD-BACK), so liveSyncDuration stays unset.
 * `worthwhile` says whether trying again makes sense now; without it an error ends the loading.
 */
export function config(worthwhile: () => boolean): Partial<HlsConfig> {
  return {
    // Fragmented MP4 needs no remuxing: a worker would only cost the start a round trip.
    enableWorker: false,
    lowLatencyMode: true,
    maxLiveSyncPlaybackRate: 1.05,
    liveSyncOnStallIncrease: 0.5,
    liveDurationInfinity: true,
    backBufferLength: 30,
    maxBufferLength: 20,
    startFragPrefetch: true,
    testBandwidth: false,
    abrEwmaDefaultEstimate: 5_000_000,
    manifestLoadPolicy: policy(worthwhile, 3, 10_000, 15_000),
    // A blocking reload answers after three target durations at the latest.
    playlistLoadPolicy: policy(worthwhile, 4, 35_000, 40_000),
    fragLoadPolicy: policy(worthwhile, 6, 10_000, 30_000),
  };
}

/** Beyond this many target durations, a viewer who follows the edge is taken back to it. */
export const JUMP_AFTER_TARGETS = 5;

/** The numbers that the stats panel shows beside the player's own state. */

import type Hls from 'hls.js';
import { scripted } from './hls';
import { bufferedAhead, ranges } from './latency';

export interface Stats {
  mode: string;
  buffer: number;
  bandwidth: number;
  width: number;
  height: number;
  frames: number;
  dropped: number;
  fps: number;
  codecs: string;
  last: string;
  clockDelay: number | undefined;
  rate: number;
}

export const NO_STATS: Stats = {
  mode: '–', buffer: 0, bandwidth: 0, width: 0, height: 0, frames: 0, dropped: 0, fps: 0,
  codecs: '', last: '–', clockDelay: undefined, rate: 1,
};

function mode(hls: Hls | undefined): string {
  if (!hls) return scripted() ? '–' : 'native';
  return hls.latestLevelDetails?.partList ? 'low latency' : 'segments';
}

/** What can be read now; frames a second need two readings. */
export function readStats(video: HTMLVideoElement, hls: Hls | undefined): Omit<Stats, 'fps' | 'last'> {
  const quality = video.getVideoPlaybackQuality?.();
  const level = hls?.levels[Math.max(0, hls.currentLevel)];
  const playing = hls?.playingDate;
  return {
    mode: mode(hls),
    buffer: bufferedAhead(ranges(video.buffered), video.currentTime),
    bandwidth: hls?.bandwidthEstimate ?? 0,
    width: video.videoWidth,
    height: video.videoHeight,
    frames: quality?.totalVideoFrames ?? 0,
    dropped: quality?.droppedVideoFrames ?? 0,
    codecs: [level?.videoCodec, level?.audioCodec].filter(Boolean).join(', '),
    clockDelay: playing ? (Date.now() - playing.getTime()) / 1000 : undefined,
    rate: video.playbackRate,
  };
}

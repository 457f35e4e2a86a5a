/** How long is waited for friends before our servers are asked, derived from the target duration. */

/** The delay aimed at: 7 s behind the last whole segment, where they have 2 s. */
export const BEHIND_TARGETS = 3.5;
/** Beyond this many target durations, a viewer who follows the edge is taken back to it. */
export const JUMP_AFTER_TARGETS = 8;

/** A segment that begins within this time of what plays is fetched from an edge. */
const URGENT_TARGETS = 1.5;
/** While no peer is there, an edge is asked so much sooner: it may hang for a moment, and nobody else has anything. */
const ALONE_TARGETS = 2.5;
/** One that nobody has is fetched by one of the viewers within this time. */
const SEED_TARGETS = 2.5;

/** Off by more than this from the delay aimed at, it plays a little faster, or slower. */
const OFF_TARGETS = 0.5;
const CATCH_UP_RATE = 1.04;
const FALL_BACK_RATE = 0.95;
/** By more than this, it is better to be there soon. */
const FAR_TARGETS = 1.25;
const FAR_FALL_BACK_RATE = 0.9;

/**
 * How fast to play. What a stall cost is made up for, where there is enough to play. Who joined in a
 * stream's first seconds is closer to live than friends can serve, and falls back to where they can.
 */
export function rate(now: number, late: number, ahead: number, targetDuration: number): number {
  const off = OFF_TARGETS * targetDuration;
  if (late < -FAR_TARGETS * targetDuration) return FAR_FALL_BACK_RATE;
  if (late < -off) return FALL_BACK_RATE;
  if (late > off && ahead > URGENT_TARGETS * targetDuration) return CATCH_UP_RATE;
  // It goes on with what it does until it is there.
  if (Math.abs(late) <= 0.1 * targetDuration) return 1;
  if (now > 1) return late > 0 && ahead > targetDuration ? now : 1;
  return now < 1 && late < 0 ? FALL_BACK_RATE : 1;
}

export interface Windows {
  highDemandTimeWindow: number;
  httpDownloadTimeWindow: number;
}

export function windows(targetDuration: number, alone: boolean): Windows {
  return {
    highDemandTimeWindow: (alone ? ALONE_TARGETS : URGENT_TARGETS) * targetDuration,
    httpDownloadTimeWindow: SEED_TARGETS * targetDuration,
  };
}

/** A peer that says nothing for this long is given up for this segment. */
export const PEER_SILENCE_MS = 1500;
/** So is an edge; there may be another. */
export const EDGE_SILENCE_MS = 2500;
/** A transfer that was given up earlier than this says nothing about the peer. */
export const FAIR_TRY_MS = 1500;
/** Nothing that a stream of ours has is larger: whoever announces more, lies. */
export const LARGEST_SEGMENT = 64 * 1024 * 1024;
/** Segments kept for others, in MiB. */
export const MEMORY_MIB = 256;

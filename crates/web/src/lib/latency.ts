/** Where the picture is against the live edge. */

/** Beyond the aimed-at delay by this much, a viewer is behind, not merely catching up. */
const SLACK_S = 2;

/** Behind the live edge by choice or by accident: worth a button. */
export function behind(latency: number, target: number, targetDuration: number): boolean {
  return latency > target + Math.max(SLACK_S, targetDuration);
}

/** Seconds buffered after `time`. */
export function bufferedAhead(ranges: readonly (readonly [number, number])[], time: number): number {
  const within = ranges.find(([start, end]) => start <= time + 0.1 && end > time);
  return within ? within[1] - time : 0;
}

export function ranges(buffered: TimeRanges): [number, number][] {
  return Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]);
}

/** Ten minutes of a stream's health: what the server remembers, and what it tells from then on. */

import { healthHistory } from './api/owner';
import type { Health, HealthSample } from './api/types';
import type { Point } from './series';

export type Measure = 'bitrate_bps' | 'frame_rate' | 'gop_ms' | 'drift_ms' | 'viewers';
export type Sample = Omit<HealthSample, 'at'> & { at: number };

export const SPAN_MS = 10 * 60_000;

export function toSample(sample: HealthSample): Sample {
  return { ...sample, at: Date.parse(sample.at) };
}

/** One more, and none that is too old or came twice. */
export function append(samples: readonly Sample[], sample: Sample): Sample[] {
  const last = samples.at(-1);
  if (last && sample.at <= last.at) return samples as Sample[];
  return [...samples.filter(({ at }) => at >= sample.at - SPAN_MS - 5000), sample];
}

/** One measure of them. Between the first two keyframes their distance isn't known. */
export function pointsOf(samples: readonly Sample[], measure: Measure): Point[] {
  const known = measure === 'gop_ms' ? samples.filter(({ gop_ms }) => gop_ms > 0) : samples;
  return known.map((sample) => ({ at: sample.at, value: sample[measure] }));
}

export class HealthLog {
  samples = $state.raw<Sample[]>([]);
  now = $state.raw<Health | undefined>(undefined);
  loaded = $state(false);

  /** The past, before what was heard meanwhile. */
  async load(stream: string, signal: AbortSignal): Promise<void> {
    try {
      const { samples, now } = await healthHistory(stream, signal);
      const heard = this.samples;
      const past = samples.map(toSample);
      this.samples = heard.reduce<Sample[]>(append, past);
      if (heard.length === 0) this.now = now ?? undefined;
    } catch {
      // the graphs then begin with what is told
    } finally {
      this.loaded = true;
    }
  }

  take(sample: HealthSample, now: Health): void {
    this.samples = append(this.samples, toSample(sample));
    this.now = now;
  }
}

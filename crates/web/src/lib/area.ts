/** Stacked areas of who delivers how much. Pure, so that it can be tested. */

import type { Sample } from './api/helpers';
import { place, type Scale } from './series';

/** From the bottom up: what friends carry stands first. */
export const LAYERS = ['friends', 'peers', 'edge'] as const;
export type Layer = (typeof LAYERS)[number];

export interface Moment {
  at: number;
  friends: number;
  peers: number;
  edge: number;
}

/** Each sample stands for this time from its moment on. */
export const SAMPLE_MS = 60_000;
/** Between samples further apart nothing was heard. */
const GAP_MS = 2.5 * SAMPLE_MS;

export function moments(samples: readonly Sample[]): Moment[] {
  return samples
    .map(({ at, friends_bps, peers_bps, edge_bps }) => ({ at: Date.parse(at), friends: friends_bps, peers: peers_bps, edge: edge_bps }))
    .filter(({ at }) => Number.isFinite(at))
    .sort((a, b) => a.at - b.at);
}

export function total({ friends, peers, edge }: Omit<Moment, 'at'>): number {
  return friends + peers + edge;
}

/** A layer as an SVG path over those below it; broken where nothing was heard. */
export function area(all: readonly Moment[], layer: Layer, scale: Scale): string {
  const below = LAYERS.slice(0, LAYERS.indexOf(layer));
  const base = (moment: Moment): number => below.reduce((sum, name) => sum + moment[name], 0);
  return runs(all)
    .map((run) => {
      const top = run.map((moment) => place({ at: moment.at, value: base(moment) + moment[layer] }, scale));
      const bottom = run.map((moment) => place({ at: moment.at, value: base(moment) }, scale)).reverse();
      return `M${[...top, ...bottom].map(([x, y]) => `${x} ${y}`).join('L')}Z`;
    })
    .join('');
}

function runs(all: readonly Moment[]): Moment[][] {
  const found: Moment[][] = [];
  for (const moment of all) {
    const last = found.at(-1);
    const before = last?.at(-1);
    if (last && before && moment.at - before.at <= GAP_MS) last.push(moment);
    else found.push([moment]);
  }
  // The last of each goes on to its end: also one alone is seen.
  return found.map((run) => [...run, ...run.slice(-1).map((last) => ({ ...last, at: last.at + SAMPLE_MS }))]);
}

/** `42 %`; never a hundred unless it is. */
export function percent(share: number): string {
  if (!Number.isFinite(share) || share <= 0) return '0 %';
  if (share < 0.01) return '< 1 %';
  return `${share >= 1 ? 100 : Math.min(99, Math.round(share * 100))} %`;
}

/** What was saved, from millionths. Cents matter little here, but a little must not look like nothing. */
export function money({ currency, micros }: { currency: string; micros: number }): string {
  const value = micros / 1e6;
  const digits = value > 0 && value < 1 ? 4 : 2;
  return new Intl.NumberFormat('en', { style: 'currency', currency, minimumFractionDigits: 2, maximumFractionDigits: digits }).format(value);
}

/** What a graph draws: a number over the last minutes. Pure, so that it can be tested. */

export interface Point {
  at: number;
  value: number;
}

/** Two samples further apart than this have nothing between them. */
const GAP_MS = 5000;

/** The points not older than `spanMs` at `now`, and room for the line to enter from the left. */
export function recent<T extends { at: number }>(points: readonly T[], now: number, spanMs: number): T[] {
  const first = points.findIndex(({ at }) => at >= now - spanMs);
  return first < 0 ? [] : points.slice(first);
}

/** A round number at or above `value`, so that the scale doesn't twitch. */
export function ceiling(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((n) => n * power >= value) ?? 10;
  return step * power;
}

export interface Scale {
  now: number;
  spanMs: number;
  low: number;
  high: number;
  width: number;
  height: number;
}

export function place({ at, value }: Point, scale: Scale): [number, number] {
  const x = scale.width * (1 - (scale.now - at) / scale.spanMs);
  const share = (value - scale.low) / (scale.high - scale.low || 1);
  return [round(x), round(scale.height * (1 - Math.min(1, Math.max(0, share))))];
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}

/** The line as an SVG path, broken where nothing was heard. */
export function line(points: readonly Point[], scale: Scale): string {
  let before = -Infinity;
  return points
    .map((point) => {
      const [x, y] = place(point, scale);
      const step = point.at - before > GAP_MS ? 'M' : 'L';
      before = point.at;
      return `${step}${x} ${y}`;
    })
    .join('');
}

/** The point nearest to a moment. */
export function nearest(points: readonly Point[], at: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) {
    if (!best || Math.abs(point.at - at) < Math.abs(best.at - at)) best = point;
  }
  return best;
}

export interface Summary {
  last: number;
  lowest: number;
  highest: number;
}

export function summary(points: readonly Point[]): Summary | undefined {
  const last = points.at(-1);
  if (!last) return undefined;
  const values = points.map(({ value }) => value);
  return { last: last.value, lowest: Math.min(...values), highest: Math.max(...values) };
}

/** The server's time: elapsed times are right even where the viewer's clock isn't. */

/** Under this, a difference to the server's clock is the header's rounding. */
const SKEW_MS = 2000;

let skew = 0;

export function serverNow(): number {
  return Date.now() + skew;
}

export function noteClock(response: Response): void {
  const date = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(date)) return;
  const difference = date + 500 - Date.now();
  skew = Math.abs(difference) > SKEW_MS ? difference : 0;
}

/** What each segment's SHA-256 must be, as the edge's playlist says. */

const LINE = '#EXT-X-STREAMR-SHA256:';
const HEX = /^[0-9a-f]{64}$/;
const NAME = /\/(\d+)\/(\d+)\.m4s(?:[?#]|$)/;
/** A window is 30 s or six target durations; older ones may still be on their way. */
const KEPT = 256;

export interface SegmentName {
  epoch: number;
  /** Its media sequence number, by which peers know it. */
  number: number;
}

/** A segment's address ends in `/<epoch>/<number>.m4s`, at whichever edge. */
export function segmentName(url: string): SegmentName | undefined {
  const found = NAME.exec(url.startsWith('/') ? url : `/${url}`);
  return found ? { epoch: Number(found[1]), number: Number(found[2]) } : undefined;
}

export class Digests {
  #known = new Map<string, string>();
  #epochs = new Map<number, number>();

  read(playlist: string): void {
    let digest: string | undefined;
    for (const line of playlist.split(/\r?\n/)) {
      if (line.startsWith(LINE)) {
        const hex = line.slice(LINE.length).trim().toLowerCase();
        digest = HEX.test(hex) ? hex : undefined;
      } else if (line !== '' && !line.startsWith('#')) {
        const name = segmentName(line);
        if (name && digest !== undefined) this.#keep(name, digest);
        digest = undefined;
      }
    }
  }

  /** A segment by its number alone, which no two epochs share. */
  named(number: number): SegmentName | undefined {
    const epoch = this.#epochs.get(number);
    return epoch === undefined ? undefined : { epoch, number };
  }

  of({ epoch, number }: SegmentName): string | undefined {
    return this.#known.get(`${epoch}/${number}`);
  }

  #keep({ epoch, number }: SegmentName, digest: string): void {
    this.#known.set(`${epoch}/${number}`, digest);
    this.#epochs.set(number, epoch);
    forgetOldest(this.#known);
    forgetOldest(this.#epochs);
  }
}

function forgetOldest<K>(map: Map<K, unknown>): void {
  for (const old of map.keys()) {
    if (map.size <= KEPT) return;
    map.delete(old);
  }
}

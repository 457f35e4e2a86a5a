/** As much of what peers tell one another as is needed to know who gave what. */

/** Whole commands begin and end so; longer ones come in parts, and none of those matter here. */
const START = 'cstr';
const END = 'cend';
const FRAME = 4;
const NUMBER = 0;

const ANSWER = 2;
const REQUEST = 1;
const ABSENT = 4;

export type Said =
  | { kind: 'request'; segment: number; from: number }
  /** `size` bytes follow. */
  | { kind: 'answer'; segment: number; size: number }
  | { kind: 'absent'; segment: number };

function reads(bytes: Uint8Array, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i += 1) if (bytes[at + i] !== word.charCodeAt(i)) return false;
  return true;
}

/** The command's numbers by their names; nothing where it holds something else. */
function numbers(bytes: Uint8Array, from: number, to: number): Map<string, number> | undefined {
  const found = new Map<string, number>();
  let at = from;
  while (at < to) {
    const name = String.fromCharCode(bytes[at] ?? 0);
    const head = bytes[at + 1];
    if (head === undefined || head >> 4 !== NUMBER) return undefined;
    const end = at + 2 + (head & 0x0f);
    if (end > to) return undefined;
    let value = 0;
    for (let i = at + 2; i < end; i += 1) value = value * 256 + (bytes[i] ?? 0);
    found.set(name, value);
    at = end;
  }
  return found;
}

/** What a message says; segment bytes and other commands say nothing here. */
export function said(bytes: Uint8Array): Said | undefined {
  const end = bytes.length - FRAME;
  if (end <= FRAME || !reads(bytes, 0, START) || !reads(bytes, end, END)) return undefined;
  const kind = bytes[FRAME];
  if (kind !== REQUEST && kind !== ANSWER && kind !== ABSENT) return undefined;
  const read = numbers(bytes, FRAME + 1, end);
  const segment = read?.get('i');
  if (read === undefined || segment === undefined) return undefined;
  if (kind === REQUEST) return { kind: 'request', segment, from: read.get('b') ?? 0 };
  if (kind === ABSENT) return { kind: 'absent', segment };
  const size = read.get('s');
  return size === undefined ? undefined : { kind: 'answer', segment, size };
}

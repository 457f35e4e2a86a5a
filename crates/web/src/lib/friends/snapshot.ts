/** What is shown, and told to tests, about who carries a session. */

import type { Carrier } from './carriers';
import type { Counts } from './receipt';
import { EDGE } from './shares';

export interface CarriedBytes {
  friends: number;
  peers: number;
  edge: number;
}

/** Peers that were left, by why: wrong bytes, slowness, or because the server said so. */
export interface Left {
  wrong: number;
  slow: number;
  told: number;
}

export interface Snapshot {
  bytes: CarriedBytes;
  rejected: CarriedBytes;
  /** Verified bytes by node. */
  nodes: { node: string; name: string; bytes: number }[];
  /** Segments that verified, and that didn't. */
  verified: number;
  refused: number;
  /** Connections now: to friends' nodes and to other viewers. */
  connected: { friends: number; peers: number };
  /** Friends whose verified bytes came just now. */
  carriers: string[];
  /** Other viewers whose verified bytes came just now. */
  viewers: number;
  /** The last segment, and where it is from. */
  last: string;
  left: Left;
}

type Known = ReadonlyMap<string, Carrier>;

/** How the server names friends' nodes among peers. */
const NODE = /^-FN\d{4}-/;
/** A receipt names no more; a session meets few. */
const NAMED = 64;

function sort(given: ReadonlyMap<string, number>, known: Known): CarriedBytes {
  const bytes: CarriedBytes = { friends: 0, peers: 0, edge: 0 };
  for (const [source, amount] of given) {
    const kind = source === EDGE ? 'edge' : known.has(source) || NODE.test(source) ? 'friends' : 'peers';
    bytes[kind] += amount;
  }
  return bytes;
}

/** By node; one that the server didn't tell of yet waits for the next receipt. */
export function counts(given: ReadonlyMap<string, number>, known: Known): Counts {
  const nodes = new Map<string, number>();
  for (const [source, bytes] of given) {
    const node = known.get(source)?.node;
    if (node !== undefined && (nodes.has(node) || nodes.size < NAMED)) nodes.set(node, (nodes.get(node) ?? 0) + bytes);
  }
  const { peers, edge } = sort(given, known);
  return { nodes: [...nodes].map(([node, bytes]) => ({ node, bytes })), peers, edge };
}

interface Facts {
  given: ReadonlyMap<string, number>;
  rejected: ReadonlyMap<string, number>;
  verified: number;
  refused: number;
  open: Iterable<string>;
  recent: string[];
  last: string;
  left: Left;
}

export function nameOf(source: string, known: Known): string {
  if (source === EDGE) return 'edge';
  return known.get(source)?.name ?? (NODE.test(source) ? 'a friend' : 'a viewer');
}

export function snapshot(facts: Facts, known: Known): Snapshot {
  const names = new Map([...known.values()].map(({ node, name }) => [node, name]));
  const friend = (peer: string): boolean => known.has(peer) || NODE.test(peer);
  const open = [...facts.open];
  const friends = open.filter(friend).length;
  const recent = facts.recent.filter((source) => source !== EDGE);
  const carriers = [...new Set(recent.filter(friend).map((peer) => known.get(peer)?.node ?? peer))];
  return {
    bytes: sort(facts.given, known),
    rejected: sort(facts.rejected, known),
    nodes: counts(facts.given, known).nodes.map(({ node, bytes }) => ({ node, bytes, name: names.get(node) ?? '' })),
    verified: facts.verified,
    refused: facts.refused,
    connected: { friends, peers: open.length - friends },
    carriers: carriers.map((node) => names.get(node) ?? 'a friend').sort(),
    viewers: recent.filter((peer) => !friend(peer)).length,
    last: facts.last,
    left: { ...facts.left },
  };
}

/** Nobody carries, from here on. */
export const NOBODY: Pick<Snapshot, 'connected' | 'carriers' | 'viewers'> = {
  connected: { friends: 0, peers: 0 }, carriers: [], viewers: 0,
};

function sum(a: CarriedBytes, b: CarriedBytes): CarriedBytes {
  return { friends: a.friends + b.friends, peers: a.peers + b.peers, edge: a.edge + b.edge };
}

/** A session opened anew goes on counting. */
export function plus(before: Snapshot | undefined, now: Snapshot): Snapshot {
  if (!before) return now;
  const nodes = new Map(before.nodes.map((node) => [node.node, { ...node }]));
  for (const node of now.nodes) nodes.set(node.node, { ...node, bytes: node.bytes + (nodes.get(node.node)?.bytes ?? 0) });
  return {
    ...now,
    bytes: sum(before.bytes, now.bytes),
    rejected: sum(before.rejected, now.rejected),
    nodes: [...nodes.values()],
    verified: before.verified + now.verified,
    refused: before.refused + now.refused,
    left: { wrong: before.left.wrong + now.left.wrong, slow: before.left.slow + now.left.slow, told: before.left.told + now.left.told },
  };
}

/** “Ana + 2 friends”; nothing when no friend carries. */
export function carriedBy(carriers: readonly string[]): string | undefined {
  const [first, ...others] = carriers;
  if (first === undefined) return undefined;
  if (others.length === 0) return first;
  return `${first} + ${others.length} ${others.length === 1 ? 'friend' : 'friends'}`;
}

/** What a viewer signs about who gave him verified bytes. */

import { hashes, keygen, sign } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';

// Pages over plain http have no WebCrypto.
hashes.sha512 = sha512;

const DOMAIN = 'streamr/receipt/1\0';

export interface Counts {
  /** Verified bytes since the session began, by node. */
  nodes: { node: string; bytes: number }[];
  /** From other pages, and from our servers. */
  peers: number;
  edge: number;
}

export interface Receipt extends Counts {
  epoch: number;
  counter: number;
  at_unix_ms: number;
  signature: string;
}

export interface ReceiptKey {
  secret: Uint8Array;
  /** As the server is told it. */
  shown: string;
}

export function makeKey(): ReceiptKey {
  const { secretKey, publicKey } = keygen();
  return { secret: secretKey, shown: base64url(publicKey) };
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function uuid(text: string): Uint8Array {
  const hex = text.replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/i.test(hex)) throw new Error(`no id: ${text}`);
  return Uint8Array.from({ length: 16 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

/** Ids compare as their bytes do. */
export function sorted(nodes: Counts['nodes']): Counts['nodes'] {
  return nodes.map(({ node, bytes }) => ({ node: node.toLowerCase(), bytes })).sort((a, b) => (a.node < b.node ? -1 : Number(a.node > b.node)));
}

/** The bytes that are signed: all numbers are big-endian. */
export function canonical(session: string, receipt: Omit<Receipt, 'signature'>): Uint8Array {
  const domain = new TextEncoder().encode(DOMAIN);
  const nodes = sorted(receipt.nodes);
  const bytes = new Uint8Array(domain.length + 16 + 4 + 4 * 8 + 2 + nodes.length * 24);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const put = (more: Uint8Array): void => {
    bytes.set(more, at);
    at += more.length;
  };
  const long = (value: number): void => {
    view.setBigUint64(at, BigInt(value));
    at += 8;
  };
  put(domain);
  put(uuid(session));
  view.setUint32(at, receipt.epoch);
  at += 4;
  for (const value of [receipt.counter, receipt.at_unix_ms, receipt.peers, receipt.edge]) long(value);
  view.setUint16(at, nodes.length);
  at += 2;
  for (const { node, bytes: given } of nodes) {
    put(uuid(node));
    long(given);
  }
  return bytes;
}

export function signed(session: string, receipt: Omit<Receipt, 'signature'>, key: ReceiptKey): Receipt {
  const its = { ...receipt, nodes: sorted(receipt.nodes) };
  return { ...its, signature: base64url(sign(canonical(session, its), key.secret)) };
}

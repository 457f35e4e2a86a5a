/** Hashes segments where the page can't and mustn't wait for it. */

import { sha256 } from '@noble/hashes/sha2.js';

interface Ask {
  id: number;
  data: ArrayBuffer;
}

self.onmessage = ({ data: { id, data } }: MessageEvent<Ask>) => {
  const hash = Array.from(sha256(new Uint8Array(data)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  self.postMessage({ id, hash });
};

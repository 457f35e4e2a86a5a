/** What this server allows; asked once. */

import { getInstance } from './api/auth';
import type { Instance } from './api/types';

let asked: Promise<Instance> | undefined;

export function instance(): Promise<Instance> {
  asked ??= getInstance().catch((error: unknown) => {
    asked = undefined;
    throw error;
  });
  return asked;
}

/** After a change that it speaks of. */
export function forgetInstance(): void {
  asked = undefined;
}

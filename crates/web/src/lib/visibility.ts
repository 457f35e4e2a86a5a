/** Who may watch, in words. */

import type { Visibility } from './api/types';

export const VISIBILITIES: readonly { value: Visibility; name: string; meaning: string }[] = [
  { value: 'public', name: 'Public', meaning: 'Listed on the front page, and anyone may watch.' },
  { value: 'unlisted', name: 'Unlisted', meaning: 'Anyone who has the address may watch; it isn’t listed.' },
  { value: 'private', name: 'Private', meaning: 'Only you, and people to whom you give a share link.' },
];

export function visibilityName(visibility: Visibility): string {
  return VISIBILITIES.find(({ value }) => value === visibility)?.name ?? visibility;
}

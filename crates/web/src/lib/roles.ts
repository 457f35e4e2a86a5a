/** What an account is for, in words. */

import type { Role } from './api/types';

export const ROLES: readonly { value: Role; name: string }[] = [
  { value: 'streamer', name: 'Streamer' },
  { value: 'friend', name: 'Friend' },
  { value: 'admin', name: 'Admin' },
];

export function roleName(role: Role): string {
  return ROLES.find(({ value }) => value === role)?.name ?? role;
}

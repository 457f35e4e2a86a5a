/** The log's actions in words. */

const WORDS: Record<string, string> = {
  'login.succeeded': 'Logged in',
  'login.failed': 'Login failed: wrong password or code',
  'login.refused': 'Login refused',
  logout: 'Logged out',
  'password.changed': 'Password changed',
  'password.reset': 'Password reset by link',
  'totp.enabled': 'Second step turned on',
  'totp.disabled': 'Second step turned off',
  'key.changed': 'New key made',
  'role.changed': 'Role changed',
  'user.banned': 'User banned',
  'user.unbanned': 'Ban lifted',
  'user.deleted': 'Account deleted',
  'stream.created': 'Stream created',
  'stream.deleted': 'Stream deleted',
  'stream.ended': 'Stream ended',
  'visibility.changed': 'Visibility changed',
  'link.created': 'Share link created',
  'link.revoked': 'Share link revoked',
  'session.revoked': 'Viewer cut off',
  'flag.changed': 'Flag switched',
  'setting.changed': 'Setting changed',
  'invitation.created': 'Invitation created',
  'setup.completed': 'Set up',
};

export const ACTIONS = Object.keys(WORDS);

/** An action that isn't known is shown as it is. */
export function actionWords(action: string): string {
  return WORDS[action] ?? action;
}

/** `from public, to private`: an entry's details in one line. */
export function detailWords(detail: unknown): string {
  if (typeof detail !== 'object' || detail === null) return '';
  return Object.entries(detail)
    .filter(([, value]) => value !== null && typeof value !== 'object')
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${String(value)}`)
    .join(', ');
}

/** The log's actions in words. */

const WORDS: Record<string, string> = {
  'setup.completed': 'Set up',
  'user.registered': 'Account made',
  'user.deleted': 'Account deleted',
  'user.banned': 'User banned',
  'user.unbanned': 'Ban lifted',
  'role.changed': 'Role changed',
  'login.succeeded': 'Logged in',
  'login.failed': 'Login failed: wrong password or code',
  'login.refused': 'Login refused',
  'login.reused': 'Login ended: an old cookie was used',
  'login.ended': 'Logged out another device',
  logout: 'Logged out',
  'logout.everywhere': 'Logged out everywhere',
  'password.changed': 'Password changed',
  'password.forgotten': 'Reset link asked for',
  'password.link': 'Reset link made',
  'password.reset': 'Password reset by link',
  'totp.enabled': 'Second step turned on',
  'totp.disabled': 'Second step turned off',
  'stream.created': 'Stream made',
  'stream.deleted': 'Stream deleted',
  'stream.ended': 'Stream ended',
  'stream.moved': 'Stream moved on',
  'key.changed': 'New key made',
  'visibility.changed': 'Visibility changed',
  'link.created': 'Share link made',
  'link.revoked': 'Share link withdrawn',
  'session.revoked': 'Viewer cut off',
  'invitation.created': 'Invitation made',
  'invitation.withdrawn': 'Invitation withdrawn',
  'setting.changed': 'Setting changed',
  'flag.changed': 'Flag switched',
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

/**
 * `stream …01a1fec0`: what was acted upon. `names` has what is known by a name, or needn't be said; other
 * ids are cut to what tells them apart.
 */
export function subjectWords(subject: string | null | undefined, names: Record<string, string> = {}): string {
  if (!subject) return '';
  const known = names[subject];
  if (known !== undefined) return known;
  const [kind = '', ...rest] = subject.split('/');
  const name = rest.join('/');
  if (name === '') return subject;
  const id = /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(name);
  return `${kind} ${id ? `…${name.slice(-8)}` : name}`;
}

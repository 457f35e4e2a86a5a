/** Where in the pages an address leads. */

export const AUTH_PAGES = ['setup', 'login', 'register', 'forgot', 'reset'] as const;
export const STUDIO_TABS = ['connect', 'live', 'friends', 'access'] as const;
export const ADMIN_SECTIONS = ['users', 'streams', 'services', 'registration', 'flags', 'audit'] as const;

export type AuthPage = (typeof AUTH_PAGES)[number];
export type StudioTab = (typeof STUDIO_TABS)[number];
export type AdminSection = (typeof ADMIN_SECTIONS)[number];

export type Place =
  | { page: 'front' }
  | { page: 'watch'; stream: string }
  | { page: AuthPage }
  | { page: 'streams' }
  | { page: 'studio'; stream: string; tab: StudioTab }
  | { page: 'join' }
  | { page: 'supporter'; node: string }
  | { page: 'overlay'; stream: string }
  | { page: 'account' }
  | { page: 'admin'; section: AdminSection }
  | { page: 'nowhere' };

function among<T extends string>(words: readonly T[], word: string | undefined): T | undefined {
  return words.find((known) => known === word);
}

function studio(stream: string, last: string | undefined): Place {
  const tab = among(STUDIO_TABS, last);
  return tab ? { page: 'studio', stream, tab } : { page: 'nowhere' };
}

export function route(path: string): Place {
  let parts: string[];
  try {
    parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: 'nowhere' };
  }
  const [first, second, third] = parts;
  if (first === undefined) return { page: 'front' };
  if (first === 'watch' && second && parts.length === 2) return { page: 'watch', stream: second };
  if (first === 'supporter' && second && parts.length === 2) return { page: 'supporter', node: second };
  if (first === 'overlay' && second && parts.length === 2) return { page: 'overlay', stream: second };
  if (first === 'streams' && second && parts.length <= 3) return studio(second, third ?? 'live');
  if (first === 'admin' && parts.length <= 2) {
    const section = second === undefined ? 'users' : among(ADMIN_SECTIONS, second);
    return section ? { page: 'admin', section } : { page: 'nowhere' };
  }
  if (parts.length > 1) return { page: 'nowhere' };
  if (first === 'streams' || first === 'account' || first === 'join') return { page: first };
  const auth = among(AUTH_PAGES, first);
  return auth ? { page: auth } : { page: 'nowhere' };
}

export function watchPath(slug: string): string {
  return `/watch/${encodeURIComponent(slug)}`;
}

/** With the secret of a share link, where the stream is private. */
export function overlayPath(slug: string, secret?: string): string {
  const path = `/overlay/${encodeURIComponent(slug)}`;
  return secret === undefined ? path : `${path}#share=${encodeURIComponent(secret)}`;
}

export function studioPath(slug: string, tab: StudioTab): string {
  return `/streams/${encodeURIComponent(slug)}/${tab}`;
}

/** The secret of a share link, from the address's fragment. */
export function shareSecret(hash: string): string | undefined {
  return new URLSearchParams(hash.slice(1)).get('share') || undefined;
}

/** All of an address's fragment, where that is a secret. */
export function secretOf(hash: string): string {
  try {
    return decodeURIComponent(hash.slice(1));
  } catch {
    return hash.slice(1);
  }
}

/** Where to go after logging in: only to a page of this site, and not round in a circle. */
export function safeNext(next: string | null, origin: string, otherwise = '/streams'): string {
  if (!next?.startsWith('/')) return otherwise;
  try {
    const url = new URL(next, origin);
    const { page } = route(url.pathname);
    if (url.origin !== origin || among(AUTH_PAGES, page) || page === 'nowhere') return otherwise;
    return `${url.pathname}${url.search}${url.hash}`;
  } catch {
    return otherwise;
  }
}

export function loginPath(from: string): string {
  return `/login?next=${encodeURIComponent(from)}`;
}

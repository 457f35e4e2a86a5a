/** Where in the pages an address leads. */
export type Place = { page: 'front' } | { page: 'watch'; stream: string } | { page: 'nowhere' };

export function route(path: string): Place {
  const parts = path.split('/').filter(Boolean);
  if (parts.length === 0) return { page: 'front' };
  const [first, stream] = parts;
  if (first === 'watch' && stream && parts.length === 2) {
    try {
      return { page: 'watch', stream: decodeURIComponent(stream) };
    } catch {
      return { page: 'nowhere' };
    }
  }
  return { page: 'nowhere' };
}

export function watchPath(slug: string): string {
  return `/watch/${encodeURIComponent(slug)}`;
}

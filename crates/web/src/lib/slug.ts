/** The part of a stream's address that its owner may choose. */

const LONGEST = 40;

/** `Friday's Game Night!` suggests `fridays-game-night`. */
export function suggestSlug(title: string): string {
  return title
    .normalize('NFKD')
    .replace(/[\u0300-\u036f'’]/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, LONGEST)
    .replace(/^-+|-+$/g, '');
}

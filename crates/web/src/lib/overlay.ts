/** Whom the overlay names. */

import type { DeliveryFacts } from './api/helpers';

/** So many are named; the rest are a number. */
const NAMED = 6;

/** Who carries viewers now, always in the same order: only a change is to be seen. */
export function carrying(facts: DeliveryFacts | undefined): { node: string; name: string }[] {
  const all = (facts?.nodes ?? []).filter(({ viewers }) => viewers > 0).sort((a, b) => (a.name === b.name ? (a.node < b.node ? -1 : 1) : a.name < b.name ? -1 : 1));
  const named = all.slice(0, NAMED).map(({ node, name }) => ({ node, name }));
  return all.length > NAMED ? [...named, { node: 'more', name: `${all.length - NAMED} more` }] : named;
}

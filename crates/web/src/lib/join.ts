/** The command by which a friend joins. */

import type { System } from './device';

/** The link as one word of the shell: what it may hold of quotes is not the page's to trust. */
export function joinCommand(link: string, its: System | undefined): string {
  if (its === 'windows') return `.\\streamr-node.exe join "${link.replace(/["`$%]/g, '')}"`;
  return `./streamr-node join '${link.replaceAll("'", '')}'`;
}

/** The command by which a friend joins. */

/** For a system as downloads are named, `linux` or `linux-x86_64`: with the file that was saved, or else with what was built. */
export function joinCommand(link: string, its: string | undefined, file?: string): string {
  // The link as one word of the shell: what it may hold of quotes is not the page's to trust.
  if (its?.startsWith('windows')) {
    const program = file === undefined ? 'target\\release\\streamr-node.exe' : `.\\${file}`;
    return `${program} join "${link.replace(/["`$%]/g, '')}"`;
  }
  // Browsers save nothing as a program.
  const program = file === undefined ? 'target/release/streamr-node' : `chmod +x ${file} && ./${file}`;
  return `${program} join '${link.replaceAll("'", '')}'`;
}

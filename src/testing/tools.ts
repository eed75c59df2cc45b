import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A foreign tool that tests compare podnet with. */
export interface Tool {
  /** e.g. `kubectl 1.20` */
  name: string;
  path: string;
  /** The Debian package it comes from. */
  package: string;
  /** It is there and can be run. */
  present: boolean;
}

function tool(name: string, file: string, debianPackage: string): Tool {
  const path = fileURLToPath(new URL(`../../.cache/tools/${file}`, import.meta.url));
  let present = true;
  try {
    accessSync(path, constants.X_OK);
  } catch {
    present = false;
  }
  return { name, path, package: debianPackage, present };
}

/** The kubectls that podnet promises to work with, oldest first; fetched by scripts/test-tools.sh. */
export const kubectlBinaries = (): Tool[] => [
  tool('kubectl 1.20', 'kubectl-1.20', 'kubernetes-client of Debian 12'),
  tool('kubectl 1.32', 'kubectl-1.32', 'kubectl of Debian 13'),
];

/** nft versions besides the machine's own; fetched by scripts/test-tools.sh. */
export const nftBinaries = (): Tool[] => [tool('nft 1.1', 'nft-1.1', 'nftables of Debian 13')];

/** Clients of DNS beside those that Debian installs (dig, kdig); fetched by scripts/test-tools.sh. */
export const drillBinary = (): Tool => tool('drill', 'drill', 'ldnsutils of Debian 12');
export const unboundHostBinary = (): Tool => tool('unbound-host', 'unbound-host', 'unbound-host of Debian 12');

/** A real resolver, to be forwarded to; fetched by scripts/test-tools.sh. */
export const unboundBinary = (): Tool => tool('unbound', 'unbound', 'unbound of Debian 12');

/**
 * Options for node:test: without the tool the test skips and says what to do; where CI=true it fails instead, since nothing would be
 * proven. Call `requireTool` first thing in the test.
 */
export const needsTool = ({ name, package: debianPackage, present }: Tool): { skip: string | false } => ({
  skip: present || process.env.CI === 'true' ? false : `needs ${name} (${debianPackage}): run scripts/test-tools.sh`,
});

/** The tool's path. @throws Error naming the package when it is missing. */
export function requireTool({ name, path, package: debianPackage, present }: Tool): string {
  if (!present) throw new Error(`${name} is missing (${debianPackage}): run scripts/test-tools.sh`);
  return path;
}

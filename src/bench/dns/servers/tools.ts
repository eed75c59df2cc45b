import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A server that podnet is measured beside. */
export interface Tool {
  name: 'knot' | 'nsd' | 'unbound' | 'coredns';
  /** The program; undefined: it is not here. */
  path: string | undefined;
  version: string;
  /** How it is had. */
  how: string;
}

const fetched = (file: string): string | undefined => runnable(fileURLToPath(new URL(`../../../../.cache/bench-tools/${file}`, import.meta.url)));

function runnable(path: string): string | undefined {
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return undefined;
  }
}

function versionOf(path: string | undefined, argument: string): string {
  if (path === undefined) return '';
  try {
    const text = execFileSync('/bin/sh', ['-c', 'exec "$0" "$1" 2>&1', path, argument], { encoding: 'utf8' });
    return /(?:version|CoreDNS-)\s*(\d+(?:\.\d+)+)/i.exec(text)?.[1] ?? '';
  } catch {
    return '';
  }
}

function tool(name: Tool['name'], path: string | undefined, argument: string, how: string): Tool {
  return { name, path, version: versionOf(path, argument), how };
}

const onPath = (name: string): string | undefined =>
  (process.env.PATH ?? '').split(':').map((folder) => runnable(`${folder}/${name}`)).find((path) => path !== undefined);

const debian = "Debian 12's, by scripts/bench-tools.sh";
export const tools = (): Record<Tool['name'], Tool> => ({
  knot: tool('knot', fetched('knotd'), '-V', debian),
  nsd: tool('nsd', fetched('nsd'), '-v', debian),
  unbound: tool('unbound', fetched('unbound'), '-V', debian),
  coredns: tool('coredns', onPath('coredns'), '-version', 'on the PATH'),
});

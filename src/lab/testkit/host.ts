import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Counters and keys that change by themselves. */
const moving = /(nf_conntrack_count|fastopen_key|random)$/;

/** Every setting of the network that this process is in (`/proc/sys/net`), as `name = value`. */
export function networkSettings(): string[] {
  const root = '/proc/sys/net';
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !moving.test(entry.name))
    .flatMap((entry) => {
      const path = join(entry.parentPath, entry.name);
      try {
        return [`${path.slice(root.length + 1)} = ${readFileSync(path, 'utf8').trim()}`];
      } catch {
        // Some can only be written.
        return [];
      }
    });
}

/** All rules of the network that this process is in, as nft lists them, without counters. */
export const ruleset = (): string[] => execFileSync('nft', ['--stateless', 'list', 'ruleset'], { encoding: 'utf8' }).split('\n');

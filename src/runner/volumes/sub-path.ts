import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The place of `below` in a volume. A container may have put symbolic links there; none leads out of the volume, where the mount would show the
 * host's files (CVE-2017-1002101).
 * @param make what is missing is made, as folders
 * @throws Error
 */
export function subPathIn(volume: string, below: string, make: boolean): string {
  const root = realpathSync(volume);
  let at = root;
  for (const part of below.split('/').filter((name) => name !== '' && name !== '.')) {
    if (part === '..') throw new Error(`subPath "${below}" must not contain ".."`);
    const next = join(at, part);
    if (lstatSync(next, { throwIfNoEntry: false })) at = realpathSync(next);
    else if (make) {
      mkdirSync(next);
      at = next;
    } else throw new Error(`subPath "${below}": the volume has no ${part}`);
    if (at !== root && !at.startsWith(`${root}/`)) throw new Error(`subPath "${below}" leads out of the volume`);
  }
  return at;
}

import fs from 'node:fs';
import path from 'node:path';
import { IpAddr } from '../net/ip.ts';
import type { Hold } from './holds.ts';

/**
 * The leases of the `host-local` plugin: for each network a directory, in it a file for each address, named like it, with the container's id and perhaps its
 * interface as lines. They are only read: a node that changes from another plugin has pods with them until those are gone.
 * @param directory of all networks, by default of that plugin /var/lib/cni/networks; absent is none
 * @param bootMs when the machine was started: what is older belongs to no pod any more, and host-local itself never notices
 */
export function hostLocalLeases(directory: string, bootMs: number): Hold[] {
  return names(directory).flatMap((network) =>
    names(path.join(directory, network)).flatMap((name): Hold[] => {
      const address = IpAddr.tryParse(name);
      if (!address) return []; // `lock`, `last_reserved_ip.0`
      const file = path.join(directory, network, name);
      const facts = fs.lstatSync(file, { throwIfNoEntry: false });
      if (!facts?.isFile() || facts.mtimeMs < bootMs - 60_000) return [];
      return [{ address, why: `host-local's lease ${file}${holder(file)}` }];
    }),
  );
}

function names(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

/** A lease whose text cannot be read holds its address all the same. */
function holder(file: string): string {
  try {
    const [containerId = ''] = fs.readFileSync(file, 'utf8').trim().split(/\r?\n/);
    return containerId === '' ? '' : ` of container ${containerId.slice(0, 13)}`;
  } catch {
    return '';
  }
}

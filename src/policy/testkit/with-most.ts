import type { Most } from '../limits/limits.ts';
import { maxOverlap } from '../limits/networks.ts';
import { maxPeers } from '../limits/peers.ts';
import { maxPortElements } from '../limits/ports.ts';

const all = { overlap: maxOverlap, peers: maxPeers, ports: maxPortElements };

/** Runs something with other limits, and puts the usual ones back. */
export function withMost<T>(limits: Partial<Record<keyof typeof all, Partial<Most>>>, run: () => T): T {
  const usual = structuredClone(all);
  for (const [name, most] of Object.entries(limits)) Object.assign(all[name as keyof typeof all], most);
  try {
    return run();
  } finally {
    for (const [name, most] of Object.entries(usual)) Object.assign(all[name as keyof typeof all], most);
  }
}

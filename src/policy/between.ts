import { type Family, families } from '../net/ip.ts';
import type { Party } from './parties.ts';
import { allowedTraffic, type Traffic } from './traffic.ts';
import type { World } from './world.ts';

/** What one may send to the other, by each family that both have: asked of the evaluator, with all policies. */
export function between(world: World, source: Party, destination: Party): Map<Family, Traffic> {
  const allowed = new Map<Family, Traffic>();
  for (const family of families) {
    const [from, to] = [source.addresses.get(family), destination.addresses.get(family)];
    if (from && to) allowed.set(family, allowedTraffic(world, from, to));
  }
  return allowed;
}

import { type Family, families, type IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { endAt } from './packet.ts';
import type { World } from './world.ts';

/** A part of the outside that networks tell apart: a CIDR without the smaller ones in it. */
export interface OutsidePart {
  cidr: Prefix;
  /** The largest of the smaller ones in it, in order. */
  holes: readonly Prefix[];
  /** The first address in it where nobody of the cluster is. */
  address: IpAddr;
}

/** For each CIDR, and for each family as a whole, the part that is in no smaller one; none where the cluster itself has all of its addresses. */
export function outsideParts(world: World, cidrs: readonly Prefix[]): OutsidePart[] {
  return families.flatMap((family) =>
    nested(family, cidrs).flatMap(({ cidr, holes }): OutsidePart[] => {
      const address = freeAddress(world, cidr, holes);
      return address ? [{ cidr, holes, address }] : [];
    }),
  );
}

/** Each CIDR of the family once, in order, and what lies directly in it: in one pass, since the ones around an address follow each other. */
function nested(family: Family, cidrs: readonly Prefix[]): { cidr: Prefix; holes: Prefix[] }[] {
  const own = [...new Map([Prefix.all(family), ...cidrs].filter((one) => one.family === family).map((one) => [String(one), one])).values()];
  const around: { cidr: Prefix; holes: Prefix[] }[] = [];
  return own
    .sort((a, b) => a.address.compare(b.address) || a.length - b.length)
    .map((cidr) => {
      while (around.length > 0 && !around.at(-1)!.cidr.contains(cidr)) around.pop();
      around.at(-1)?.holes.push(cidr);
      const one: { cidr: Prefix; holes: Prefix[] } = { cidr, holes: [] };
      around.push(one);
      return one;
    });
}

function freeAddress(world: World, cidr: Prefix, holes: readonly Prefix[]): IpAddr | undefined {
  const end = cidr.last;
  let next = 0;
  for (let address = cidr.address; ; address = address.offset(1)) {
    while (next < holes.length && holes[next]!.last.compare(address) < 0) next++;
    const hole = holes[next];
    if (hole?.contains(address)) address = hole.last;
    else if (endAt(world, address).kind === 'outside') return address;
    if (address.compare(end) >= 0) return undefined;
  }
}

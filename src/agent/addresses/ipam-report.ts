import { existsSync } from 'node:fs';
import type { Ipam, Lease } from '../../ipam/index.ts';
import { unknownNetwork } from './recover.ts';

/**
 * How an address stands. `leaked`: its holder's link is gone, and nobody has told so yet (the runtime's DEL or GC gives it back). `damaged`: its lease cannot
 * be read. `foreign`: in use, though not by a lease of podnet's.
 */
export type AddressState = 'in use' | 'leaked' | 'damaged' | 'foreign';

export interface IpamEntry {
  state: AddressState;
  addresses: string[];
  /** `namespace/name` */
  pod?: string;
  network?: string;
  containerId?: string;
  /** In the pod. */
  interface?: string;
  /** On the node. */
  link?: string;
  netns?: string;
  /** RFC 3339 */
  since?: string;
  /** What there is to know besides. */
  why?: string;
}

/** What `GET /ipam` answers. */
export interface IpamReport {
  node: string;
  pools: { prefix: string; used: number; free: number }[];
  /** Why no lease can be written. */
  storageFault?: string;
  /** By address. */
  entries: IpamEntry[];
}

type Row = readonly [addresses: Lease['addresses'], entry: IpamEntry];

/** @param isLinked whether the lease's link is on the node */
export function ipamReport(node: string, ipam: Ipam, isLinked: (lease: Lease) => boolean): IpamReport {
  const former = new Set(ipam.outOfRange());
  const fault = ipam.storageFault();
  const leased = ipam.leases().map((lease): Row => {
    const linked = isLinked(lease);
    const isUnknown = lease.key.network === unknownNetwork;
    const why = [
      ...(linked ? [] : [whyLeaked(lease)]),
      ...(isUnknown ? ['made anew from its link; its container is known when the runtime names it'] : []),
      ...(former.has(lease) ? ["not in the node's pod CIDRs any more"] : []),
    ].join('; ');
    const { pod, link, netns, since } = lease.notes;
    const who = isUnknown ? {} : { network: lease.key.network, containerId: lease.key.containerId, interface: lease.key.ifname };
    const entry = {
      state: linked ? 'in use' : 'leaked',
      addresses: lease.addresses.map(String),
      ...who,
      pod,
      link,
      netns,
      since,
      why,
    } as const;
    return [lease.addresses, withoutEmpty(entry)];
  });
  const damaged = ipam
    .damaged()
    .map(
      ({ file, addresses, why }): Row => [
        addresses,
        { state: 'damaged', addresses: addresses.map(String), why: `${file}: ${why}` },
      ],
    );
  const foreign = ipam
    .held()
    .map(({ address, why }): Row => [[address], { state: 'foreign', addresses: [String(address)], why }]);
  const all = [...leased, ...damaged, ...foreign].sort(([a], [b]) => compare(a, b));
  return {
    node,
    pools: ipam.use().map(({ prefix, used, capacity }) => ({ prefix: String(prefix), used, free: capacity - used })),
    ...(fault === undefined ? {} : { storageFault: fault }),
    entries: all.map(([, entry]) => entry),
  };
}

/** A namespace that is there is a pod that runs without a network; else nobody is left, and the runtime has not told so. */
const whyLeaked = ({ notes }: Lease): string =>
  notes.netns && existsSync(notes.netns)
    ? 'its link is gone, and the pod has no network: delete the pod'
    : "its link and its namespace are gone: the runtime's DEL or GC gives it back";

const withoutEmpty = (entry: IpamEntry): IpamEntry =>
  Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined && value !== '')) as unknown as IpamEntry;

/** By the first address, IPv4 before IPv6. */
function compare([a]: Lease['addresses'], [b]: Lease['addresses']): number {
  if (!a || !b) return 0;
  if (a.family !== b.family) return a.family === 'ipv4' ? -1 : 1;
  return Number(a.toBigInt() > b.toBigInt()) - Number(a.toBigInt() < b.toBigInt());
}

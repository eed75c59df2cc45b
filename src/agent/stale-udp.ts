import type { Conntrack, ConntrackEntry } from '../kernel/conntrack.ts';
import type { IpAddr } from '../net/ip.ts';
import { type ConntrackTuple, type PlannedPort, staleUdp } from '../services/index.ts';

const udp = 17;

type Candidate = ConntrackTuple & { entry: ConntrackEntry };

interface FormerPort {
  address: IpAddr;
  port: number;
}

interface Served {
  at: FormerPort;
  backends: ReadonlySet<string>;
}

/**
 * Deletes conntrack entries of UDP that lead to endpoints which serve no more (SD25). The table is read only when an endpoint or a port went: reading it
 * costs the more the more connections there are. Call `clean` after the kernel holds the new plan.
 */
export class StaleUdp {
  readonly #conntrack: Conntrack;
  /** What was planned at the last cleaning, by address and port; undefined before the first. */
  #served: Map<string, Served> | undefined;

  constructor(conntrack: Conntrack) {
    this.#conntrack = conntrack;
  }

  /** @returns how many entries were deleted */
  clean(planned: Iterable<PlannedPort>, nodePortAddresses: readonly IpAddr[]): number {
    const ports = [...planned].filter(({ protocol }) => protocol === 'udp');
    const served = servedBy(ports, nodePortAddresses);
    const before = this.#served;
    const former = [...(before ?? [])].filter(([key]) => !served.has(key)).map(([, { at }]) => at);
    const left = [...(before ?? [])].some(([key, { backends }]) => {
      const now = served.get(key)?.backends;
      return now !== undefined && [...backends].some((backend) => !now.has(backend));
    });
    const isFirst = before === undefined && served.size > 0;
    const deleted =
      isFirst || left || former.length > 0 ? this.#delete(staleUdp(this.#udp(), ports, nodePortAddresses, former)) : 0;
    this.#served = served;
    return deleted;
  }

  /** Entries that this node's own DNS answered, once it does no more: their next packets go to another. */
  forgetAnswered(addresses: readonly IpAddr[], port: number): number {
    return this.#delete(
      this.#udp().filter(
        ({ destination, destinationPort, replySource }) =>
          destinationPort === port && replySource.equals(destination) && addresses.some((one) => one.equals(destination)),
      ),
    );
  }

  #udp(): Candidate[] {
    return this.#conntrack.list({ protocol: 'udp' }).map((entry) => ({
      entry,
      protocol: udp,
      destination: entry.original.destination,
      destinationPort: entry.original.destinationPort ?? 0,
      replySource: entry.reply.source,
      replySourcePort: entry.reply.sourcePort ?? 0,
    }));
  }

  #delete(stale: readonly Candidate[]): number {
    return stale.length === 0 ? 0 : this.#conntrack.deleteAll(stale.map(({ entry }) => entry));
  }
}

function servedBy(ports: readonly PlannedPort[], nodePortAddresses: readonly IpAddr[]): Map<string, Served> {
  const served = new Map<string, Served>();
  for (const { clusterIp, port, nodePort, family, serving } of ports) {
    const backends = new Set(serving.map(({ key }) => key));
    served.set(`${clusterIp} ${port}`, { at: { address: clusterIp, port }, backends });
    if (nodePort === undefined) continue;
    for (const address of nodePortAddresses)
      if (address.family === family) served.set(`${address} ${nodePort}`, { at: { address, port: nodePort }, backends });
  }
  return served;
}

import type { Conntrack, ConntrackEntry, ConntrackFilter } from '../../kernel/conntrack.ts';
import { isNotFound } from '../../kernel/errors.ts';
import type { Element, Nft } from '../../kernel/nftables/index.ts';
import type { Family } from '../../net/ip.ts';
import type { OwnerStatus } from '../../reconcile/owner-statuses.ts';
import {
  allSets,
  type KernelView,
  type ListedService,
  type SeenConnection,
  type ServiceExplanation,
  tableName,
} from '../../services/index.ts';

/** What `GET /services/NAMESPACE/NAME` answers. */
export interface ServiceReport extends ServiceExplanation {
  /** `done`: the plan is written. `pending`: about to be. `error`: refused, see `why`. */
  state: OwnerStatus['state'];
  why?: string;
  /** Its load balancer's addresses that this node answers ARP and Neighbour Discovery for; absent when none are announced at all. */
  announced?: string[];
}

/** What `GET /services` answers. */
export interface ServiceList {
  node: string;
  services: ListedService[];
}

/** From so many on the table is read once: for each port the kernel walks over all of it, which takes a sixth of the time that reading it takes (see Conntrack). */
const manyPorts = 8;

const specs = new Map(allSets.map((spec) => [spec.name, spec]));

/** What the kernel of this node holds of podnet's table, and of connections, when it is asked. */
export class NodeKernelView implements KernelView {
  readonly #nft: Pick<Nft, 'find' | 'elements'>;
  readonly #conntrack: Pick<Conntrack, 'list'>;
  readonly #clients = new Map<Family, Element[]>();

  constructor(nft: Pick<Nft, 'find' | 'elements'>, conntrack: Pick<Conntrack, 'list'>) {
    this.#nft = nft;
    this.#conntrack = conntrack;
  }

  find(name: string, keys: readonly string[]): ReadonlyMap<string, Element> {
    const set = specs.get(name)!;
    if (!set.flags.includes('interval')) return this.#nft.find(tableName, set, keys);
    const wanted = new Set(keys);
    return new Map(this.#all(name).flatMap((element) => (wanted.has(element.key) ? [[element.key, element]] : [])));
  }

  *connections(family: Family, protocol: 'tcp' | 'udp' | 'sctp', ports: ReadonlySet<number>): Iterable<SeenConnection> {
    const filters: ConntrackFilter[] =
      ports.size < manyPorts
        ? [...ports].map((originalDestinationPort) => ({ family, protocol, originalDestinationPort }))
        : [{ family, protocol, originalDestinationPorts: ports }];
    for (const entry of filters.flatMap((filter) => this.#conntrack.list(filter))) {
      const { original, reply } = entry;
      yield {
        ...{ destination: original.destination, destinationPort: original.destinationPort ?? 0 },
        ...{ replySource: reply.source, replySourcePort: reply.sourcePort ?? 0 },
        state: stateOf(entry),
      };
    }
  }

  /** Reads all of one family, once. */
  clients(family: Family): Iterable<Element> {
    let clients = this.#clients.get(family);
    if (!clients) this.#clients.set(family, (clients = this.#all(family === 'ipv4' ? 'affinity4' : 'affinity6')));
    return clients;
  }

  /** Of a table that is not there: nothing. */
  #all(set: string): Element[] {
    try {
      return this.#nft.elements(tableName, specs.get(set)!);
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }
}

/** @param announced by this node, of whatever Service; undefined when it announces none at all */
export function withAnnounced(
  report: ServiceReport | undefined,
  announced: readonly string[] | undefined,
): ServiceReport | undefined {
  if (!report || !announced) return report;
  const own = new Set(
    report.ports.flatMap(({ destinations }) =>
      destinations.flatMap(({ kind, address }) => (kind === 'load balancer' ? [address] : [])),
    ),
  );
  return { ...report, announced: announced.filter((address) => own.has(address)) };
}

const endedStates: ReadonlySet<string | undefined> = new Set(['last-ack', 'time-wait', 'close']);

function stateOf({ status, tcpState }: ConntrackEntry): SeenConnection['state'] {
  if (endedStates.has(tcpState)) return 'ended';
  return status.includes('seen-reply') ? 'open' : 'unanswered';
}

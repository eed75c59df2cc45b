import { setTimeout } from 'node:timers/promises';
import { Conntrack, type ConntrackEntry } from '../kernel/conntrack.ts';
import type { NetNs } from '../kernel/netns.ts';
import { NewConnections } from '../kernel/new-connections.ts';
import type { IpAddr } from '../net/ip.ts';

/** What tells a connection from others, before any translation. */
export interface Flow {
  protocol: string;
  sourcePort: number;
  destination: IpAddr;
  port: number;
}

const key = ({ protocol, sourcePort, destination, port }: Flow): string => `${protocol} ${sourcePort} ${destination} ${port}`;

/** A datagram may wait for its turn inside the kernel after it was sent, longer on a busy machine. */
const waitsMs = [0, 5, 20, 100];

/**
 * The connections of one node, from its opening on. The judge of Services: where a packet was really sent stands here, whoever answers and whatever he says.
 */
export class Ledger implements Disposable {
  readonly #ns: NetNs;
  readonly #fresh: NewConnections;
  readonly #seen = new Map<string, ConntrackEntry[]>();

  constructor(ns: NetNs) {
    this.#ns = ns;
    this.#fresh = NewConnections.open(ns);
  }

  /**
   * The tracked connection of each flow; undefined where no packet passed all hooks of the node.
   * @param isSender the source is one of the sender's addresses
   */
  async find(flows: readonly Flow[], isSender: (source: IpAddr) => boolean): Promise<(ConntrackEntry | undefined)[]> {
    const now = (): (ConntrackEntry | undefined)[] =>
      flows.map((flow) => this.#seen.get(key(flow))?.findLast(({ original }) => isSender(original.source)));
    for (const waitMs of waitsMs) {
      if (waitMs > 0) await setTimeout(waitMs);
      this.#note(this.#fresh.take());
      const found = now();
      if (!found.includes(undefined)) return found;
    }
    // A source port that was used a moment ago continues an older connection; and with nf_conntrack_events 0 nothing is told.
    using table = Conntrack.open(this.#ns);
    this.#note(table.list());
    return now();
  }

  #note(entries: readonly ConntrackEntry[]): void {
    for (const entry of entries) {
      const { protocol, destination, sourcePort, destinationPort: port } = entry.original;
      if (sourcePort === undefined || port === undefined) continue;
      const at = key({ protocol, sourcePort, destination, port });
      const same = this.#seen.get(at);
      if (same) same.push(entry);
      else this.#seen.set(at, [entry]);
    }
  }

  [Symbol.dispose](): void {
    this.#fresh[Symbol.dispose]();
  }
}

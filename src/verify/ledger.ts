import { Conntrack, type ConntrackEntry } from '../kernel/conntrack.ts';
import type { NetNs } from '../kernel/netns.ts';
import type { IpAddr } from '../net/ip.ts';

/** What tells a connection from others, before any translation. */
export interface Flow {
  protocol: 'tcp' | 'udp';
  sourcePort: number;
  destination: IpAddr;
  port: number;
}

const key = ({ protocol, sourcePort, destination, port }: Flow): string => `${protocol} ${sourcePort} ${destination} ${port}`;

/** What a node's connection tracking says, at one moment. */
export class Page {
  readonly #entries = new Map<string, ConntrackEntry[]>();

  constructor(entries: readonly ConntrackEntry[]) {
    for (const entry of entries) {
      const { protocol, source, destination, sourcePort = 0, destinationPort: port = 0 } = entry.original;
      if (source.family !== entry.family || (protocol !== 'tcp' && protocol !== 'udp')) continue;
      const at = key({ protocol, sourcePort, destination, port });
      const same = this.#entries.get(at);
      if (same) same.push(entry);
      else this.#entries.set(at, [entry]);
    }
  }

  /** @param isSender the source is one of the sender's addresses */
  find(flow: Flow, isSender: (source: IpAddr) => boolean): ConntrackEntry | undefined {
    return this.#entries.get(key(flow))?.find(({ original }) => isSender(original.source));
  }
}

/** The connections of one node. The judge of Services: where a packet was really sent stands here, whoever answers and whatever he says. */
export class Ledger {
  readonly #ns: NetNs;
  #next: Promise<Page> | undefined;

  constructor(ns: NetNs) {
    this.#ns = ns;
  }

  /** Everything that was tracked before the call; who asks in the same few milliseconds shares one reading. */
  read(): Promise<Page> {
    this.#next ??= new Promise((resolve, reject) => {
      setTimeout(() => {
        this.#next = undefined;
        try {
          using conntrack = Conntrack.open(this.#ns);
          resolve(new Page(conntrack.list()));
        } catch (error) {
          reject(error);
        }
      }, 3);
    });
    return this.#next;
  }
}

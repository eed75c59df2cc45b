import { setTimeout as sleep } from 'node:timers/promises';
import { type Monitor, netfilterGroups, type RouteEvent, watchGroups, watchRoute } from '../../kernel/monitor.ts';
import { netlinkNetfilter } from '../../kernel/netlink/constants.ts';
import { NetNs } from '../../kernel/netns.ts';

/** NFT_MSG_… (include/uapi/linux/netfilter/nf_tables.h): each thing that changed has a message of its own. */
const nftMessages: Record<number, string> = {
  ...{ 0: 'new table', 2: 'deleted table', 3: 'new chain', 5: 'deleted chain', 6: 'new rule', 8: 'deleted rule' },
  ...{ 9: 'new set', 11: 'deleted set', 12: 'new element', 14: 'deleted element', 15: 'new generation' },
};
/** Taking over the tables (inet, arp, and bridge in bridge mode), with nothing in them changed, is a new owner and a new generation each. */
export const tablesTakenOver = (attach: 'routed' | 'bridge'): string[] =>
  Array.from({ length: attach === 'bridge' ? 3 : 2 }, () => ['nftables: new table', 'nftables: new generation']).flat();

/** Writes down every change of a network namespace, by whomever: what podnet says of itself is not asked. */
export class Witness implements Disposable {
  readonly seen: string[] = [];
  readonly #ns: NetNs;
  readonly #monitors: Monitor[];

  constructor(netns: string) {
    this.#ns = NetNs.open(netns);
    const onResync = (): void => void this.seen.push('events were lost');
    this.#monitors = [
      watchRoute(this.#ns, ['links', 'addresses', 'routes', 'neighbours', 'qdiscs'], {
        onEvent: (event) => this.#note(event),
        onResync,
      }),
      watchGroups(
        this.#ns,
        netlinkNetfilter,
        [netfilterGroups.nftables],
        (type) => void this.seen.push(`nftables: ${nftMessages[type & 0xff] ?? type}`),
        onResync,
      ),
    ];
  }

  /** Waits until nothing has come for a while, and forgets it: the kernel itself finishes some things later (addrconf_dad_work). */
  async quiet(): Promise<void> {
    for (let count = -1; count !== this.seen.length; await sleep(250)) count = this.seen.length;
    this.seen.length = 0;
  }

  #note(event: RouteEvent): void {
    const { topic, change } = event;
    // What the kernel learns by itself comes and goes; what was written stays.
    if (topic === 'neighbours' && !event.neighbour.state?.some((state) => state === 'permanent' || state === 'noarp')) return;
    const what =
      event[
        (
          {
            ...{ links: 'link', addresses: 'address', routes: 'route', neighbours: 'neighbour', fdb: 'fdb' },
            ...{ qdiscs: 'qdisc', filters: 'redirect' },
          } as const
        )[topic] as never
      ];
    this.seen.push(
      `${topic} ${change}: ${JSON.stringify(what, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value))}`,
    );
  }

  [Symbol.dispose](): void {
    for (const monitor of this.#monitors) monitor[Symbol.dispose]();
    this.#ns[Symbol.dispose]();
  }
}

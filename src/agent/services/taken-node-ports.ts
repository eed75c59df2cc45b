import { type Listener, listListeners } from '../../kernel/listeners.ts';
import type { NetNs } from '../../kernel/netns.ts';
import type { Service } from '../../kube/types.ts';
import type { Family, IpAddr } from '../../net/ip.ts';
import type { NodeNetwork } from '../../reconcile/model.ts';
import { takenPortKeys } from '../../services/index.ts';
import { ProblemLog } from '../problem-log.ts';

export interface TakenNodePortsView {
  /** What podnet holds in the kernel. */
  held: Pick<NodeNetwork, 'has'>;
  /** Where node ports answer. */
  addresses: readonly IpAddr[];
  services: { list(): readonly Service[] };
}

/**
 * Processes of the node that listen where a Service has its node port (SD15). The Service gets the packets: they are translated, or refused, before any
 * socket is looked for. So nobody steals a node port; but who listens there is not reached on the node's own addresses, and is told so.
 */
export class TakenNodePorts {
  readonly #ns: NetNs | undefined;
  readonly #view: () => TakenNodePortsView;
  readonly #log: ProblemLog;
  #warnings: readonly string[] = [];

  constructor(ns: NetNs | undefined, log: (line: string) => void, view: () => TakenNodePortsView) {
    this.#ns = ns;
    this.#view = view;
    this.#log = new ProblemLog(log);
  }

  /** As last seen, a sentence each. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  look(): void {
    try {
      this.#warnings = judgeListeners(listListeners(this.#ns), this.#view());
    } catch (error) {
      this.#warnings = [`who listens on node ports cannot be read: ${(error as Error).message}`];
    }
    this.#log.tell('node ports', this.#warnings);
  }
}

export function judgeListeners(listeners: readonly Listener[], { held, addresses, services }: TakenNodePortsView): string[] {
  const found = new Map<string, string>();
  for (const { protocol, address, port } of listeners) {
    const at = addresses.filter((one) => takes(address, one) && isNodePort(held, one.family, protocol, port));
    if (at.length === 0) continue;
    const where = `${protocol} ${address.family === 'ipv6' ? `[${address}]` : address}:${port}`;
    const owner = ownerOf(services.list(), protocol, port) ?? 'a Service';
    found.set(
      where,
      `a process of this node listens on ${where}, a node port of ${owner}, which gets what comes to ${at.join(' and ')}: give the process another port ` +
        `(whose it is: ss -ln${protocol[0]}p 'sport = :${port}')`,
    );
  }
  return [...found.values()];
}

/** Whether a socket bound to `bound` is for packets to `address`; one of all IPv6 addresses is for IPv4's too, unless it says not. */
const takes = (bound: IpAddr, address: IpAddr): boolean =>
  bound.equals(address) || (bound.isUnspecified && (bound.family === address.family || bound.family === 'ipv6'));

const isNodePort = (held: TakenNodePortsView['held'], family: Family, protocol: Listener['protocol'], port: number): boolean =>
  takenPortKeys(family, protocol, port, []).some((key) => held.has(key));

function ownerOf(services: readonly Service[], protocol: string, port: number): string | undefined {
  const owner = services.find(({ spec }) =>
    spec?.ports?.some((one) => one.nodePort === port && (one.protocol ?? 'TCP').toLowerCase() === protocol),
  );
  return owner && `${owner.metadata.namespace}/${owner.metadata.name}`;
}

import type { IpAddr } from '../../../net/ip.ts';
import type { Item } from '../../../reconcile/model.ts';
import {
  type Ends,
  follow,
  freshState,
  type Hooks,
  hooksOf,
  type LinkView,
  type Packet,
  type Place,
  tableOf,
} from '../../../walk/index.ts';
import type { PodLinks } from './chains.ts';

/** One packet where the node filters it, with its connection as conntrack has it there. */
export interface TracedPacket {
  hook: 'forward' | 'input' | 'output';
  /** Whether it comes from and goes to a pod of this node. */
  fromPod: boolean;
  toPod: boolean;
  connection: TracedConnection;
  direction: 'original' | 'reply';
  /** `error`: an ICMP error about the connection, from whoever gets its packets. */
  state: 'new' | 'established' | 'error' | 'invalid' | 'untracked';
  /** Of TCP; by default SYN, SYN-ACK or ACK. */
  tcpFlags?: number;
}

export interface TracedConnection {
  /** As in the IP header: 6 TCP, 17 UDP, 132 SCTP, 1 ICMP, 58 ICMPv6. */
  protocol: number;
  /** As it was opened, before any translation. */
  original: Ends;
  /** As it is answered: its source is where packets really go. */
  reply: Ends;
  /** Its destination was translated: a Service. */
  translated: boolean;
  /** ct mark: which epoch it bears. */
  mark: number;
}

export interface Trace {
  verdict: 'accept' | 'drop' | 'reset';
  /** What decided: the last chain's rule, as nft prints it. `undefined`: nothing did, which accepts. */
  by: { chain: string; rule: string } | undefined;
  /** The connection's mark behind it. */
  mark: number;
}

const links = { pod: 0x7ffffff0, other: 2 } as const;

/**
 * Walks packets through planned items by running the rules' expressions: what the kernel does once it holds them. Judges plans beside `evaluate`, which knows
 * nothing of rules and sets.
 */
export class PolicyTracer {
  readonly #hooks: Hooks;
  readonly #texts = new Map<string, readonly string[]>();
  readonly #links: Record<'pod' | 'other', LinkView>;

  /** @param items of the inet table; others are passed by */
  constructor(items: Iterable<Item>, { group, bridge }: PodLinks) {
    const all = [...items];
    const inet = <K extends Item['kind']>(kind: K): Extract<Item, { kind: K }>[] =>
      all.filter(
        (item): item is Extract<Item, { kind: K }> => item.kind === kind && (item as { family?: string }).family === undefined,
      );
    const chains = inet('nft-chain');
    for (const { name, rules } of chains)
      this.#texts.set(
        name,
        rules.map(({ text }) => text),
      );
    this.#hooks = hooksOf([tableOf({ name: 'podnet', chains, sets: inet('nft-set'), elements: inet('nft-element') })]);
    this.#links = {
      pod: { name: bridge ?? 'pod01234567', index: links.pod, group: bridge === undefined ? group : 0 },
      other: { name: 'eth0', index: links.other, group: 0 },
    };
  }

  /** @throws Error when a rule cannot be told beforehand, or does what rules of policies never do */
  trace(traced: TracedPacket): Trace {
    const packet = this.#packet(traced);
    const before = { ...freshState(packet), ctMark: traced.connection.mark, priority: 0 };
    const { hits, accepted, state } = follow(this.#hooks, [{ hook: traced.hook, packet }], before);
    const mark = state?.ctMark;
    const [hit] = hits;
    if (!hit) {
      if (mark === undefined) throw new Error(`what the connection is marked with cannot be told: ${JSON.stringify(traced)}`);
      return { verdict: 'accept', by: this.#words(accepted.at(-1)), mark };
    }
    if (!hit.certain || (hit.what !== 'drop' && hit.what !== 'reject'))
      throw new Error(`${hit.certain ? '' : 'perhaps '}${hit.what} by ${JSON.stringify(this.#words(hit.because ?? hit))}`);
    return { verdict: hit.what === 'drop' ? 'drop' : 'reset', by: this.#words(hit), mark: traced.connection.mark };
  }

  #words(place: Place | undefined): Trace['by'] {
    if (!place?.rule) return undefined;
    const { name } = place.chain;
    return { chain: name, rule: this.#texts.get(name)?.[place.rule.handle - 1] ?? '' };
  }

  #packet({ hook, fromPod, toPod, connection, direction, state, tcpFlags }: TracedPacket): Packet {
    const { protocol, original, reply, translated } = connection;
    const { family } = original.source;
    // Where packets are filtered their destination is translated, their source not yet; those of the other direction have both ends as they were opened.
    const forth: Ends = { ...original, destination: reply.source, destinationPort: reply.sourcePort };
    const ends = direction === 'original' ? forth : turned(forth);
    const isError = state === 'error';
    const link = (isPod: boolean): LinkView => this.#links[isPod ? 'pod' : 'other'];
    const local = (isHook: boolean): boolean => hook !== 'forward' && isHook;
    return {
      ...{ family, ...ends, protocol: isError ? icmp[family] : protocol, direction, opened: original, answered: reply },
      ...(hook === 'output' ? {} : { in: link(fromPod) }),
      ...(hook === 'input' ? {} : { out: link(toPod) }),
      state: isError ? 'related' : state === 'untracked' ? 'new' : state,
      ...(isError ? { about: protocol } : {}),
      ...(tcpFlags === undefined ? {} : { tcpFlags }),
      ...(protocol === icmp[family] && !isError ? { icmpType: direction === 'original' ? echo[family] : echoReply[family] } : {}),
      ...{ translated, untracked: state === 'untracked' },
      isLocal: { source: local(hook === 'output'), destination: local(hook === 'input') },
    };
  }
}

const turned = ({ source, destination, sourcePort, destinationPort }: Ends): Ends => ({
  ...{ source: destination, destination: source },
  ...{ sourcePort: destinationPort, destinationPort: sourcePort },
});

const icmp = { ipv4: 1, ipv6: 58 } as const;
const echo = { ipv4: 8, ipv6: 128 } as const;
const echoReply = { ipv4: 0, ipv6: 129 } as const;

/** A connection that nothing translates, before any epoch. */
export const plainConnection = (
  protocol: number,
  source: IpAddr,
  sourcePort: number,
  destination: IpAddr,
  destinationPort: number,
): TracedConnection => {
  const original = { source, sourcePort, destination, destinationPort };
  return { protocol, original, reply: turned(original), translated: false, mark: 0 };
};

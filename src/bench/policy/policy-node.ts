import { Nft } from '../../kernel/nftables/index.ts';
import type { NetNs } from '../../kernel/netns.ts';
import { RequestResponse, ShortConnections } from '../../kernel/short-connections.ts';
import { sockaddr } from '../../kernel/sockaddr.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { NftWriter, Reconciler } from '../../reconcile/index.ts';
import { ServicePlanner } from '../../services/index.ts';
import { nodeCidr, serviceCidr, servicesOf, slicesOf } from '../objects.ts';
import { layouts, type LocalPod, nodeAddress, nodeName, serverPort } from './cluster.ts';
import { type Attachment, Pods } from './pods.ts';

/**
 * What is done over and over:
 * - allowed: connect, one byte, close, between random pairs that policies allow
 * - denied: a first packet that nobody answers, between random pairs that policies deny; where there are none, to addresses that nobody has
 * - mixed: one or the other, as random pairs of all pods come
 * - request: one byte there and one back, over connections that stand
 */
export type TransactionKind = 'allowed' | 'denied' | 'mixed' | 'request';
export const transactionKinds: readonly TransactionKind[] = ['allowed', 'denied', 'mixed', 'request'];

/** What the kernel of the node holds besides podnet's Services. */
export interface Enforcement {
  /** @param pods of the node @returns whether denied pairs are denied */
  apply(node: NetNs, reconciler: Reconciler, pods: readonly LocalPod[]): boolean;
}

const standingConnections = 64;
/** As many Services as a cluster has that nobody thinks of: their chains are part of what every packet costs. */
const services = { services: 100, endpoints: 1000 };

/** A node whose pods talk to one another, with some enforcement of policies. */
export class PolicyNode implements Disposable {
  readonly #at: Pods;
  readonly #nft: Nft;
  readonly #denies: boolean;
  readonly #clients = new Map<string, { connections: ShortConnections; next: number }>();
  readonly #sides: Readonly<Record<LocalPod['side'], readonly LocalPod[]>>;
  readonly #standing: RequestResponse[] = [];
  readonly #silent: readonly Buffer[];
  readonly #targets: ReadonlyMap<string, Buffer>;

  constructor(path: string, pods: readonly LocalPod[], enforcement: Enforcement, attachment: Attachment) {
    this.#sides = { client: pods.filter(({ side }) => side === 'client'), server: pods.filter(({ side }) => side === 'server') };
    this.#targets = new Map(pods.map(({ address }) => [address, sockaddr(IpAddr.parse(address), serverPort)]));
    const { silent } = layouts[attachment.family];
    this.#silent = Array.from({ length: 250 }, (_, i) => sockaddr(IpAddr.parse(silent(i)), serverPort));
    this.#at = new Pods(path, attachment);
    this.#nft = Nft.open(this.#at.node);
    const reconciler = new Reconciler([new NftWriter(this.#nft)]);
    planServices(reconciler);
    this.#denies = enforcement.apply(this.#at.node, reconciler, pods);
    const listener = this.#at.listener.number;
    for (const { address } of this.#sides.client)
      this.#clients.set(address, { connections: new ShortConnections(listener, IpAddr.parse(address)), next: 0 });
    this.#at.client.enter(() => {
      this.#prove();
      for (let i = 0; i < standingConnections; i++) {
        const [from, to] = this.#pair(true);
        this.#standing.push(new RequestResponse(listener, IpAddr.parse(from), this.#targets.get(to)!));
      }
    });
  }

  /** Before anything is measured: what must be open is, and what must be closed is. @throws Error */
  #prove(): void {
    for (let i = 0; i < 200; i++) {
      const isAllowed = i % 2 === 0;
      const [from, to] = this.#pair(isAllowed);
      const client = this.#clients.get(from)!;
      client.connections.attempt(this.#targets.get(to)!, this.#port(client));
      const arrived = client.connections.takeArrived();
      if (arrived !== (isAllowed || !this.#denies)) throw new Error(`${from} to ${to} is ${arrived ? 'open' : 'closed'}, and must not be`);
    }
  }

  /** Client and server at random. Denied: at least one of them is a stranger. */
  #pair(isAllowed: boolean): [from: string, to: string] {
    for (;;) {
      const [from, to] = this.#anyPair();
      if (isAllowedPair(from, to) === isAllowed) return [from.address, to.address];
    }
  }

  #anyPair(): [from: LocalPod, to: LocalPod] {
    return [random(this.#sides.client), random(this.#sides.server)];
  }

  /** One after the other: where the kernel chooses, the way it does depends on what was there before. */
  #port(client: { next: number }): number {
    return 1024 + (client.next++ % 60_000);
  }

  /** @returns microseconds of a core for each transaction: of this process, in which both ends are; the kernel's work on the packets is done inside of its calls */
  measure(kind: TransactionKind, count: number): number {
    return this.#at.client.enter(() => {
      const work = kind === 'request' ? this.#requests(count) : this.#connections(kind, count);
      const cpu = process.cpuUsage();
      work();
      const { user, system } = process.cpuUsage(cpu);
      return (user + system) / count;
    });
  }

  #requests(count: number): () => void {
    return () => {
      for (let i = 0; i < count; i++) random(this.#standing).transact();
    };
  }

  /** Who talks to whom is chosen before the clock runs. */
  #connections(kind: Exclude<TransactionKind, 'request'>, count: number): () => void {
    const plan = Array.from({ length: count }, () => {
      let [from, to] = this.#anyPair();
      while (kind !== 'mixed' && isAllowedPair(from, to) !== (kind === 'allowed')) [from, to] = this.#anyPair();
      const isAllowed = isAllowedPair(from, to);
      const client = this.#clients.get(from.address)!;
      const target = isAllowed || this.#denies ? this.#targets.get(to.address)! : random(this.#silent);
      return { connections: client.connections, isAllowed, target, port: this.#port(client) };
    });
    return () => {
      for (const { connections, isAllowed, target, port } of plan)
        if (isAllowed) connections.exchange(target, port);
        else connections.attempt(target, port);
    };
  }

  [Symbol.dispose](): void {
    for (const standing of this.#standing) standing[Symbol.dispose]();
    this.#nft[Symbol.dispose]();
    this.#at[Symbol.dispose]();
  }
}

const isAllowedPair = (from: LocalPod, to: LocalPod): boolean => !from.isStranger && !to.isStranger;

const random = <T>(of: readonly T[]): T => of[Math.floor(Math.random() * of.length)]!;

/** @throws what the kernel refused */
export function planServices(reconciler: Reconciler): void {
  const planner = new ServicePlanner({
    node: {
      ...{ name: nodeName, addresses: [IpAddr.parse(nodeAddress)] },
      ...{ podCidrs: [Prefix.parse(nodeCidr)], serviceCidrs: [Prefix.parse(serviceCidr)] },
    },
    ...{ services: servicesOf(services), slices: slicesOf(services), held: new Map() },
  });
  for (const [owner, items] of planner.take()) reconciler.contribute(owner, items);
  const [failure] = reconciler.sync().failures;
  if (failure) throw failure.error;
}

import { tell } from '../progress.ts';
import { percentile, type Spread, spreadOf } from '../stats.ts';
import type { LocalPod } from './cluster.ts';
import type { Series } from './contenders.ts';
import { type Enforcement, PolicyNode, type TransactionKind, transactionKinds } from './policy-node.ts';

/** A node that takes part. */
export interface Contender {
  title: string;
  /** Policies that select the pods' namespace. */
  policies: number;
  isNull?: boolean;
  /** Its policies are enforced by podnet. */
  isPodnet?: boolean;
  pods: readonly LocalPod[];
  enforcement: Enforcement;
}

/** One kind of transaction on one node. */
export interface TrafficSample {
  /** Which nodes it was compared with: `IPv4`, `IPv6`, `bridge`. */
  series: string;
  title: string;
  policies: number;
  isNull: boolean;
  isPodnet: boolean;
  kind: TransactionKind;
  transactions: number;
  /** Microseconds of a core, both ends and all that the kernel does. */
  cpuUs: Spread;
  /** Its CPU over that of the first node, in the same turn: median and quartiles. */
  relative: Spread;
}

/** Transactions of a turn: about ten milliseconds. */
const perTurn: Readonly<Record<TransactionKind, number>> = { allowed: 200, denied: 300, mixed: 250, request: 600 };

export interface TrafficOptions {
  directory: string;
  /** Each node has so many turns of each kind. */
  turns: number;
  signal: AbortSignal;
}

/** The others are compared with the first contender, turn by turn. The null test is a contender that is like the first. */
export async function measureTraffic({ name: series, attachment, contenders }: Series, { directory, turns, signal }: TrafficOptions): Promise<TrafficSample[]> {
  const nodes: PolicyNode[] = [];
  try {
    for (const [i, { title, pods, enforcement }] of contenders.entries()) {
      nodes.push(new PolicyNode(`${directory}/policy-${i}`, pods, enforcement, attachment));
      tell(`traffic, ${series}: the node with ${title} is there`);
      await new Promise(setImmediate);
      signal.throwIfAborted();
    }
    const samples: TrafficSample[] = [];
    for (const kind of transactionKinds) {
      const taken: number[][] = nodes.map(() => []);
      const relative: number[][] = nodes.map(() => []);
      for (let turn = -2; turn < turns; turn++) {
        const cpu: number[] = [];
        // All of them once, in another order each time: whoever came more often would find the processor's caches warmer.
        for (const i of shuffled(nodes.length)) {
          nodes[i]!.measure(kind, perTurn[kind] >> 3);
          cpu[i] = nodes[i]!.measure(kind, perTurn[kind]);
        }
        await new Promise(setImmediate);
        signal.throwIfAborted();
        if (turn < 0) continue;
        for (const [i, us] of cpu.entries()) {
          taken[i]!.push(us);
          relative[i]!.push(us / cpu[0]!);
        }
      }
      tell(`traffic, ${series}: ${kind} is measured`);
      for (const [i, { title, policies, isNull = false, isPodnet = false }] of contenders.entries()) {
        const ratios = relative[i]!;
        const transactions = taken[i]!.length * perTurn[kind];
        samples.push({
          ...{ series, title, policies, isNull, isPodnet, kind, transactions, cpuUs: spreadOf(taken[i]!) },
          relative: { median: spreadOf(ratios).median, least: percentile(ratios, 25), most: percentile(ratios, 75) },
        });
      }
    }
    return samples;
  } finally {
    for (const node of nodes) node[Symbol.dispose]();
  }
}

function shuffled(count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

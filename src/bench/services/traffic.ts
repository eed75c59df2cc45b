import { tell } from '../progress.ts';
import { percentile, type Spread, spreadOf } from '../stats.ts';
import { serviceCounts } from './plan.ts';
import { type Connections, ServiceNode } from './service-node.ts';

/** Connections through randomly chosen Services of a node that has so many. */
export interface TrafficSample {
  title: string;
  services: number;
  isNull: boolean;
  connections: number;
  perSecond: Spread;
  p50Us: number;
  p99Us: number;
  /** Of a core for each connection, both ends and all that the kernel does. */
  cpuUs: Spread;
  /** Its CPU over that of the node of one Service in the block before it: median and quartiles. */
  relative: Spread;
}

const endpointsEach = 10;
const perBlock = 500;

export interface TrafficOptions {
  directory: string;
  /** Each node has so many turns. */
  blocks: number;
  /** The most Services. */
  most: number;
  signal: AbortSignal;
}

/**
 * Nodes of one Service and of more take turns, a few milliseconds each. The null test is a second node of one Service: how far two nodes that are the same are
 * apart. Each turn is compared with one of the first node beside it.
 */
export async function measureTraffic({ directory, blocks, most, signal }: TrafficOptions): Promise<TrafficSample[]> {
  const counts = [1, 1, ...serviceCounts.filter((count) => count <= most)];
  const nodes: ServiceNode[] = [];
  try {
    for (const [i, services] of counts.entries())
{
      nodes.push(new ServiceNode(`${directory}/traffic-${i}`, { services, endpoints: services * endpointsEach }));
      tell(`connections: a node of ${services} Services is there`);
      await new Promise(setImmediate);
      signal.throwIfAborted();
    }
    const taken: Connections[][] = nodes.map(() => []);
    const relative: number[][] = nodes.map(() => []);
    for (let block = -2; block < blocks; block++) {
      for (let i = 1; i < nodes.length; i++) {
        // Who comes first changes from block to block.
        const pair = block % 2 === 0 ? [0, i] : [i, 0];
        const [a, b] = pair.map((which) => nodes[which]!.connect(perBlock)) as [Connections, Connections];
        if (block < 0) continue;
        const [one, other] = block % 2 === 0 ? [a, b] : [b, a];
        taken[0]!.push(one);
        taken[i]!.push(other);
        relative[i]!.push(other.cpuUs / one.cpuUs);
      }
      if ((block + 1) % 20 === 0) tell(`connections: ${block + 1} of ${blocks} turns`);
      await new Promise(setImmediate);
      signal.throwIfAborted();
    }
    return nodes.map(({ size: { services } }, i) => sampleOf(services, i === 1, taken[i]!, relative[i]!));
  } finally {
    for (const node of nodes) node[Symbol.dispose]();
  }
}

function sampleOf(services: number, isNull: boolean, taken: readonly Connections[], relative: readonly number[]): TrafficSample {
  const us = taken.flatMap(({ connectUs }) => [...connectUs]);
  const ratios = relative.length > 0 ? relative : [1];
  return {
    title: `${services.toLocaleString('en')} Service${services === 1 ? '' : 's'}${isNull ? ', null test' : ''}`,
    ...{ services, isNull, connections: us.length, perSecond: spreadOf(taken.map(({ ms }) => (perBlock * 1000) / ms)) },
    ...{ p50Us: spreadOf(us).median, p99Us: percentile(us, 99), cpuUs: spreadOf(taken.map(({ cpuUs }) => cpuUs / perBlock)) },
    relative: { median: spreadOf(ratios).median, least: percentile(ratios, 25), most: percentile(ratios, 75) },
  };
}

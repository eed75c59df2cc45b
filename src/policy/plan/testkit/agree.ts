import { evaluate } from '../../evaluate.ts';
import type { Packet } from '../../packet.ts';
import type { PolicyNode, PolicyPod, World } from '../../world.ts';
import { defaultConnmarkMask, markOf } from '../chains/epoch.ts';
import type { Trace } from '../chains/trace.ts';
import { back, connectionOf, crossingsOf, type TracedCluster } from './cluster.ts';

/** What one packet's connection was asked in, for the counts of a test. */
export interface Asked {
  /** It goes over nodes' rules at all. */
  crosses: boolean;
  denied: boolean;
}

/**
 * Holds the rules against the specification for one connection, at each node that it goes through: its first packet; packets of either direction and ICMP errors
 * about it while it is not settled; and what its mark says once it is.
 * @param settledBefore a mark of an earlier epoch that the connection may bear
 * @param closed what is allowed may be denied: an end is not known yet
 * @throws Error that says where and by which rule they disagree
 */
export function holdAgainst(
  world: World,
  cluster: TracedCluster,
  epoch: number,
  packet: Packet,
  settledBefore = 0,
  closed = false,
): Asked {
  const crossings = crossingsOf(world, packet);
  const may = evaluate(world, packet).allowed;
  const mark = markOf(epoch, defaultConnmarkMask);
  const told = (expected: boolean, traces: readonly { what: string; node: string; trace: Trace }[]): void => {
    const passes = traces.every(({ trace }) => trace.verdict === 'accept');
    if (passes === expected || (closed && !passes)) return;
    const words = traces.map(({ what, node, trace }) => `${node} ${what}: ${trace.verdict} by ${JSON.stringify(trace.by)}`);
    throw new Error(`the specification ${expected ? 'allows' : 'denies'} ${describe(packet)}, but ${words.join('; ')}`);
  };
  if (crossings.length === 0) return { crosses: false, denied: !may };
  const connection = connectionOf(packet, settledBefore);
  const all = (what: 'first' | 'original' | 'reply' | 'error', from = connection) =>
    crossings.map((crossing) => {
      const isBack = what === 'reply' || what === 'error';
      const state = what === 'first' ? 'new' : what === 'error' ? 'error' : 'established';
      const trace = cluster.trace(isBack ? back(crossing) : crossing, {
        connection: from,
        direction: isBack ? 'reply' : 'original',
        state,
      });
      return { what, node: crossing.node, trace };
    });
  const first = all('first');
  told(may, first);
  for (const what of ['original', 'reply', 'error'] as const) {
    const traces = all(what);
    told(may, traces);
    const isReset = connection.protocol === 6 && what !== 'error';
    for (const { trace } of traces)
      if (trace.verdict !== 'accept' && (trace.verdict === 'reset') !== isReset)
        throw new Error(
          `${describe(packet)}, ${what}: ${trace.verdict} where ${isReset ? 'a reset' : 'silence'} is due, by ${JSON.stringify(trace.by)}`,
        );
  }
  if (!may || closed) return { crosses: true, denied: !may };
  for (const { trace, node } of first) {
    if (trace.mark !== mark && !passedUnasked.test(trace.by?.rule ?? ''))
      throw new Error(`${describe(packet)} was accepted by ${node} and bears 0x${trace.mark.toString(16)} instead of the epoch`);
  }
  for (const what of ['original', 'reply', 'error'] as const)
    for (const { trace, node } of all(what, { ...connection, mark }))
      if (trace.verdict !== 'accept' || !(trace.by?.chain === 'policy-known' || passedUnasked.test(trace.by?.rule ?? '')))
        throw new Error(`${describe(packet)} is settled, but ${what} at ${node} is judged again: ${JSON.stringify(trace)}`);
  return { crosses: true, denied: false };
}

/** What the node itself opens is not settled. */
const passedUnasked = /^ct direction original accept$/;

const describe = ({ source, destination, protocol, port, viaService }: Packet): string =>
  `${source} to ${destination} ${protocol}${port === undefined ? '' : ` ${port}`}${viaService ? ' by a Service' : ''}`;

/**
 * The same for cluster DNS: answered by the pod's own node (UDP past conntrack, TCP, an echo), and led to another node's.
 * @returns how many were denied and how many asked
 */
export function holdDnsAgainst(
  world: World,
  cluster: TracedCluster,
  pod: PolicyPod,
  dns: PolicyPod,
  elsewhere: PolicyNode,
): { asked: number; denied: number } {
  const counts = { asked: 0, denied: 0 };
  for (const source of pod.addresses) {
    const address = dns.addresses.find(({ family }) => family === source.family)!;
    const other = elsewhere.addresses.find(({ family }) => family === source.family);
    for (const protocol of ['UDP', 'TCP', 'ICMP'] as const) {
      const packet: Packet = { source, destination: address, protocol, ...(protocol === 'ICMP' ? {} : { port: 53 }) };
      const may = evaluate(world, packet).allowed;
      const connection = connectionOf(packet);
      const own = { node: pod.node!, hook: 'input', fromPod: true, toPod: false } as const;
      const asks: Trace[] = [
        cluster.trace(own, { connection, direction: 'original', state: protocol === 'UDP' ? 'untracked' : 'new' }),
      ];
      if (protocol === 'TCP') asks.push(cluster.trace(back(own), { connection, direction: 'reply', state: 'established' }));
      if (protocol !== 'ICMP' && other) {
        const led = { ...connection, translated: true, reply: { ...connection.reply, source: other, sourcePort: 9053 } };
        const forward = { node: pod.node!, hook: 'forward', fromPod: true, toPod: false } as const;
        asks.push(cluster.trace(forward, { connection: led, direction: 'original', state: 'new' }));
        asks.push(cluster.trace(back(forward), { connection: led, direction: 'reply', state: 'established' }));
      }
      for (const trace of asks) {
        counts.asked++;
        if (!may) counts.denied++;
        if ((trace.verdict === 'accept') !== may)
          throw new Error(
            `the specification ${may ? 'allows' : 'denies'} ${describe(packet)}, but ${trace.verdict} by ${JSON.stringify(trace.by)}`,
          );
      }
    }
  }
  return counts;
}

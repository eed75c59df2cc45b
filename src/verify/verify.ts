import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { families as allFamilies, type Family } from '../net/ip.ts';
import { type Check, Gate, runCheck } from './attempt.ts';
import { forgedChecks } from './forged.ts';
import { defaultLimits, type VerifyInput, type VerifyLimits } from './input.ts';
import { localhostChecks } from './localhost.ts';
import { type Pair, pairChecks, pathMtuCheck, tooBigCheck } from './pairs.ts';
import type { CheckResult, Report } from './report.ts';
import { orderedPairs } from './sample.ts';
import { serviceChecks } from './services.ts';
import { World } from './world.ts';

const patienceMs = 200;

export interface VerifyOptions {
  /** Called as each check ends. */
  onCheck?(check: CheckResult): void;
  families?: readonly Family[];
  limits?: Partial<VerifyLimits>;
}

/**
 * Proves the network model on a running cluster with sockets of its own inside the namespaces; it needs nothing of the containers. Needs root.
 * Nothing is sent twice. A veth that was made a moment ago may lose its first packets for up to a second: the caller waits for that.
 */
export async function verify(input: VerifyInput, options: VerifyOptions = {}): Promise<Report> {
  const limits = { ...defaultLimits, ...options.limits };
  const families = options.families ?? allFamilies;
  const startedAt = new Date().toISOString();
  const begin = performance.now();
  using world = World.open(input, families);
  const gate = new Gate(limits.concurrency);
  const running: Promise<CheckResult>[] = [];
  const run = async (check: Check): Promise<void> => {
    const result = runCheck(check, gate, limits);
    running.push(result);
    const told = result.then((done) => options.onCheck?.(done));
    // One after the other, for clean times; but one that waits for lost packets does not hold up the next.
    if (!check.waits) await Promise.race([told, setTimeout(patienceMs, undefined, { ref: false })]);
  };
  for (const check of brokenPlaces(world, families)) await run(check);
  for (const family of families) {
    for (const check of pairsOf(world, family, limits)) await run(check);
    for (const check of localhostChecks(world, family, limits)) await run(check);
    for (const check of forgedChecks(world, family)) await run(check);
    for (const check of serviceChecks(input, world, family, limits)) await run(check);
  }
  const checks = await Promise.all(running);
  const tried = checks.some((check) => check.attempted > 0);
  const ok = tried && checks.every((check) => check.failed === 0);
  return { ok, checks, startedAt, durationMs: performance.now() - begin };
}

function brokenPlaces({ broken }: World, [family = 'ipv4']: readonly Family[]): Check[] {
  if (broken.length === 0) return [];
  const expected = 'its namespace with its addresses';
  const attempts = broken.map(({ label, why }) => ({
    from: label,
    to: '',
    run: async () => ({ expected, seen: 'an error', why }),
  }));
  return [{ id: 'places', title: 'namespaces and addresses', family, protocol: 'tcp', attempts }];
}

function pairsOf(world: World, family: Family, limits: VerifyLimits): Check[] {
  const pods = world.pods.map(({ place }) => place).filter((place) => place.stations[family]);
  const nodes = [...world.nodes.values()].filter((place) => place.stations[family]);
  const { pairs, note } = orderedPairs(pods, limits);
  const podSource = ([from]: Pair) => world.ownSource(from, family);
  const nodeSource = ([from]: Pair) => world.anySourceOf(from);
  const podOf = new Map(world.pods.map(({ place, node }) => [place, world.nodes.get(node)]));
  const cross = (a: readonly Pair[0][], b: readonly Pair[1][]): Pair[] => a.flatMap((from) => b.map((to): Pair => [from, to]));
  const common = { family, limits, policies: world.policies };
  const outside = world.outside?.stations[family] ? [world.outside] : [];
  const [firstNode] = nodes;
  return [
    ...pairChecks({ ...common, id: 'pod-pod', title: 'pod to pod', pairs, note, sourceOf: podSource }),
    ...tooBigCheck(
      pods.flatMap((pod): Pair[] => {
        const to = pods.find((other) => other !== pod) ?? firstNode;
        return to ? [[pod, to]] : [];
      }),
      family,
      limits,
    ),
    // First, so that the sender of an IPv6 datagram in fragments knows what it has to know: pods may have a smaller MTU than the way to them.
    ...pathMtuCheck({ ...common, id: 'node-pod-mtu', title: 'node to pod, path MTU', pairs: cross(nodes, pods) }),
    ...pairChecks({ ...common, id: 'node-pod', title: 'node to pod', pairs: cross(nodes, pods), sourceOf: nodeSource }).filter(
      isNoMtuCheck,
    ),
    ...pairChecks({ ...common, id: 'pod-node', title: 'pod to node', pairs: cross(pods, nodes), sourceOf: podSource }),
    ...pairChecks({
      ...{ ...common, id: 'hostnet-pod', title: 'hostNetwork pod to pod', sourceOf: nodeSource },
      pairs: cross(world.hostPods, pods),
    }).filter(isNoMtuCheck),
    ...pairChecks({
      ...{ ...common, id: 'pod-hostnet', title: 'pod to hostNetwork pod', sourceOf: podSource },
      pairs: cross(pods, world.hostPods),
    }),
    // First, as above.
    ...pathMtuCheck({ ...common, id: 'pod-outside-mtu', title: 'pod to outside, path MTU', pairs: cross(pods, outside) }),
    ...pairChecks({
      ...{ ...common, id: 'pod-outside', title: 'pod to outside', pairs: cross(pods, outside) },
      sourceOf: ([from]) => world.anySourceOf(podOf.get(from) ?? from),
    }).filter(isNoMtuCheck),
  ];
}

/** From nodes and to the outside the path's MTU may be smaller than the sender's link; what passes is not the network model's business there. */
const isNoMtuCheck = (check: Check): boolean => !check.id.endsWith('-mtu');

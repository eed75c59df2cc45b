import { type Family, families, type IpAddr } from '../net/ip.ts';
import { Alike } from './alike.ts';
import { policiesOf } from './evaluate.ts';
import { groupBy } from './group-by.ts';
import { groupsOf, pairOf } from './matrix.ts';
import { type Direction, directions, type Policy } from './model.ts';
import { type Party, partiesOf } from './parties.ts';
import { reasonText } from './reason-text.ts';
import { join, judgeAll, type Traffic } from './traffic.ts';
import type { Judgement } from './verdict.ts';
import { type PolicyPod, podKey, type World } from './world.ts';

/** What policies make of one pod. */
export interface PodExplanation {
  pod: PolicyPod;
  directions: Readonly<Record<Direction, DirectionExplanation>>;
}

export interface DirectionExplanation {
  /** Those that select it and say something about the direction, in the order in which they are asked. */
  policies: readonly Policy[];
  /** Whether a NetworkPolicy is among them. */
  isolated: boolean;
  flows: readonly Flow[];
}

/** Traffic with some others that has one verdict for one reason. */
export interface Flow {
  peers: readonly string[];
  /** Only these of the families that both have; absent: all. */
  families?: readonly Family[];
  traffic: Traffic;
  allowed: boolean;
  /** In whose policies the reason stands: the pod's own, or those of the other end. */
  by: 'own' | 'other';
  why: string;
}

/** What isolates a pod, who may reach it and whom it may reach, and why. */
export function explainPod(world: World, pod: PolicyPod): PodExplanation {
  const parties = partiesOf(world);
  const self = parties.find(({ key }) => key === podKey(pod));
  const others = parties.filter(({ key }) => key !== podKey(pod));
  const groups = groupsOf(others, new Alike(world, others));
  const explain = (direction: Direction): DirectionExplanation => {
    const policies = policiesOf(world, pod, direction);
    const isolated = policies.some(({ tier }) => tier === 'NetworkPolicy');
    const flows = new Map<string, { flow: Omit<Flow, 'peers'>; peers: string[] }>();
    for (const group of self ? groups : []) {
      const pair = pairOf({ parties: [self!] }, group);
      if (!pair) continue;
      for (const flow of flowsWith(world, direction, self!, pair[1])) {
        const key = JSON.stringify(flow);
        const found = flows.get(key) ?? { flow, peers: [] };
        found.peers.push(group.end.label);
        flows.set(key, found);
      }
    }
    return { policies, isolated, flows: [...flows.values()].map(({ flow, peers }) => ({ peers, ...flow })) };
  };
  const [egress, ingress] = directions.map(explain) as [DirectionExplanation, DirectionExplanation];
  return { pod, directions: { egress, ingress } };
}

/** With one other, what is the same for both families once. */
function flowsWith(world: World, direction: Direction, self: Party, other: Party): Omit<Flow, 'peers'>[] {
  const all = families.flatMap((family) =>
    flowsOfFamily(world, direction, self.addresses.get(family), other.addresses.get(family)).map((flow) => ({ family, flow })),
  );
  const common = new Set(all.map(({ family }) => family)).size;
  return [...groupBy(all, ({ flow }) => JSON.stringify(flow)).values()].map((same) => ({
    ...same[0]!.flow,
    ...(same.length < common ? { families: same.map(({ family }) => family) } : {}),
  }));
}

function flowsOfFamily(
  world: World,
  direction: Direction,
  own: IpAddr | undefined,
  its: IpAddr | undefined,
): Omit<Flow, 'peers' | 'families'>[] {
  if (!own || !its) return [];
  const all = direction === 'egress' ? judgeAll(world, own, its) : judgeAll(world, its, own);
  const judged = all.map(({ interval, verdict }) => {
    const [ownJudgement, itsJudgement]: [Judgement, Judgement] =
      direction === 'egress' ? [verdict.egress, verdict.ingress] : [verdict.ingress, verdict.egress];
    const by = ownJudgement.allowed && !itsJudgement.allowed ? ('other' as const) : ('own' as const);
    return { interval, allowed: verdict.allowed, by, why: reasonText(by === 'own' ? ownJudgement : itsJudgement) };
  });
  return [...groupBy(judged, ({ allowed, by, why }) => `${allowed} ${by} ${why}`).values()].map((some) => {
    const { allowed, by, why } = some[0]!;
    return { allowed, by, why, traffic: join(some.map(({ interval }) => interval)) };
  });
}

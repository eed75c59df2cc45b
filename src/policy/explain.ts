import { type Family, families } from '../net/ip.ts';
import { policiesOf } from './evaluate.ts';
import { groupBy } from './group-by.ts';
import { groupsOf, pairOf } from './matrix.ts';
import { type Direction, directions, type Policy } from './model.ts';
import { type Party, partiesOf, signatureOf } from './parties.ts';
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
  families: readonly Family[];
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
  const groups = groupsOf(
    parties.filter(({ key }) => key !== podKey(pod)),
    signatureOf(world),
  );
  const explain = (direction: Direction): DirectionExplanation => {
    const policies = policiesOf(world, pod, direction);
    const isolated = policies.some(({ tier }) => tier === 'NetworkPolicy');
    const flows = new Map<string, { flow: Omit<Flow, 'peers' | 'families'>; peers: Set<string>; families: Set<Family> }>();
    for (const group of self ? groups : []) {
      const pair = pairOf({ parties: [self!] }, group);
      if (!pair) continue;
      for (const flow of flowsWith(world, direction, self!, pair[1])) {
        const { family, ...rest } = flow;
        const key = JSON.stringify(rest);
        const found = flows.get(key) ?? { flow: rest, peers: new Set(), families: new Set() };
        found.peers.add(group.end.label);
        found.families.add(family);
        flows.set(key, found);
      }
    }
    return {
      policies,
      isolated,
      flows: [...flows.values()].map(({ flow, peers, families: of }) => ({ ...flow, peers: [...peers], families: [...of] })),
    };
  };
  const [egress, ingress] = directions.map(explain) as [DirectionExplanation, DirectionExplanation];
  return { pod, directions: { egress, ingress } };
}

function flowsWith(
  world: World,
  direction: Direction,
  self: Party,
  other: Party,
): (Omit<Flow, 'peers' | 'families'> & { family: Family })[] {
  return families.flatMap((family) => {
    const [own, its] = [self.addresses.get(family), other.addresses.get(family)];
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
      return { family, allowed, by, why, traffic: join(some.map(({ interval }) => interval)) };
    });
  });
}

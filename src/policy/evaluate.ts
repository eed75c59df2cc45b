import { matchRule, selects } from './match.ts';
import type { Direction, Policy, Tier } from './model.ts';
import { type End, endAt, type Packet } from './packet.ts';
import { allows, type Judgement, type Reason, type RuleHit, type RuleMiss, type Verdict } from './verdict.ts';
import type { PolicyPod, World } from './world.ts';

/**
 * The specification, to be held beside it: networking.k8s.io/v1 and policy.networking.k8s.io as they are written. Clear, not fast: what kernels are
 * told is judged by it.
 */
export function evaluate(world: World, packet: Packet): Verdict {
  // NP10: a reply, or an ICMP error, goes as the connection goes that it belongs to.
  if (packet.answers) return evaluate(world, packet.answers);
  const source = endAt(world, packet.source);
  const destination = endAt(world, packet.destination);
  const egress = judge(world, 'egress', source, destination, packet);
  const ingress = judge(world, 'ingress', source, destination, packet);
  // NP9: both ends must allow it.
  return { allowed: egress.allowed && ingress.allowed, source, destination, egress, ingress };
}

function judge(world: World, direction: Direction, source: End, destination: End, packet: Packet): Judgement {
  const [subject, other] = direction === 'egress' ? [source, destination] : [destination, source];
  const question: Question = { world, direction, other, destination, packet };
  const passed: RuleHit[] = [];
  const because = (reason: Reason): Judgement => ({ direction, allowed: allows(reason), reason, passed });

  // NP13, NP22, CNP8: policies are about pods of the cluster's network that have not ended.
  if (subject.kind !== 'pod') return because({ code: 'no-pod' });
  const isItself = other.kind === 'pod' && other.pod === subject.pod;
  const isOwnNode = other.kind === 'node' && other.node.name === subject.pod.node;
  // NP11, CNP9: its own address is always its; what comes back through a Service is subject to cluster-wide policies.
  if (isItself && !packet.viaService) return because({ code: 'itself' });
  // NP12, CNP12: no policy can keep a node from its pods.
  if (isOwnNode && direction === 'ingress') return because({ code: 'own-node' });

  // CNP5: three tiers, in this order.
  for (const tier of ['Admin', 'NetworkPolicy', 'Baseline'] as const) {
    const policies = world.policies.filter((policy) => policy.tier === tier && selects(world, policy.subject, subject.pod));
    if (tier !== 'NetworkPolicy') {
      // CNP5: by priority, then by the order of rules, the first that matches decides.
      const { hit } = ask(policies, question);
      if (hit && hit.rule.action !== 'Pass') return because({ code: 'rule', action: hit.rule.action, ...hit });
      if (hit) passed.push(hit);
      continue;
    }
    const isolatedBy = policies.filter((policy) => policy.rules[direction] !== undefined);
    // NP1: not isolated in this direction; the next tier decides.
    if (isolatedBy.length === 0) continue;
    if (isItself) return because({ code: 'itself' });
    if (isOwnNode) return because({ code: 'own-node' });
    // NP1: the union of what all rules of all policies allow; nothing else.
    const { hit, misses } = ask(isolatedBy, question);
    return because(hit ? { code: 'rule', action: 'Accept', ...hit } : { code: 'default-deny', isolatedBy, misses });
  }
  return because({ code: 'default-allow' });
}

/** What rules are asked. */
interface Question {
  world: World;
  direction: Direction;
  other: End;
  destination: End;
  packet: Packet;
}

/** The rules of policies in their order, up to the first that matches. */
function ask(policies: readonly Policy[], { world, direction, other, destination, packet }: Question): { hit?: RuleHit; misses: RuleMiss[] } {
  const misses: RuleMiss[] = [];
  for (const policy of policies)
    for (const rule of policy.rules[direction] ?? []) {
      const match = matchRule(world, rule, other, destination, packet);
      if (match.matches) return { hit: { policy, rule, peer: match.peer, port: match.port }, misses };
      misses.push({ policy, rule, by: match.by });
    }
  return { misses };
}

/** The policies that select a pod and say something about the direction, in the order in which they are asked. */
export const policiesOf = (world: World, pod: PolicyPod, direction: Direction): readonly Policy[] =>
  (['Admin', 'NetworkPolicy', 'Baseline'] as Tier[]).flatMap((tier) =>
    world.policies.filter(
      (policy) => policy.tier === tier && policy.rules[direction] !== undefined && selects(world, policy.subject, pod),
    ),
  );

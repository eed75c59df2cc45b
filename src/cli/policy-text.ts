import type { Named } from '../policy/ask.ts';
import type { Answer } from '../policy/check.ts';
import type { Flow, PodExplanation } from '../policy/explain.ts';
import { type Direction, policyName } from '../policy/model.ts';
import type { PacketProtocol } from '../policy/packet.ts';
import { hitText, missText, reasonText } from '../policy/reason-text.ts';
import { trafficText } from '../policy/traffic.ts';
import type { Judgement, RuleHit } from '../policy/verdict.ts';
import { podKey } from '../policy/world.ts';
import { printable, type Style, table } from './output.ts';

/** A verdict for each, those of the same kind and reason together. */
export function answersText(answers: readonly Answer[], protocol: PacketProtocol, style: Style): string {
  const groups = new Map<string, Answer[]>();
  for (const answer of answers) {
    const key = JSON.stringify([
      answer.verdict.allowed,
      answer.to.port,
      ...['egress', 'ingress'].map((way) => reasonText(answer.verdict[way as Direction])),
    ]);
    groups.set(key, [...(groups.get(key) ?? []), answer]);
  }
  const parts = [...groups.values()].map((group) => groupText(group, protocol, style));
  if (answers.some(isMadeUp))
    parts.push(
      style.paint(
        'dim',
        'An ipBlock or networks decides, and in manifests pods have no addresses: podnet made some up, of 10.244.0.0/16 and fd00:10:244::/112.',
      ),
    );
  return parts.join('\n\n');
}

function groupText(group: readonly Answer[], protocol: PacketProtocol, style: Style): string {
  const { verdict, to, families } = group[0]!;
  const names = (of: (answer: Answer) => Named): string => some([...new Set(group.map((answer) => of(answer).label))]);
  const word = verdict.allowed ? style.paint('green', 'ALLOWED') : style.paint('red', 'DENIED');
  const port = to.port === undefined ? protocol : `${protocol} ${to.port}`;
  const via = to.viaService === undefined ? '' : `   through Service ${printable(to.viaService)}`;
  const family = families.length === 1 ? `   ${families[0] === 'ipv4' ? 'IPv4' : 'IPv6'}` : '';
  const sides = [
    judgementText(
      verdict.egress,
      names(({ from }) => from),
      style,
    ),
    judgementText(
      verdict.ingress,
      names((answer) => answer.to),
      style,
    ),
  ];
  return [`${word}   ${names(({ from }) => from)} → ${names((answer) => answer.to)}   ${port}${via}${family}`, ...sides].join(
    '\n',
  );
}

function judgementText(judgement: Judgement, who: string, style: Style): string {
  const { direction, allowed, reason, passed } = judgement;
  const mark = allowed ? style.paint('green', '✓') : style.paint('red', '✗');
  const lines = [`  ${mark} ${direction} of ${who}: ${printable(reasonText(judgement))}`];
  for (const hit of passed) lines.push(`      passed on by ${printable(hitText(hit))}`);
  if (reason.code === 'default-deny') {
    const misses = reason.misses.map((miss) => `      ${printable(missText(miss, direction))}`);
    lines.push(...misses.slice(0, 10).map((line) => style.paint('dim', line)));
    if (misses.length > 10) lines.push(style.paint('dim', `      and ${misses.length - 10} more rules; -o json has them all`));
  }
  return lines.join('\n');
}

const isMadeUp = ({ from, to, verdict }: Answer): boolean =>
  (['egress', 'ingress'] as const).some((direction) => {
    const other = direction === 'egress' ? to : from;
    const { reason } = verdict[direction];
    if (!other.pod?.madeUp) return false;
    return reason.code === 'rule' && reason.peer !== undefined && reason.rule.peers![reason.peer]!.kind === 'networks';
  });

const some = (names: readonly string[]): string =>
  printable(names.length > 4 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', '));

/** One answer as JSON has it. */
export const answerData = ({ from, to, families, verdict }: Answer): object => ({
  from: from.label,
  to: to.label,
  ...(to.port === undefined ? {} : { port: to.port }),
  ...(to.viaService === undefined ? {} : { service: to.viaService }),
  families,
  allowed: verdict.allowed,
  egress: judgementData(verdict.egress),
  ingress: judgementData(verdict.ingress),
});

function judgementData(judgement: Judgement): object {
  const { allowed, reason, passed, direction } = judgement;
  const decided = {
    ...(reason.code === 'rule' ? { rule: hitData(reason) } : {}),
    ...(reason.code === 'default-deny'
      ? {
          isolatedBy: reason.isolatedBy.map(policyName),
          misses: reason.misses.map((miss) => ({
            policy: policyName(miss.policy),
            rule: miss.rule.at,
            why: missText(miss, direction),
          })),
        }
      : {}),
  };
  return {
    allowed,
    reason: reason.code,
    text: reasonText(judgement),
    ...decided,
    ...(passed.length > 0 ? { passed: passed.map(hitData) } : {}),
  };
}

const hitData = ({ policy, rule, peer, port }: RuleHit): object => ({
  ...{ policy: policyName(policy), rule: rule.at, action: rule.action },
  ...(rule.name === undefined ? {} : { name: rule.name }),
  ...(peer === undefined ? {} : { peer: rule.peers![peer]!.at }),
  ...(port === undefined ? {} : { port }),
});

/** @param others pods of the same workload beside it */
export function explanationText({ pod, directions }: PodExplanation, others: number, style: Style): string {
  const head = [podKey(pod), pod.workload, pod.madeUp ? undefined : pod.addresses.join(','), pod.node && `on ${pod.node}`]
    .filter(Boolean)
    .map((one) => printable(one as string));
  const labels = Object.entries(pod.labels).map(([name, value]) => `${name}=${value}`);
  const lines = [`${style.paint('bold', head.join('   '))}`, `  labels   ${printable(labels.join(' ')) || 'none'}`];
  if (others > 0) lines.push(`  one of ${others + 1} pods; another one is asked by its own name`);
  if (pod.hostNetwork)
    lines.push(
      '  it is in the network of its node: no policy is about it, and no selector finds it; an ipBlock matches it by the address',
    );
  else if (pod.ended) lines.push('  it has ended: it has no address, and no policy finds it');
  else
    for (const direction of ['ingress', 'egress'] as const)
      lines.push('', ...directionText(direction, directions[direction], style));
  return lines.join('\n');
}

function directionText(
  direction: Direction,
  { policies, isolated, flows }: PodExplanation['directions'][Direction],
  style: Style,
): string[] {
  const state = isolated ? style.paint('yellow', 'isolated') : 'not isolated: what no cluster-wide rule denies is allowed';
  const lines = [`${style.paint('bold', direction.toUpperCase())}   ${state}`];
  for (const policy of policies)
    lines.push(
      `  ${printable(policyName(policy))}${policy.tier === 'NetworkPolicy' ? '' : `, tier ${policy.tier}, priority ${policy.priority}`}`,
    );
  if (flows.length === 0) return [...lines, '  there is nobody else'];
  const rows = flows
    .toSorted((a, b) => Number(b.allowed) - Number(a.allowed))
    .map((flow) => [
      flow.allowed ? style.paint('green', '✓') : style.paint('red', '✗'),
      some(flow.peers),
      `${printable(trafficText(flow.traffic))}${familyText(flow)}`,
      printable(flow.by === 'own' ? flow.why : `the ${direction === 'ingress' ? 'egress' : 'ingress'} of the other: ${flow.why}`),
    ]);
  return [...lines, table([' ', direction === 'ingress' ? 'FROM' : 'TO', 'PORTS', 'WHY'], rows)];
}

const familyText = ({ families }: Flow): string =>
  families?.length === 1 ? ` (${families[0] === 'ipv4' ? 'IPv4' : 'IPv6'})` : '';

export const explanationData = ({ pod, directions }: PodExplanation): object => ({
  ...{ pod: podKey(pod), labels: pod.labels, addresses: pod.madeUp ? [] : pod.addresses },
  ...(pod.workload === undefined ? {} : { workload: pod.workload }),
  ...(pod.node === undefined ? {} : { node: pod.node }),
  hostNetwork: pod.hostNetwork,
  ...Object.fromEntries(
    (['ingress', 'egress'] as const).map((direction) => {
      const { policies, isolated, flows } = directions[direction];
      return [
        direction,
        {
          isolated,
          policies: policies.map((policy) => ({ policy: policyName(policy), tier: policy.tier, problems: policy.problems })),
          flows: flows.map((flow) => ({ ...flow, ports: trafficText(flow.traffic) })),
        },
      ];
    }),
  ),
});

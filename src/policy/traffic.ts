import type { IpAddr } from '../net/ip.ts';
import { evaluate, policiesOf } from './evaluate.ts';
import { matchesPeer } from './match.ts';
import { type Direction, directions, type Policy, type PortMatch, type PortProtocol, portProtocols, type Rule } from './model.ts';
import { endAt, type PacketProtocol } from './packet.ts';
import type { Verdict } from './verdict.ts';
import { type PolicyPod, podKey, type World } from './world.ts';

/** Ports of one protocol that are judged alike, both ends included; of ICMP 0 to 0. */
export interface Interval {
  protocol: PacketProtocol;
  from: number;
  to: number;
}

/** What may be sent: disjoint, in order, neighbours joined. */
export type Traffic = readonly Interval[];

const first = 1;
const last = 65535;

/** All that there is to be sent. */
export const everything: Traffic = [
  ...portProtocols.map((protocol) => ({ protocol, from: first, to: last })),
  { protocol: 'ICMP' as const, from: 0, to: 0 },
];

/**
 * The verdicts on everything that one address can send to another: exact, since between two ports that no policy names all are alike.
 */
export function judgeAll(world: World, source: IpAddr, destination: IpAddr): { interval: Interval; verdict: Verdict }[] {
  const relevant = policiesAbout(world, source, destination).map((policy) => meaning(world, policy, source, destination));
  const small = { ...world, policies: relevant };
  const ends = endAt(world, destination);
  const named = ends.kind === 'pod' ? ends.pod.ports : [];
  const cuts: Record<PortProtocol, Set<number>> = { TCP: new Set([first]), UDP: new Set([first]), SCTP: new Set([first]) };
  const cut = ({ protocol, from, to }: { protocol: PortProtocol; from: number; to: number }): void => {
    cuts[protocol].add(Math.max(from, first));
    if (to < last) cuts[protocol].add(to + 1);
  };
  const matches = relevant.flatMap(({ rules }) =>
    directions.flatMap((direction) =>
      (rules[direction] ?? []).flatMap(({ peers, ports }) => (peers?.length === 0 ? [] : (ports ?? []))),
    ),
  );
  const names = new Set(
    matches.filter((port): port is Extract<PortMatch, { kind: 'named' }> => port.kind === 'named').map(({ name }) => name),
  );
  for (const port of matches) if (port.kind === 'numbers') cut(port);
  for (const { name, protocol, number } of named)
    if (name !== undefined && names.has(name)) cut({ protocol, from: number, to: number });
  const all: { interval: Interval; verdict: Verdict }[] = [];
  for (const protocol of portProtocols) {
    const starts = [...cuts[protocol]].sort((a, b) => a - b);
    for (const [index, from] of starts.entries()) {
      const to = (starts[index + 1] ?? last + 1) - 1;
      all.push({ interval: { protocol, from, to }, verdict: evaluate(small, { source, destination, protocol, port: from }) });
    }
  }
  all.push({
    interval: { protocol: 'ICMP', from: 0, to: 0 },
    verdict: evaluate(small, { source, destination, protocol: 'ICMP' }),
  });
  return all;
}

/**
 * The policy with those peers alone that mean the other end, whom each port would be asked about again: of each rule the first one for pods and the first other
 * one, since all that follow them match the same ports, and reasons name the first.
 */
function meaning(world: World, policy: Policy, source: IpAddr, destination: IpAddr): Policy {
  const rulesOf = (direction: Direction): Rule[] | undefined => {
    const other = endAt(world, direction === 'egress' ? destination : source);
    return policy.rules[direction]?.map((rule) => {
      if (!rule.peers) return rule;
      const ofPods = rule.peers.findIndex((peer) => peer.kind === 'pods' && matchesPeer(world, peer, other));
      const ofOthers = rule.peers.findIndex((peer) => peer.kind !== 'pods' && matchesPeer(world, peer, other));
      const places = [ofPods, ofOthers].filter((place) => place >= 0).sort((a, b) => a - b);
      return { ...rule, peers: places.map((place) => rule.peers![place]!) };
    });
  };
  return { ...policy, rules: { egress: rulesOf('egress'), ingress: rulesOf('ingress') } };
}

/** Those that select the source for egress or the destination for ingress, in the world's order. */
function policiesAbout(world: World, source: IpAddr, destination: IpAddr): World['policies'] {
  const ends = { egress: endAt(world, source), ingress: endAt(world, destination) };
  const found = directions.flatMap((direction) => {
    const end = ends[direction];
    return end.kind === 'pod' ? selecting(world, end.pod, direction) : [];
  });
  return [...new Set(found)].sort((a, b) => a - b).map((index) => world.policies[index]!);
}

/** A world never changes: what selects a pod is found once, for all of its pairs. */
const known = new WeakMap<World, Map<string, readonly number[]>>();

function selecting(world: World, pod: PolicyPod, direction: Direction): readonly number[] {
  const ofWorld = known.get(world) ?? new Map<string, readonly number[]>();
  known.set(world, ofWorld);
  const key = `${direction} ${podKey(pod)}`;
  const found = ofWorld.get(key) ?? policiesOf(world, pod, direction).map((policy) => world.policies.indexOf(policy));
  ofWorld.set(key, found);
  return found;
}

/** What of it is allowed. */
export const allowedTraffic = (world: World, source: IpAddr, destination: IpAddr): Traffic =>
  join(judgeAll(world, source, destination).flatMap(({ interval, verdict }) => (verdict.allowed ? [interval] : [])));

/** Neighbours become one. The intervals must be in order and disjoint. */
export function join(intervals: readonly Interval[]): Traffic {
  const joined: Interval[] = [];
  for (const interval of intervals) {
    const before = joined.at(-1);
    if (before?.protocol === interval.protocol && before.to + 1 === interval.from)
      joined[joined.length - 1] = { ...before, to: interval.to };
    else joined.push(interval);
  }
  return joined;
}

/** What is in both. */
export function both(a: Traffic, b: Traffic): Traffic {
  if (a === everything || a === b) return b;
  if (b === everything) return a;
  return a.flatMap(({ protocol, from, to }) =>
    b
      .filter((one) => one.protocol === protocol && one.from <= to && from <= one.to)
      .map((one) => ({ protocol, from: Math.max(from, one.from), to: Math.min(to, one.to) })),
  );
}

/** What is in `a` and not in `b`. */
export function without(a: Traffic, b: Traffic): Traffic {
  let rest = [...a];
  for (const { protocol, from, to } of b)
    rest = rest.flatMap((one) => {
      if (one.protocol !== protocol || one.to < from || to < one.from) return [one];
      return [
        { ...one, to: from - 1 },
        { ...one, from: to + 1 },
      ].filter((part) => part.from <= part.to);
    });
  return rest;
}

const whole = ({ protocol, from, to }: Interval): boolean => protocol === 'ICMP' || (from === first && to === last);

/** Everything that there is. */
const isAll = (traffic: Traffic): boolean => traffic.length === portProtocols.length + 1 && traffic.every(whole);

/** `all`, `nothing`, `TCP 80,443,8000-8080; all of UDP; ICMP echo`; what is missing where that is shorter: `all but TCP 53 and UDP 53`. */
export function trafficText(traffic: Traffic): string {
  if (traffic.length === 0) return 'nothing';
  if (isAll(traffic)) return 'all';
  const missing = without(everything, traffic);
  return missing.length * 2 < traffic.length ? `all but ${partsText(missing, ' and ')}` : partsText(traffic, '; ');
}

function partsText(traffic: Traffic, between: string): string {
  const parts = new Map<PacketProtocol, string[]>();
  for (const one of traffic) {
    const { protocol, from, to } = one;
    const text = whole(one) ? '' : from === to ? String(from) : `${from}-${to}`;
    parts.set(protocol, [...(parts.get(protocol) ?? []), text]);
  }
  return [...parts]
    .map(([protocol, ports]) => {
      if (protocol === 'ICMP') return 'ICMP echo';
      return ports[0] === '' ? `all of ${protocol}` : `${protocol} ${ports.join(',')}`;
    })
    .join(between);
}

import type { Direction, Policy, PodSelection, PortProtocol, Rule } from '../../model.ts';
import { directions, portProtocols } from '../../model.ts';
import type { PodPort } from '../../world.ts';
import { type Atom, type AtomPeer, type Atoms, fewSelections, podsKey } from '../remote/peers.ts';
import { groupBy } from '../../group-by.ts';
import { scopeOf } from '../../limits/limits.ts';
import { portsKey } from '../../limits/ports.ts';
import { networksOf } from '../../spans.ts';
import { type PortRange, type TrafficId, TrafficSets } from './traffic-sets.ts';

/** A port by its name: what it is depends on the destination pod. */
export interface PortName {
  name: string;
  protocol: PortProtocol | undefined;
}

/** A rule of a policy in use, ready to be judged by. */
export interface RuleUse {
  entry: PolicyEntry;
  direction: Direction;
  /** Its place among the policy's rules of the direction. */
  index: number;
  action: Rule['action'];
  /** undefined: everything. */
  atoms: readonly Atom[] | undefined;
  /** By numbers. */
  ports: TrafficId;
  names: readonly PortName[];
}

/** One version of a policy: another content is another entry. */
export interface PolicyEntry {
  /** Its place in sets of policies; given again once nothing names it. */
  serial: number;
  policy: Policy;
  /** Its subject. */
  selections: readonly [PodSelection];
  /** While it selects a local pod. */
  rules: Readonly<Record<Direction, readonly RuleUse[]>> | undefined;
}

export function compileRules(entry: PolicyEntry, atoms: Atoms, traffic: TrafficSets): Record<Direction, readonly RuleUse[]> {
  const isUnordered = entry.policy.tier === 'NetworkPolicy';
  const compile = (direction: Direction): RuleUse[] =>
    (isUnordered ? mergedByPorts : all)(entry.policy.rules[direction] ?? []).map((rule, index) => {
      const named = rule.peers && [...new Set(peersOf(rule, scopeOf(entry.policy)).map((peer) => atoms.of(peer)))];
      const use: RuleUse = { entry, direction, index, action: rule.action, atoms: named, ...portsOf(rule, traffic) };
      for (const atom of named ?? []) atom.uses[direction].add(use);
      return use;
    });
  return { egress: compile('egress'), ingress: compile('ingress') };
}

const all = (rules: readonly Rule[]): readonly Rule[] => rules;

/** Rules that all accept, by the same ports: one that names the peers of all of them does the same. */
function mergedByPorts(rules: readonly Rule[]): Rule[] {
  const toSome = groupBy(rules, ({ peers, ports }) => (peers ? portsKey(ports) : undefined));
  const toAll = toSome.get(undefined) ?? [];
  toSome.delete(undefined);
  const merged = Array.from(toSome.values(), (some): Rule => (some.length === 1 ? some[0]! : { ...some[0]!, peers: some.flatMap(({ peers = [] }) => peers) }));
  return [...toAll, ...merged];
}

/** Its networks are one peer, and its selections of pods if they are many: few are known from other rules. */
function peersOf(rule: Rule, scope: string): AtomPeer[] {
  const peers: AtomPeer[] = [];
  const selections = new Map<string, PodSelection>();
  for (const peer of rule.peers ?? [])
    if (peer.kind === 'pods') selections.set(podsKey(peer), peer);
    else if (peer.kind !== 'networks') peers.push(peer);
  const networks = networksOf(rule);
  if (networks) peers.push({ kind: 'networks', scope, networks });
  const all = [...selections.values()];
  if (all.length > fewSelections) peers.push({ kind: 'pods', selections: all });
  else for (const one of all) peers.push({ kind: 'pods', selections: [one] });
  return peers;
}

export function releaseRules(entry: PolicyEntry, atoms: Atoms): void {
  for (const direction of directions)
    for (const use of entry.rules?.[direction] ?? []) {
      for (const atom of use.atoms ?? []) atom.uses[direction].delete(use);
      atoms.release(use.atoms ?? []);
    }
  entry.rules = undefined;
}

function portsOf({ ports }: Rule, traffic: TrafficSets): Pick<RuleUse, 'ports' | 'names'> {
  if (!ports) return { ports: TrafficSets.all, names: [] };
  const names = new Map<string, PortName>();
  for (const port of ports)
    if (port.kind === 'named') names.set(`${port.name} ${port.protocol}`, { name: port.name, protocol: port.protocol });
  return { ports: traffic.ranges(ports.filter(({ kind }) => kind === 'numbers') as PortRange[]), names: [...names.values()] };
}

/** The destination pod's ports of these names. */
export function resolve(names: readonly PortName[], ports: readonly PodPort[], traffic: TrafficSets): TrafficId {
  if (names.length === 0 || ports.length === 0) return TrafficSets.nothing;
  const wanted = new Set(names.map(({ name, protocol }) => `${name} ${protocol}`));
  const meant = ports.filter(({ name, protocol }) => wanted.has(`${name} ${protocol}`) || wanted.has(`${name} undefined`));
  return traffic.ranges(meant.map(({ protocol, number }) => ({ protocol, from: number, to: number })));
}

/** All that ports of these names might be. */
export function anyOf(names: readonly PortName[], traffic: TrafficSets): TrafficId {
  const protocols = new Set(names.flatMap(({ protocol }) => protocol ?? portProtocols));
  return traffic.ranges([...protocols].map((protocol) => ({ protocol, from: 0, to: 65535 })));
}

import { fields, list, NotUnderstood, oneField, oneOf, text, wholeNumber } from './fields.ts';
import type { Action, Direction, Peer, PodSelection, Policy, PolicyKind, PortMatch, Problem, Rule, Tier } from './model.ts';
import { readCidr, readDomain, readNamespacedPod, readPort, readSelector, wholeProtocol } from './read-parts.ts';
import { closedByHead, readRules } from './read-rules.ts';

/** An object whose shape nobody checked yet. */
export interface UncheckedObject {
  metadata: { name: string };
  spec?: unknown;
}

/** What the versions of cluster-wide policies do differently. */
export interface ClusterForm {
  kind: PolicyKind;
  /** Names of the fields of spec beside subject, ingress and egress. */
  specFields: readonly string[];
  tier: (spec: Record<string, unknown>) => Tier;
  priority: (spec: Record<string, unknown>) => number;
  action: (value: unknown, at: string) => Action;
  /** Of a rule: where its protocols and ports stand, and how one of them is written. */
  portsField: string;
  readPort: (value: unknown, at: string) => PortMatch;
}

const priority = ({ priority: value }: Record<string, unknown>): number => wholeNumber(value, 'spec.priority', 0, 1000);

/** policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy (network-policy-api apis/v1alpha2). Never throws. */
export const readClusterNetworkPolicy = (object: UncheckedObject): Policy =>
  readClusterPolicy(object, {
    ...{
      kind: 'ClusterNetworkPolicy',
      specFields: ['tier', 'priority'],
      portsField: 'protocols',
      readPort: readProtocolMatch,
      priority,
    },
    tier: ({ tier }) => oneOf(tier, 'spec.tier', ['Admin', 'Baseline']),
    action: (value, at) => oneOf(value, at, ['Accept', 'Deny', 'Pass']),
  });

/** Before priority 0. */
const askedFirst = -1;

/** Reads what all forms share. A head that is not understood is taken for every pod, and its rules accept nothing. */
export function readClusterPolicy({ metadata: { name }, spec: given }: UncheckedObject, form: ClusterForm): Policy {
  const problems: Problem[] = [];
  const spec = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
  let closed: string | undefined;
  const attempt = <T>(read: () => T, instead: T, effect: string): T => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof NotUnderstood)) throw error;
      problems.push({ at: error.at, what: error.message, effect });
      closed = `${error.at}: ${error.message}`;
      return instead;
    }
  };
  const cautious = 'its rules accept nothing and deny what they name, a Pass too';
  attempt(() => fields(given, 'spec', ['subject', 'ingress', 'egress', ...form.specFields]), {}, cautious);
  // Where it stands is not known: before all others, so that no Pass or Accept of theirs comes first.
  const tier = attempt(() => form.tier(spec), undefined, `it is asked before all others, ${cautious}`);
  const priority = attempt(() => form.priority(spec), askedFirst, `it is asked before all others of its tier, ${cautious}`);
  const everyPod: PodSelection = { namespaces: { labels: [] }, pods: [] };
  const subject = attempt(() => readSubject(spec.subject), everyPod, `it is about every pod, ${cautious}`);
  const rulesOf = (direction: Direction): Rule[] | undefined => {
    const raw = attempt(() => list(spec[direction], `spec.${direction}`), [], 'none of them is known');
    const rules = readRules(raw, direction, problems, (rule, at) => readRule(rule, at, direction, form));
    return rules.length > 0 ? rules : undefined;
  };
  const read = { ingress: rulesOf('ingress'), egress: rulesOf('egress') };
  const why = closed;
  const careful = (rules: Rule[] | undefined): Rule[] | undefined =>
    why === undefined ? rules : rules?.map((rule) => closedByHead(rule, why));
  const rules = { ingress: careful(read.ingress), egress: careful(read.egress) };
  const place = tier === undefined ? { tier: 'Admin' as const, priority: askedFirst } : { tier, priority };
  return { kind: form.kind, name, ...place, subject, rules, problems };
}

function readSubject(value: unknown): PodSelection {
  const [field, inside] = oneField(value, 'spec.subject', ['namespaces', 'pods']);
  if (field === 'pods') return readNamespacedPod(inside, 'spec.subject.pods');
  return { namespaces: { labels: readSelector(inside, 'spec.subject.namespaces') }, pods: [] };
}

function readRule(value: unknown, at: string, direction: Direction, form: ClusterForm): Rule {
  const side = direction === 'ingress' ? 'from' : 'to';
  const found = fields(value, at, ['name', 'action', side, form.portsField]);
  const action = form.action(found.action, `${at}.action`);
  const peers = list(found[side], `${at}.${side}`).map((peer, index) => readPeer(peer, `${at}.${side}[${index}]`, direction));
  if (peers.length === 0) throw new NotUnderstood(`${at}.${side}`, 'a rule needs at least one peer');
  const where = `${at}.${form.portsField}`;
  const ports = list(found[form.portsField], where).map((port, index) => form.readPort(port, `${where}[${index}]`));
  if (found[form.portsField] !== undefined && ports.length === 0)
    throw new NotUnderstood(where, 'an empty list says nothing; leave it out to match all ports');
  if (ports.some(({ kind }) => kind === 'named') && direction === 'egress' && peers.some(({ kind }) => kind !== 'pods'))
    throw new NotUnderstood(where, 'only pods have named ports; networks, nodes and domainNames cannot stand in the same rule');
  if (action !== 'Accept' && peers.some(({ kind }) => kind === 'domains'))
    throw new NotUnderstood(`${at}.${side}`, `domainNames can be accepted only, not be told to ${action}`);
  return {
    at,
    ...(typeof found.name === 'string' ? { name: found.name } : {}),
    action,
    peers,
    ports: ports.length > 0 ? ports : undefined,
  };
}

function readPeer(value: unknown, at: string, direction: Direction): Peer {
  const known = direction === 'ingress' ? ['namespaces', 'pods'] : ['namespaces', 'pods', 'nodes', 'networks', 'domainNames'];
  const [field, inside] = oneField(value, at, known);
  const here = `${at}.${field}`;
  if (field === 'namespaces') return { at, kind: 'pods', namespaces: { labels: readSelector(inside, here) }, pods: [] };
  if (field === 'pods') return { at, kind: 'pods', ...readNamespacedPod(inside, here) };
  if (field === 'nodes') return { at, kind: 'nodes', labels: readSelector(inside, here) };
  const all = list(inside, here);
  if (all.length === 0) throw new NotUnderstood(here, 'an empty list names nothing');
  if (field === 'domainNames')
    return { at, kind: 'domains', names: all.map((one, index) => readDomain(one, `${here}[${index}]`)) };
  return { at, kind: 'networks', cidrs: all.map((one, index) => readCidr(one, `${here}[${index}]`)), except: [] };
}

/** ClusterNetworkPolicyProtocol: a protocol without destinationPort is the whole protocol (CNP4). */
function readProtocolMatch(value: unknown, at: string): PortMatch {
  const [field, inside] = oneField(value, at, ['tcp', 'udp', 'sctp', 'destinationNamedPort']);
  if (field === 'destinationNamedPort') return { kind: 'named', name: text(inside, `${at}.${field}`) };
  const protocol = field.toUpperCase() as 'TCP' | 'UDP' | 'SCTP';
  const { destinationPort } = fields(inside, `${at}.${field}`, ['destinationPort']);
  if (destinationPort === undefined) return wholeProtocol(protocol);
  const here = `${at}.${field}.destinationPort`;
  const [form, port] = oneField(destinationPort, here, ['number', 'range']);
  if (form === 'number') return { kind: 'numbers', protocol, from: readPort(port, `${here}.number`), to: port as number };
  const { start, end } = fields(port, `${here}.range`, ['start', 'end']);
  return { kind: 'numbers', protocol, ...readRange(start, end, `${here}.range`) };
}

/** Both versions: start must be less than end. @throws NotUnderstood */
export function readRange(start: unknown, end: unknown, at: string): { from: number; to: number } {
  const from = readPort(start, `${at}.start`);
  const to = readPort(end, `${at}.end`);
  if (from >= to) throw new NotUnderstood(at, `start ${from} must be less than end ${to}`);
  return { from, to };
}

import type { NetworkPolicy } from '../kube/types.ts';
import { fields, list, NotUnderstood, show, text, wholeNumber } from './fields.ts';
import type { Direction, Peer, PodSelection, Policy, PortMatch, Problem, Rule } from './model.ts';
import { readCidr, readPort, readProtocol, readSelector, wholeProtocol } from './read-parts.ts';
import { closedByHead, readRules } from './read-rules.ts';

/**
 * networking.k8s.io/v1 NetworkPolicy (kubernetes/api networking/v1/types.go). Never throws: what is not understood fails closed and stands in `problems`.
 */
export function readNetworkPolicy({ metadata, spec: given }: NetworkPolicy): Policy {
  const { name, namespace = 'default' } = metadata;
  const problems: Problem[] = [];
  const head = readHead(given, namespace, problems);
  const rulesOf = (direction: Direction, isolates: boolean): Rule[] | undefined => {
    if (!isolates) return undefined;
    let rules: readonly unknown[] = [];
    try {
      rules = list(head.spec[direction], `spec.${direction}`);
    } catch (error) {
      problems.push({ at: `spec.${direction}`, what: (error as Error).message, effect: 'it allows nothing' });
    }
    const read = readRules(rules, direction, problems, (rule, at) => readRule(rule, at, direction, namespace));
    return head.closed === undefined ? read : read.map((rule) => closedByHead(rule, head.closed!));
  };
  const ingress = rulesOf('ingress', head.isolates.ingress);
  const egress = rulesOf('egress', head.isolates.egress);
  return {
    ...{ kind: 'NetworkPolicy', namespace, name, tier: 'NetworkPolicy', priority: 0 },
    ...{ subject: head.subject, rules: { ingress, egress }, problems },
  };
}

interface Head {
  spec: Record<string, unknown>;
  subject: PodSelection;
  isolates: Record<Direction, boolean>;
  /** Why its rules allow nothing. */
  closed?: string;
}

function readHead(given: unknown, namespace: string, problems: Problem[]): Head {
  const own = { name: namespace };
  const spec = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
  const everyPod = { namespaces: own, pods: [] };
  const fail = (error: unknown, effect: string): string => {
    if (!(error instanceof NotUnderstood)) throw error;
    problems.push({ at: error.at, what: error.message, effect });
    return `${error.at}: ${error.message}`;
  };
  let closed: string | undefined;
  let subject: PodSelection = everyPod;
  let isolates = { ingress: true, egress: true };
  try {
    fields(given ?? {}, 'spec', ['podSelector', 'ingress', 'egress', 'policyTypes']);
  } catch (error) {
    closed = fail(error, 'the policy allows nothing');
  }
  try {
    subject = { namespaces: own, pods: readSelector(spec.podSelector ?? {}, 'spec.podSelector') };
  } catch (error) {
    closed = fail(error, `it isolates every pod of namespace ${namespace} and allows nothing`);
  }
  try {
    isolates = readTypes(spec, closed !== undefined, problems);
  } catch (error) {
    closed = fail(error, 'it isolates in both directions and allows nothing');
  }
  return { spec, subject, isolates, ...(closed === undefined ? {} : { closed }) };
}

/** Defaults as the API server's (pkg/apis/networking/v1/defaults.go): Ingress always, Egress when there is an egress rule (NP2). */
function readTypes(spec: Record<string, unknown>, unsure: boolean, problems: Problem[]): Record<Direction, boolean> {
  const types = list(spec.policyTypes, 'spec.policyTypes');
  if (types.length === 0) return { ingress: true, egress: unsure || !isEmpty(spec.egress) };
  const unknown = types.find((type) => type !== 'Ingress' && type !== 'Egress');
  if (unknown !== undefined) throw new NotUnderstood('spec.policyTypes', `expected Ingress, Egress, found ${show(unknown)}`);
  const isolates = { ingress: types.includes('Ingress'), egress: types.includes('Egress') };
  for (const direction of ['ingress', 'egress'] as const)
    if (!isolates[direction] && !isEmpty(spec[direction]))
      problems.push({
        at: `spec.${direction}`,
        what: `policyTypes is ${show(types)}`,
        effect: `the ${direction} rules are not looked at`,
      });
  return isolates;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0);

function readRule(value: unknown, at: string, direction: Direction, namespace: string): Rule {
  const side = direction === 'ingress' ? 'from' : 'to';
  const found = fields(value, at, ['ports', side]);
  const peers = list(found[side], `${at}.${side}`).map((peer, index) => readPeer(peer, `${at}.${side}[${index}]`, namespace));
  const ports = list(found.ports, `${at}.ports`).map((port, index) => readPortMatch(port, `${at}.ports[${index}]`));
  // Empty and missing are the same: not restricted by it (NP4).
  return { at, action: 'Accept', peers: peers.length > 0 ? peers : undefined, ports: ports.length > 0 ? ports : undefined };
}

function readPeer(value: unknown, at: string, namespace: string): Peer {
  const { podSelector, namespaceSelector, ipBlock } = fields(value, at, ['podSelector', 'namespaceSelector', 'ipBlock']);
  if (ipBlock !== undefined) {
    if (podSelector !== undefined || namespaceSelector !== undefined)
      throw new NotUnderstood(at, 'ipBlock stands alone in a peer; a selector beside it has no meaning');
    const { cidr, except } = fields(ipBlock, `${at}.ipBlock`, ['cidr', 'except']);
    const block = readCidr(cidr, `${at}.ipBlock.cidr`);
    const holes = list(except, `${at}.ipBlock.except`).map((one, index) => {
      const here = `${at}.ipBlock.except[${index}]`;
      const hole = readCidr(one, here);
      if (!block.contains(hole)) throw new NotUnderstood(here, `${hole} is not inside of ${block}`);
      return hole;
    });
    return { at, kind: 'networks', cidrs: [block], except: holes };
  }
  if (podSelector === undefined && namespaceSelector === undefined)
    throw new NotUnderstood(at, 'a peer needs podSelector, namespaceSelector or ipBlock');
  return {
    ...{ at, kind: 'pods' },
    namespaces:
      namespaceSelector === undefined
        ? { name: namespace }
        : { labels: readSelector(namespaceSelector, `${at}.namespaceSelector`) },
    pods: podSelector === undefined ? [] : readSelector(podSelector, `${at}.podSelector`),
  };
}

function readPortMatch(value: unknown, at: string): PortMatch {
  const { protocol: given, port, endPort } = fields(value, at, ['protocol', 'port', 'endPort']);
  const protocol = readProtocol(given, `${at}.protocol`);
  if (endPort !== undefined && typeof port !== 'number')
    throw new NotUnderstood(`${at}.endPort`, 'endPort needs a port that is a number');
  if (port === undefined) return wholeProtocol(protocol);
  if (typeof port === 'string') return { kind: 'named', name: text(port, `${at}.port`), protocol };
  const from = readPort(port, `${at}.port`);
  const to = endPort === undefined ? from : wholeNumber(endPort, `${at}.endPort`, from, 65535);
  return { kind: 'numbers', protocol, from, to };
}

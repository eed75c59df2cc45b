import { fromMap, type Requirement, requirement, type Selector } from '../kube/selectors.ts';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { fields, list, NotUnderstood, oneOf, show, text, wholeNumber } from './fields.ts';
import type { DomainPattern, PodSelection, PortMatch, PortProtocol } from './model.ts';
import { portProtocols } from './model.ts';

/**
 * A metav1.LabelSelector that is present: without requirements it selects everything.
 * @throws NotUnderstood on a field or an operator that a LabelSelector does not have
 */
export function readSelector(value: unknown, at: string): Selector {
  const { matchLabels = {}, matchExpressions } = fields(value, at, ['matchLabels', 'matchExpressions']);
  if (typeof matchLabels !== 'object' || Array.isArray(matchLabels))
    throw new NotUnderstood(`${at}.matchLabels`, `expected labels, found ${show(matchLabels)}`);
  const labels: Record<string, string> = {};
  for (const [key, label] of Object.entries(matchLabels as object) as [string, unknown][]) {
    if (typeof label !== 'string') throw new NotUnderstood(`${at}.matchLabels`, `a label is a text, ${key} is ${show(label)}`);
    labels[key] = label;
  }
  const expressions = list(matchExpressions, `${at}.matchExpressions`).map((one, index) =>
    readExpression(one, `${at}.matchExpressions[${index}]`),
  );
  return [...fromMap(labels), ...expressions];
}

function readExpression(value: unknown, at: string): Requirement {
  const { key, operator, values } = fields(value, at, ['key', 'operator', 'values']);
  const known = oneOf(operator, `${at}.operator`, ['In', 'NotIn', 'Exists', 'DoesNotExist']);
  const texts = list(values, `${at}.values`).map((one) => {
    if (typeof one !== 'string') throw new NotUnderstood(`${at}.values`, `a label is a text, not ${show(one)}`);
    return one;
  });
  try {
    return requirement(text(key, `${at}.key`), known, texts);
  } catch (error) {
    if (error instanceof NotUnderstood) throw error;
    throw new NotUnderstood(at, (error as Error).message);
  }
}

/** NamespacedPod of both versions of policy.networking.k8s.io: absent selectors are empty ones. @throws NotUnderstood */
export function readNamespacedPod(value: unknown, at: string): PodSelection {
  const { namespaceSelector, podSelector } = fields(value, at, ['namespaceSelector', 'podSelector']);
  return {
    namespaces: { labels: readSelector(namespaceSelector ?? {}, `${at}.namespaceSelector`) },
    pods: readSelector(podSelector ?? {}, `${at}.podSelector`),
  };
}

/** A CIDR of a policy: host bits are allowed by the API and mean nothing. @throws NotUnderstood */
export function readCidr(value: unknown, at: string): Prefix {
  const cidr = text(value, at);
  const [address = '', length = '', ...more] = cidr.split('/');
  try {
    if (more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length)) throw new SyntaxError('expected ADDRESS/LENGTH');
    return Prefix.of(IpAddr.parse(address), Number(length));
  } catch (error) {
    throw new NotUnderstood(at, `"${cidr}" is no CIDR: ${(error as Error).message}`);
  }
}

export const readProtocol = (value: unknown, at: string): PortProtocol => oneOf(value ?? 'TCP', at, portProtocols);

/** @throws NotUnderstood */
export const readPort = (value: unknown, at: string): number => wholeNumber(value, at, 1, 65535);

/** All ports of a protocol. */
export const wholeProtocol = (protocol: PortProtocol): PortMatch => ({ kind: 'numbers', protocol, from: 0, to: 65535 });

const domain = /^(\*\.)?((?:[a-z0-9](?:[-a-z0-9_]*[a-z0-9])?\.)+[a-z0-9](?:[-a-z0-9_]*[a-z0-9])?)\.?$/;

/** DomainName of v1alpha2: exact, or `*.` before a name for all names below it. @throws NotUnderstood */
export function readDomain(value: unknown, at: string): DomainPattern {
  const found = domain.exec(text(value, at).toLowerCase());
  if (!found) throw new NotUnderstood(at, `${show(value)} is no domain name; "*." may stand before one, and nowhere else`);
  return { name: found[2]!, wildcard: found[1] !== undefined };
}

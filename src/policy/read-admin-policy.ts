import { fields, oneField, oneOf, text, wholeNumber } from './fields.ts';
import type { Action, Policy, PortMatch } from './model.ts';
import { readClusterPolicy, readRange, type UncheckedObject } from './read-cluster-policy.ts';
import { readPort, readProtocol } from './read-parts.ts';

/** policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy: the Admin tier, `Allow` for Accept. Never throws. */
export const readAdminNetworkPolicy = (object: UncheckedObject): Policy =>
  readClusterPolicy(object, {
    ...{ kind: 'AdminNetworkPolicy', specFields: ['priority'], portsField: 'ports', readPort: readAdminPort },
    tier: () => 'Admin',
    priority: ({ priority }) => wholeNumber(priority, 'spec.priority', 0, 1000),
    action: (value, at) => accept(oneOf(value, at, ['Allow', 'Deny', 'Pass'])),
  });

/** policy.networking.k8s.io/v1alpha1 BaselineAdminNetworkPolicy: the Baseline tier, no priority, no Pass. Never throws. */
export const readBaselineAdminNetworkPolicy = (object: UncheckedObject): Policy =>
  readClusterPolicy(object, {
    ...{ kind: 'BaselineAdminNetworkPolicy', specFields: [], portsField: 'ports', readPort: readAdminPort },
    tier: () => 'Baseline',
    priority: () => 0,
    action: (value, at) => accept(oneOf(value, at, ['Allow', 'Deny'])),
  });

const accept = (action: 'Allow' | 'Deny' | 'Pass'): Action => (action === 'Allow' ? 'Accept' : action);

/** AdminNetworkPolicyPort: protocol absent is TCP. */
function readAdminPort(value: unknown, at: string): PortMatch {
  const [field, inside] = oneField(value, at, ['portNumber', 'namedPort', 'portRange']);
  const here = `${at}.${field}`;
  if (field === 'namedPort') return { kind: 'named', name: text(inside, here) };
  if (field === 'portNumber') {
    const { protocol, port } = fields(inside, here, ['protocol', 'port']);
    const number = readPort(port, `${here}.port`);
    return { kind: 'numbers', protocol: readProtocol(protocol, `${here}.protocol`), from: number, to: number };
  }
  const { protocol, start, end } = fields(inside, here, ['protocol', 'start', 'end']);
  return { kind: 'numbers', protocol: readProtocol(protocol, `${here}.protocol`), ...readRange(start, end, here) };
}

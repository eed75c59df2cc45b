import type { NetworkPolicy } from '../kube/types.ts';
import type { Policy } from './model.ts';
import { readAdminNetworkPolicy, readBaselineAdminNetworkPolicy } from './read-admin-policy.ts';
import { readClusterNetworkPolicy, type UncheckedObject } from './read-cluster-policy.ts';
import { readNetworkPolicy } from './read-network-policy.ts';

/** An object as a manifest or an API has it. */
export interface AnyObject extends UncheckedObject {
  apiVersion?: string;
  kind?: string;
  metadata: UncheckedObject['metadata'] & { namespace?: string };
}

const readers: Readonly<Record<string, (object: AnyObject) => Policy>> = {
  'networking.k8s.io/v1 NetworkPolicy': (object) => readNetworkPolicy(object as NetworkPolicy),
  'policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy': readClusterNetworkPolicy,
  'policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy': readAdminNetworkPolicy,
  'policy.networking.k8s.io/v1alpha1 BaselineAdminNetworkPolicy': readBaselineAdminNetworkPolicy,
};

/** The policy that an object is; `undefined` of one that is none, or of a version that is not known. */
export function readPolicy(object: AnyObject): Policy | undefined {
  const name = `${object.apiVersion} ${object.kind}`;
  return Object.hasOwn(readers, name) ? readers[name]!(object) : undefined;
}

/** Whether an object is of a kind that limits traffic, in whatever version or by whatever vendor. */
export const isPolicyKind = ({ kind = '' }: AnyObject): boolean => kind.endsWith('NetworkPolicy');

/** A total order that does not depend on the order of objects: by priority, then kind, namespace and name (CNP7). */
export const comparePolicies = (a: Policy, b: Policy): number =>
  a.priority - b.priority || text(a.name, b.name) || text(a.kind, b.kind) || text(a.namespace ?? '', b.namespace ?? '');

const text = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

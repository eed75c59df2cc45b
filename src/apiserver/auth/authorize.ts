import { ClusterRoleBindings, ClusterRoles, RoleBindings, Roles } from '../../kube/resources.ts';
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '../../kube/types.ts';
import { as } from '../object.ts';
import type { Store } from '../store/store.ts';
import { builtInRules } from './built-in.ts';
import { mastersGroup, type User } from './user.ts';

/** What somebody wants to do. */
export type Action =
  | { verb: string; group: string; resource: string; subresource?: string; namespace?: string; name?: string }
  | { verb: string; path: string };

/** Role-based access control over the roles that are stored, and a few that are built in. */
export class Authorizer {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  allows(user: User, action: Action): boolean {
    if (user.groups.includes(mastersGroup)) return true;
    const namespace = 'path' in action ? undefined : action.namespace;
    return this.rulesFor(user, namespace).some((rule) => permits(rule, action));
  }

  /** All that a user may do, in the cluster and in a namespace. */
  rulesFor(user: User, namespace: string | undefined): PolicyRule[] {
    const rules = builtInRules(user);
    if (user.groups.includes(mastersGroup))
      rules.push({ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, { verbs: ['*'], nonResourceURLs: ['*'] });
    for (const { object } of this.#store.all(ClusterRoleBindings)) {
      const { subjects, roleRef } = as<ClusterRoleBinding>(object);
      if (subjects?.some((subject) => isSubject(subject, user)))
        rules.push(...this.#rulesOf(roleRef.kind, roleRef.name, undefined));
    }
    if (namespace === undefined) return rules;
    for (const { object } of this.#store.all(RoleBindings, namespace)) {
      const { subjects, roleRef } = as<RoleBinding>(object);
      if (subjects?.some((subject) => isSubject(subject, user, namespace)))
        rules.push(...this.#rulesOf(roleRef.kind, roleRef.name, namespace));
    }
    return rules;
  }

  #rulesOf(kind: string, name: string, namespace: string | undefined): PolicyRule[] {
    const entry =
      kind === 'ClusterRole' ? this.#store.get(ClusterRoles, undefined, name) : this.#store.get(Roles, namespace, name);
    return entry ? (as<Role | ClusterRole>(entry.object).rules ?? []) : [];
  }
}

function isSubject(subject: Subject, user: User, namespace?: string): boolean {
  if (subject.kind === 'User') return subject.name === user.name;
  if (subject.kind === 'Group') return user.groups.includes(subject.name);
  return user.name === `system:serviceaccount:${subject.namespace ?? namespace}:${subject.name}`;
}

const names = (allowed: readonly string[] | undefined, wanted: string): boolean =>
  allowed !== undefined && (allowed.includes('*') || allowed.includes(wanted));

function permits(rule: PolicyRule, action: Action): boolean {
  if (!names(rule.verbs, action.verb)) return false;
  if ('path' in action)
    return (rule.nonResourceURLs ?? []).some(
      (url) => url === action.path || (url.endsWith('*') && action.path.startsWith(url.slice(0, -1))),
    );
  const full = action.subresource ? `${action.resource}/${action.subresource}` : action.resource;
  const resource =
    names(rule.resources, full) || (action.subresource !== undefined && names(rule.resources, `*/${action.subresource}`));
  if (!names(rule.apiGroups, action.group) || !resource) return false;
  return !rule.resourceNames?.length || (action.name !== undefined && rule.resourceNames.includes(action.name));
}

/** Why somebody may not, as the real server words it. */
export function refusal(user: User, action: Action): string {
  if ('path' in action) return `User "${user.name}" cannot ${action.verb} path "${action.path}"`;
  const { verb, group, resource, subresource, namespace } = action;
  const full = subresource ? `${resource}/${subresource}` : resource;
  const where = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  return `User "${user.name}" cannot ${verb} resource "${full}" in API group "${group}" ${where}`;
}

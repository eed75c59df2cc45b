import type { PolicyRule } from '../../kube/types.ts';
import { authenticatedGroup, type User } from './user.ts';

/** What everybody with a name may do: look around and ask who they are. */
const everybody: PolicyRule[] = [
  {
    verbs: ['get'],
    nonResourceURLs: [
      '/api',
      '/api/*',
      '/apis',
      '/apis/*',
      '/openapi',
      '/openapi/*',
      '/version',
      '/healthz',
      '/healthz/*',
      '/livez',
      '/livez/*',
      '/readyz',
      '/readyz/*',
    ],
  },
  { verbs: ['create'], apiGroups: ['authorization.k8s.io'], resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'] },
  { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
];

const reading = ['get', 'list', 'watch'];
const writing = ['create', 'update', 'patch', 'delete'];

/** What a node's agent and runner need: to read all, and to write about the node and its pods. */
const nodes: PolicyRule[] = [
  { verbs: reading, apiGroups: ['*'], resources: ['*'] },
  { verbs: writing, apiGroups: [''], resources: ['nodes', 'nodes/status', 'pods', 'pods/status', 'events'] },
  { verbs: ['create'], apiGroups: [''], resources: ['pods/eviction', 'serviceaccounts/token'] },
  { verbs: writing, apiGroups: ['events.k8s.io'], resources: ['events'] },
  { verbs: writing, apiGroups: ['coordination.k8s.io'], resources: ['leases'] },
];

const nodesGroup = 'system:nodes';

export function builtInRules(user: User): PolicyRule[] {
  const rules: PolicyRule[] = [];
  if (user.groups.includes(authenticatedGroup)) rules.push(...everybody);
  if (user.groups.includes(nodesGroup)) rules.push(...nodes);
  return rules;
}

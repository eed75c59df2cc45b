import type { KubeObject, Resource } from '../kube/api.ts';

const define = (version: string, kind: string, plural: string): Resource<KubeObject> => ({
  ...{ group: 'policy.networking.k8s.io', version, kind, plural, namespaced: false },
});

/** Cluster-wide policies: the embedded API has them, any other when their CustomResourceDefinitions are installed. Their specs are read by `readPolicy`, unchecked. */
export const clusterPolicyResources: readonly Resource<KubeObject>[] = [
  define('v1alpha2', 'ClusterNetworkPolicy', 'clusternetworkpolicies'),
  define('v1alpha1', 'AdminNetworkPolicy', 'adminnetworkpolicies'),
  define('v1alpha1', 'BaselineAdminNetworkPolicy', 'baselineadminnetworkpolicies'),
];

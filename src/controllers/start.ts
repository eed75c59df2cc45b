import type { Api, Resource } from '../kube/api.ts';
import { allResources } from '../kube/resources.ts';
import { type ClusterDnsOptions, clusterDnsController } from './cluster-dns.ts';
import { type Context, type Running, SharedInformers } from './context.ts';
import { daemonSetController } from './daemonset/controller.ts';
import { deploymentController } from './deployment/controller.ts';
import { endpointsController } from './endpoints/legacy-controller.ts';
import { mirroringControllerOf } from './endpoints/mirror-controller.ts';
import { endpointSliceController } from './endpoints/slice-controller.ts';
import { garbageCollector } from './garbage-collector.ts';
import { type LoadBalancerOptions, loadBalancerController } from './load-balancer/controller.ts';
import { namespaceController } from './namespace.ts';
import { type NodeIpamOptions, nodeIpamController } from './node-ipam/controller.ts';
import { type NodeLifecycleOptions, nodeLifecycleController } from './node-lifecycle.ts';
import { type PodGcOptions, podGcController } from './pod-gc.ts';
import { policyStatusController } from './policy-status.ts';
import { replicaSetController, replicationController } from './replicas/controller.ts';
import { scheduler } from './scheduler/controller.ts';
import { type ServiceAccountOptions, serviceAccountController } from './service-account.ts';
import { serviceCidrController } from './service-ips/cidr-controller.ts';
import { serviceIpRepairController } from './service-ips/repair-controller.ts';
import { statefulSetController } from './statefulset/controller.ts';

export interface ControllersOptions extends NodeIpamOptions, ServiceAccountOptions {
  /** Everything the server serves, for garbage collection and namespace deletion. All that podnet knows unless said. */
  resources?: readonly Resource[];
  dns?: ClusterDnsOptions;
  nodeLifecycle?: NodeLifecycleOptions;
  podGc?: PodGcOptions;
  maxEndpointsPerSlice?: number;
  /** The API server keeps IPAddress objects, as kube-apiserver does; models for tests do not. */
  serviceIps?: boolean;
  /** Without it nobody gives load balancers addresses. */
  loadBalancer?: LoadBalancerOptions;
  /** Milliseconds since 1970. */
  now?: () => number;
  onError?: (controller: string, key: string, error: Error) => void;
}

/** Every controller, by the name that `--controllers` of kube-controller-manager would have. */
const controllers: Record<string, (context: Context, options: ControllersOptions) => Running | undefined> = {
  'node-ipam-controller': nodeIpamController,
  scheduler,
  'replicaset-controller': replicaSetController,
  'replicationcontroller-controller': replicationController,
  'deployment-controller': deploymentController,
  'daemonset-controller': daemonSetController,
  'statefulset-controller': statefulSetController,
  'endpointslice-controller': (context, options) => endpointSliceController(context, options.maxEndpointsPerSlice),
  'endpoints-controller': endpointsController,
  'endpointslice-mirroring-controller': mirroringControllerOf,
  'serviceaccount-controller': serviceAccountController,
  'namespace-controller': (context, options) => namespaceController(context, options.resources ?? allResources),
  'garbage-collector-controller': (context, options) => garbageCollector(context, options.resources ?? allResources),
  'pod-garbage-collector-controller': (context, options) => podGcController(context, options.podGc),
  'node-lifecycle-controller': (context, options) => nodeLifecycleController(context, options.nodeLifecycle),
  'service-lb-controller': (context, options) => options.loadBalancer && loadBalancerController(context, options.loadBalancer),
  'service-cidr-controller': (context, options) => (options.serviceIps ? serviceCidrController(context) : undefined),
  'service-ip-repair-controller': (context, options) => (options.serviceIps ? serviceIpRepairController(context) : undefined),
  'policy-status-controller': policyStatusController,
  'cluster-dns-controller': (context, options) => clusterDnsController(context, options.dns),
};

/**
 * Starts all controllers of the lab's control plane on one set of caches. `ready` rejects on what is fatal at a start, such as a node with a pod
 * CIDR that cannot be (PC4).
 */
export function startControllers(api: Api, options: ControllersOptions): Running {
  const onError = options.onError ?? (() => {});
  const informers = new SharedInformers(api, (resource, error) => onError('informer', resource.plural, error));
  const context: Context = { api, informers, now: options.now ?? Date.now, onError };
  const running = Object.values(controllers).flatMap((start) => start(context, options) ?? []);
  return {
    ready: Promise.all(running.map(({ ready }) => ready)).then(() => undefined),
    stop() {
      for (const one of running) one.stop();
      informers.stop();
    },
  };
}

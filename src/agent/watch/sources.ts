import type { Api } from '../../kube/api.ts';
import { Informer } from '../../kube/informer.ts';
import { EndpointSlices, Nodes, Services } from '../../kube/resources.ts';
import type { EndpointSlice, Node, Service } from '../../kube/types.ts';
import { PolicySources, type PolicySourcesOptions } from '../policy/sources.ts';
import type { AgentStatus } from '../status.ts';
import { ServiceCidrSource } from './service-cidrs.ts';
import { type NodeView, nodeView, servicesWanted, serviceView, slicesWanted, sliceView } from './views.ts';

type AnyInformer = Pick<Informer<Node>, 'start' | 'stop' | 'synced' | 'isSynced' | 'size' | 'error' | 'resource'>;

/** The caches that a node's network is planned from. */
export class Sources implements Disposable {
  readonly nodes: Informer<Node, NodeView>;
  readonly services: Informer<Service>;
  readonly slices: Informer<EndpointSlice>;
  readonly serviceCidrs: ServiceCidrSource;
  readonly policy: PolicySources;

  /**
   * @param nodeName of this node
   * @param formerKinds of which policies the kernel holds what followed from them before this start
   */
  constructor(api: Api, nodeName: string, onError: (kind: string, error: Error) => void, formerKinds?: PolicySourcesOptions['formerKinds']) {
    const told = (kind: string) => ({ onError: (error: Error) => onError(kind, error) });
    this.nodes = new Informer(api, Nodes, { project: nodeView, ...told('nodes') });
    this.services = new Informer(api, Services, { labelSelector: servicesWanted, project: serviceView, ...told('services') });
    this.slices = new Informer(api, EndpointSlices, {
      ...{ labelSelector: slicesWanted, project: sliceView },
      ...told('endpointslices'),
    });
    this.serviceCidrs = new ServiceCidrSource(api, told('servicecidrs').onError);
    this.policy = new PolicySources(api, { nodeName, onError, ...(formerKinds ? { formerKinds } : {}) });
  }

  start(): void {
    for (const informer of this.#all) informer.start();
    this.policy.start();
  }

  get synced(): Promise<unknown> {
    return Promise.all([
      ...[this.nodes.synced, this.services.synced, this.slices.synced],
      ...[this.serviceCidrs.known, this.policy.known],
    ]);
  }

  get isSynced(): boolean {
    return this.#told.every((informer) => informer.isSynced) && this.policy.isSynced;
  }

  describe(): AgentStatus['sources'] {
    const all: readonly AnyInformer[] = [...this.#told, ...(this.policy.informers as unknown as AnyInformer[])];
    return all.map((informer) => ({
      ...{ kind: informer.resource.plural, synced: informer.isSynced, objects: informer.size },
      ...(informer.error ? { error: informer.error.message } : {}),
    }));
  }

  [Symbol.dispose](): void {
    for (const informer of this.#all) informer.stop();
    this.policy[Symbol.dispose]();
  }

  /** Without those that the API does not have. */
  get #told(): readonly AnyInformer[] {
    return this.serviceCidrs.isAbsent ? this.#all.slice(0, -1) : this.#all;
  }

  get #all(): readonly AnyInformer[] {
    return [this.nodes, this.services, this.slices, this.serviceCidrs.informer] as never;
  }
}

import type { Api } from '../kube/api.ts';
import { Informer } from '../kube/informer.ts';
import { EndpointSlices, Nodes, Services } from '../kube/resources.ts';
import type { EndpointSlice, Node, Service } from '../kube/types.ts';
import type { AgentStatus } from './status.ts';
import { type NodeView, nodeView, servicesWanted, serviceView, slicesWanted, sliceView } from './views.ts';

/** The caches that a node's network is planned from. */
export class Sources implements Disposable {
  readonly nodes: Informer<Node, NodeView>;
  readonly services: Informer<Service>;
  readonly slices: Informer<EndpointSlice>;

  constructor(api: Api, onError: (kind: string, error: Error) => void) {
    const told = (kind: string) => ({ onError: (error: Error) => onError(kind, error) });
    this.nodes = new Informer(api, Nodes, { project: nodeView, ...told('nodes') });
    this.services = new Informer(api, Services, { labelSelector: servicesWanted, project: serviceView, ...told('services') });
    this.slices = new Informer(api, EndpointSlices, {
      ...{ labelSelector: slicesWanted, project: sliceView },
      ...told('endpointslices'),
    });
  }

  start(): void {
    for (const informer of this.#all) informer.start();
  }

  get synced(): Promise<unknown> {
    return Promise.all(this.#all.map((informer) => informer.synced));
  }

  get isSynced(): boolean {
    return this.#all.every((informer) => informer.isSynced);
  }

  describe(): AgentStatus['sources'] {
    return this.#all.map((informer) => ({
      ...{ kind: informer.resource.plural, synced: informer.isSynced, objects: informer.size },
      ...(informer.error ? { error: informer.error.message } : {}),
    }));
  }

  [Symbol.dispose](): void {
    for (const informer of this.#all) informer.stop();
  }

  get #all(): readonly Pick<Informer<Node>, 'start' | 'stop' | 'synced' | 'isSynced' | 'size' | 'error' | 'resource'>[] {
    return [this.nodes, this.services, this.slices] as never;
  }
}

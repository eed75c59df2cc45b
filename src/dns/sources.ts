import type { Api, KubeObject, Resource } from '../kube/api.ts';
import { Informer } from '../kube/informer.ts';
import { EndpointSlices, Namespaces, Pods, Services } from '../kube/resources.ts';
import type { ClusterZone } from './zone/cluster.ts';
import { namespaceFacts, podFacts, serviceFacts, serviceNameLabel, sliceFacts } from './zone/facts.ts';

/** Keeps a ClusterZone equal to the cluster. While the API server cannot be reached, the zone stays as it was. */
export class Sources implements Disposable {
  readonly #all: { kind: string; informer: Informer<KubeObject, unknown> }[] = [];

  constructor(api: Api, zone: ClusterZone, { pods, onError }: { pods: boolean; onError?: (kind: string, error: Error) => void }) {
    const follow = <O extends KubeObject, T>(
      resource: Resource<O>,
      project: (object: O) => T,
      set: (key: string, facts: T | undefined) => void,
      labelSelector?: string,
    ): void => {
      const informer = new Informer<O, T>(api, resource, {
        ...{ project, labelSelector },
        onChange: (changes) => {
          for (const { type, key, object } of changes) set(key, type === 'deleted' ? undefined : object);
        },
        onError: (error) => onError?.(resource.kind, error),
      });
      this.#all.push({ kind: resource.kind, informer: informer as unknown as Informer<KubeObject, unknown> });
    };
    follow(Namespaces, namespaceFacts, (key, facts) => zone.namespace(key, facts));
    follow(Services, serviceFacts, (key, facts) => zone.service(key, facts));
    follow(EndpointSlices, sliceFacts, (key, facts) => zone.slice(key, facts), serviceNameLabel);
    if (pods) follow(Pods, podFacts, (key, facts) => zone.pod(key, facts));
  }

  start(): void {
    for (const { informer } of this.#all) informer.start();
  }

  /** All have been complete at least once (D16). */
  get isSynced(): boolean {
    return this.#all.every(({ informer }) => informer.isSynced);
  }

  get synced(): Promise<void> {
    return Promise.all(this.#all.map(({ informer }) => informer.synced)).then(() => undefined);
  }

  describe(): { kind: string; synced: boolean; objects: number; error?: string }[] {
    return this.#all.map(({ kind, informer }) => ({
      ...{ kind, synced: informer.isSynced, objects: informer.size },
      ...(informer.error ? { error: informer.error.message } : {}),
    }));
  }

  [Symbol.dispose](): void {
    for (const { informer } of this.#all) informer.stop();
  }
}

import type { Api, KubeObject, Resource } from '../kube/api.ts';
import { Informer } from '../kube/informer.ts';
import { EndpointSlices, Namespaces, Pods, Services } from '../kube/resources.ts';
import type { ClusterZone } from './zone/cluster.ts';
import { namespaceFacts, podFacts, serviceFacts, serviceNameLabel, sliceFacts } from './zone/facts.ts';

/** What is known of one object, as plain data (facts.ts). */
export type Fact = readonly [kind: string, key: string, facts: unknown];

interface Followed {
  kind: string;
  informer: Informer<KubeObject, unknown>;
  set(key: string, facts: unknown): void;
  /** Keys that another process knew, and the API server has not told of yet. */
  remembered: Set<string>;
}

export interface SourcesOptions {
  pods: boolean;
  /** Endpoints without a hostname are named as their pods. */
  endpointPodNames?: boolean;
  onError?: (kind: string, error: Error) => void;
}

/** Keeps a ClusterZone equal to the cluster. While the API server cannot be reached, the zone stays as it was. */
export class Sources implements Disposable {
  readonly #all: Followed[] = [];
  /** Counts what has changed. */
  changes = 0;

  constructor(api: Api, zone: ClusterZone, { pods, endpointPodNames = false, onError }: SourcesOptions) {
    const follow = <O extends KubeObject, T>(
      resource: Resource<O>,
      project: (object: O) => T,
      set: (key: string, facts: T | undefined) => void,
      labelSelector?: string,
    ): void => {
      const remembered = new Set<string>();
      const informer = new Informer<O, T>(api, resource, {
        ...{ project, labelSelector },
        onChange: (changes) => {
          this.changes += changes.length;
          for (const { type, key, object } of changes) set(key, type === 'deleted' ? undefined : object);
        },
        onError: (error) => onError?.(resource.kind, error),
      });
      void informer.synced.then(() => {
        for (const key of remembered) if (informer.get(key) === undefined) set(key, undefined);
        remembered.clear();
      });
      this.#all.push({
        ...{ kind: resource.kind, informer: informer as unknown as Informer<KubeObject, unknown>, remembered },
        set: (key, facts) => set(key, facts as T),
      });
    };
    follow(Namespaces, namespaceFacts, (key, facts) => zone.namespace(key, facts));
    follow(Services, serviceFacts, (key, facts) => zone.service(key, facts));
    follow(EndpointSlices, (slice) => sliceFacts(slice, endpointPodNames), (key, facts) => zone.slice(key, facts), serviceNameLabel);
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

  /** All that the API server has told. When it is walked over a while, it is that of several moments. */
  *facts(): Generator<Fact> {
    for (const { kind, informer } of this.#all) {
      for (const key of [...informer.keys()]) {
        const facts = informer.get(key);
        if (facts !== undefined) yield [kind, key, facts];
      }
    }
  }

  /** Takes what another process knew for true, until the API server has told all of that kind. */
  remember(facts: Iterable<Fact>): void {
    const byKind = new Map(this.#all.map((followed) => [followed.kind, followed]));
    for (const [kind, key, known] of facts) {
      const followed = byKind.get(kind);
      if (!followed || followed.informer.isSynced || followed.informer.get(key) !== undefined) continue;
      followed.remembered.add(key);
      followed.set(key, known);
    }
  }

  /** None of them fails at the moment: what is known is what is. */
  get isCurrent(): boolean {
    return this.#all.every(({ informer }) => informer.isSynced && informer.error === undefined);
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

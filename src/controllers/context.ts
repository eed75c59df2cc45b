import type { Api, KubeObject, Resource } from '../kube/api.ts';
import { EventRecorder } from '../kube/events.ts';
import { Informer } from '../kube/informer.ts';
import { controllerOf } from '../kube/objects.ts';
import { qualifiedName } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { WorkQueue, type WorkQueueOptions } from './queue.ts';

/** What every controller is given. */
export interface Context {
  api: Api;
  /** One cache for each resource, shared by all controllers. */
  informers: SharedInformers;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Errors of single keys, which are tried again. */
  onError: (controller: string, key: string, error: Error) => void;
}

/** A running controller. */
export interface Running {
  stop(): void;
  /** Fulfilled when its caches are filled and it works. */
  ready: Promise<void>;
}

export class SharedInformers {
  readonly #api: Api;
  readonly #informers = new Map<string, Informer<KubeObject, unknown>>();
  readonly #onError: (resource: Resource, error: Error) => void;

  constructor(api: Api, onError: (resource: Resource, error: Error) => void = () => {}) {
    this.#api = api;
    this.#onError = onError;
  }

  /** The cache of whole objects; started when first asked for. */
  of<T extends KubeObject>(resource: Resource<T>): Informer<T> {
    return this.#get(qualifiedName(resource), () => new Informer(this.#api, resource, this.#common(resource)));
  }

  /** A cache of a projection, under a name of its own. */
  projected<O extends KubeObject, T>(name: string, resource: Resource<O>, project: (object: O) => T): Informer<O, T> {
    return this.#get(
      `${name} ${qualifiedName(resource)}`,
      () => new Informer(this.#api, resource, { ...this.#common(resource), project }),
    );
  }

  stop(): void {
    for (const informer of this.#informers.values()) informer.stop();
  }

  #common(resource: Resource) {
    return { backoffMs: { first: 20, longest: 5000 }, onError: (error: Error) => this.#onError(resource, error) };
  }

  #get<O extends KubeObject, T>(name: string, make: () => Informer<O, T>): Informer<O, T> {
    let informer = this.#informers.get(name) as unknown as Informer<O, T> | undefined;
    if (!informer) {
      informer = make();
      this.#informers.set(name, informer as unknown as Informer<KubeObject, unknown>);
      informer.start();
    }
    return informer;
  }
}

export interface ControllerParts {
  name: string;
  /** Nothing runs before these caches are filled. */
  informers: readonly { synced: Promise<void> }[];
  work: WorkQueueOptions['work'];
  concurrency?: number;
  onStop?: () => void;
}

/** A work queue that begins when the caches are filled. Subscribe to the caches after this, with `queue.add`. */
export function controller(context: Context, parts: ControllerParts): Running & { queue: WorkQueue; events: EventRecorder } {
  const queue = new WorkQueue({
    work: parts.work,
    concurrency: parts.concurrency,
    onError: (key, error) => context.onError(parts.name, key, error),
  });
  const events = new EventRecorder(context.api, {
    component: parts.name,
    now: context.now,
    onError: (error) => context.onError(parts.name, 'event', error),
  });
  const ready = Promise.all(parts.informers.map(({ synced }) => synced)).then(() => queue.start());
  return {
    queue,
    events,
    ready,
    stop() {
      queue.stop();
      parts.onStop?.();
    },
  };
}

/** The pods' cache with the indexes that controllers share: `owner` (uid of the controller, or `namespace/` of orphans), `namespace`, `node`. */
export function indexedPods(informers: SharedInformers, pods: Resource<Pod>): Informer<Pod> {
  const informer = informers.of(pods);
  informer.addIndex('owner', ownerIndex);
  informer.addIndex('namespace', ({ metadata }) => [metadata.namespace ?? '']);
  informer.addIndex('node', ({ spec }) => [spec?.nodeName ?? '']);
  return informer;
}

/** Index values: the uid of the controller, or for an orphan its namespace and a slash (no uid ends so). */
export const ownerIndex = (object: KubeObject): string[] => [controllerOf(object)?.uid ?? `${object.metadata.namespace ?? ''}/`];

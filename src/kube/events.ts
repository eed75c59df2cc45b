import { type Api, isNotFound, type KubeObject, type Resource } from './api.ts';
import { kubeTime, objectRef } from './objects.ts';
import { Events } from './resources.ts';
import type { Event } from './types.ts';

export interface EventRecorderOptions {
  /** `source.component`: who tells, e.g. `kubelet`. */
  component: string;
  /** `source.host`: the node that tells. */
  host?: string;
  now?: () => number;
  onError?: (error: Error) => void;
}

/** How many different events are remembered for counting. */
const remembered = 4096;

/**
 * Writes Kubernetes Events: what a person sees in `kubectl describe`. The same event again raises the count of the one that stands.
 * Never in the way: it returns at once, writes one event at a time, and a failed write is only reported.
 */
export class EventRecorder {
  readonly #api: Api;
  readonly #options: EventRecorderOptions;
  readonly #known = new Map<string, Event>();
  #queue: Promise<void> = Promise.resolve();
  #sequence = 0;

  constructor(api: Api, options: EventRecorderOptions) {
    this.#api = api;
    this.#options = options;
  }

  /** @param reason short and machine-readable, e.g. `FailedScheduling` */
  event(resource: Resource, object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const involvedObject = objectRef(resource, object);
    this.#queue = this.#queue.then(() =>
      this.#write({ involvedObject, type, reason, message }).catch((error: Error) => this.#options.onError?.(error)),
    );
  }

  /** Waits until all told so far is written. */
  flushed(): Promise<void> {
    return this.#queue;
  }

  async #write(told: Pick<Event, 'involvedObject' | 'type' | 'reason' | 'message'>): Promise<void> {
    const nowMs = (this.#options.now ?? Date.now)();
    const now = kubeTime(nowMs);
    const { kind, namespace = 'default', name = '', uid } = told.involvedObject;
    const identity = JSON.stringify([kind, namespace, name, uid, told.type, told.reason, told.message]);
    const known = this.#known.get(identity);
    if (known) {
      const patch = { count: (known.count ?? 1) + 1, lastTimestamp: now };
      try {
        this.#remember(identity, await this.#api.patch(Events, known.metadata.name, namespace, patch, 'merge'));
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error; // it has expired: begin anew
      }
    }
    // client-go's way to name them: the object and a time in hex; the sequence keeps those of one millisecond apart.
    const suffix = (BigInt(nowMs) * 1_000_000n + BigInt(this.#sequence++ % 1_000_000)).toString(16);
    const event: Event = {
      metadata: { name: `${name}.${suffix}`, namespace },
      ...told,
      source: { component: this.#options.component, ...(this.#options.host ? { host: this.#options.host } : {}) },
      reportingComponent: this.#options.component,
      ...(this.#options.host ? { reportingInstance: this.#options.host } : {}),
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
    this.#remember(identity, await this.#api.create(Events, event));
  }

  #remember(identity: string, event: Event): void {
    this.#known.delete(identity);
    this.#known.set(identity, event);
    if (this.#known.size > remembered) this.#known.delete(this.#known.keys().next().value!);
  }
}

import type { Api, ApiError, KubeObject, Resource } from '../../kube/api.ts';
import { Informer } from '../../kube/informer.ts';
import { apiVersionOf, Namespaces, NetworkPolicies, Pods } from '../../kube/resources.ts';
import type { Namespace, Pod } from '../../kube/types.ts';
import type { Policy } from '../../policy/model.ts';
import { type AnyObject, readPolicy } from '../../policy/policies.ts';
import { clusterPolicyResources } from '../../policy/resources.ts';
import { isUnsaid } from '../../policy/status.ts';
import { type Labels, labelsOfNamespace } from '../../policy/world.ts';
import { OptionalSource } from '../watch/optional-source.ts';
import { type PodView, podView } from '../watch/pod-view.ts';

/** The pods and namespaces of the cluster, which only policies ask for. */
export interface PolicyWorld {
  pods: Informer<Pod, PodView>;
  namespaces: Informer<Namespace, Labels>;
}

export interface PolicySourcesOptions {
  nodeName: string;
  onError: (kind: string, error: Error) => void;
  /** So long after the last policy is gone the world is still watched. */
  lingerMs?: number;
  /** Plurals of the kinds of which there were policies before this start: that there are none now is to be said twice, too. Undefined: there were none; empty: nobody knows. */
  formerKinds?: () => ReadonlySet<string> | undefined;
  /** So much later a server that says all at once that there is nothing of a kind is asked once more, and believed then (F13). */
  confirmEmptyMs?: number;
}

/**
 * What policies follow from. Policies of every kind are always watched; those of CustomResourceDefinitions need not be there. Pods and namespaces are watched
 * while there is a policy: an agent of a cluster without any hears of none of its thousands of pods. The first policy costs one list of them, and CNI ADD waits for
 * that.
 */
export class PolicySources implements Disposable {
  readonly #api: Api;
  readonly #options: PolicySourcesOptions;
  readonly #networkPolicies: Informer<KubeObject, Policy>;
  readonly #clusterPolicies: readonly OptionalSource<KubeObject, Policy>[];
  #world: PolicyWorld | undefined;
  #linger: NodeJS.Timeout | undefined;
  #confirming: NodeJS.Timeout | undefined;
  #isSynced = false;
  /** Of the policies those on which something is to be said: it shows in the objects, which are not kept. */
  readonly unsaid = new WeakSet<Policy>();
  /** Fulfilled when all is known that a start needs: the policies and, if there are any, the world. */
  readonly known: Promise<void>;

  constructor(api: Api, options: PolicySourcesOptions) {
    this.#api = api;
    this.#options = options;
    const { onError } = options;
    this.#networkPolicies = new Informer(api, NetworkPolicies as Resource<KubeObject>, {
      project: this.#viewOf(NetworkPolicies as Resource<KubeObject>),
      onError: (error) => onError('networkpolicies', error),
      confirmEmptyMs: this.#confirmEmptyMs,
    });
    // That they are forbidden to be seen does not mean that there are none.
    this.#clusterPolicies = clusterPolicyResources.map(
      (resource) =>
        new OptionalSource(api, resource, {
          ...{ project: this.#viewOf(resource), absentCodes: [404], confirmEmptyMs: this.#confirmEmptyMs },
          // Most clusters have not installed them.
          onError: (error) => (error as ApiError).code !== 404 && onError(resource.plural, error),
        }),
    );
    this.known = this.#learn();
  }

  start(): void {
    for (const informer of this.policies) informer.start();
  }

  /** Of every kind. */
  get policies(): readonly Informer<KubeObject, Policy>[] {
    return [this.#networkPolicies, ...this.#clusterPolicies.map(({ informer }) => informer)];
  }

  /** How many there are. */
  get count(): number {
    return this.policies.reduce((sum, { size }) => sum + size, 0);
  }

  /** Whether all that a start needs was known once. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** While it is whole. */
  get world(): PolicyWorld | undefined {
    const world = this.#world;
    return world?.pods.isSynced && world.namespaces.isSynced ? world : undefined;
  }

  /** Begins to watch it, or goes on. Fulfilled when it is whole; never when it is closed meanwhile. */
  openWorld(): Promise<void> {
    clearTimeout(this.#linger);
    this.#world ??= this.#watchWorld();
    const { pods, namespaces } = this.#world;
    return Promise.all([pods.synced, namespaces.synced]).then(() => {});
  }

  /** Nobody asks for it any more; it ends after a while, if nobody does meanwhile. */
  closeWorld(): void {
    clearTimeout(this.#linger);
    this.#linger = setTimeout(() => this.#endWorld(), this.#options.lingerMs ?? 60_000).unref();
  }

  /** All that is watched at this moment. */
  get informers(): readonly Informer<never, unknown>[] {
    const there = this.#clusterPolicies.filter(({ isAbsent }) => !isAbsent).map(({ informer }) => informer);
    const world = this.#world ? [this.#world.pods, this.#world.namespaces] : [];
    return [this.#networkPolicies, ...there, ...world] as never;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#linger);
    clearTimeout(this.#confirming);
    for (const informer of this.policies) informer.stop();
    this.#endWorld();
  }

  async #learn(): Promise<void> {
    await Promise.all([this.#networkPolicies.synced, ...this.#clusterPolicies.map(({ known }) => known)]);
    const former = this.#options.formerKinds?.();
    const lost = this.policies.filter(({ size, resource }) => size === 0 && former?.has(resource.plural));
    if (lost.length > 0 || (former && this.count === 0)) await this.#confirmNone(lost);
    if (this.count > 0) await this.openWorld();
    this.#isSynced = true;
  }

  get #confirmEmptyMs(): number {
    return this.#options.confirmEmptyMs ?? 5000;
  }

  /** The kernel holds what followed from policies, which an API that lost them must not take away. */
  async #confirmNone(lost: readonly Pick<Informer<never>, 'resource'>[]): Promise<void> {
    const ms = this.#confirmEmptyMs;
    const which = lost.map(({ resource }) => resource.plural).join(' and ') || 'policies';
    const again = `the API server tells of none, but there were some before this start: it is asked again in ${ms / 1000} s`;
    this.#options.onError(which, new Error(again));
    await this.#pause(ms);
    await Promise.all(this.policies.filter(({ isSynced, size }) => isSynced && size === 0).map((informer) => informer.refresh()));
    // Kinds that the server does not have were asked for again and again meanwhile; what it answers otherwise is no answer to this.
    while (!this.#clusterPolicies.every(({ isAbsent, informer }) => isAbsent || informer.isSynced)) await this.#pause(100);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => (this.#confirming = setTimeout(resolve, ms)));
  }

  #viewOf(resource: Resource<KubeObject>): (object: KubeObject) => Policy {
    // Items of a list do not say what they are.
    const kind = { apiVersion: apiVersionOf(resource), kind: resource.kind };
    return (object) => {
      const policy = readPolicy({ ...object, ...kind } as AnyObject)!;
      if (isUnsaid(policy, object)) this.unsaid.add(policy);
      return policy;
    };
  }

  #watchWorld(): PolicyWorld {
    const { nodeName, onError } = this.#options;
    const confirmEmptyMs = this.#confirmEmptyMs;
    return {
      pods: new Informer(this.#api, Pods, {
        confirmEmptyMs,
        project: (pod: Pod) => podView(pod, nodeName),
        onError: (error) => onError('pods', error),
      }).start(),
      namespaces: new Informer(this.#api, Namespaces, {
        confirmEmptyMs,
        project: ({ metadata }: Namespace) => labelsOfNamespace(metadata.name, metadata.labels),
        onError: (error) => onError('namespaces', error),
      }).start(),
    };
  }

  #endWorld(): void {
    this.#world?.pods.stop();
    this.#world?.namespaces.stop();
    this.#world = undefined;
  }
}

import type { Api, KubeObject, Resource } from '../kube/api.ts';
import type { EventRecorder } from '../kube/events.ts';
import { conditionOf, jsonEqual, kubeTime, withCondition } from '../kube/objects.ts';
import { apiVersionOf, Events, NetworkPolicies } from '../kube/resources.ts';
import type { Condition } from '../kube/types.ts';
import type { Problem } from './model.ts';
import { type AnyObject, readPolicy } from './policies.ts';
import { eventReasons, problemsText, understood, understoodCondition } from './status.ts';

interface WithStatus extends KubeObject {
  status?: { conditions?: Condition[] };
}

/**
 * Says on a policy what of it is not understood: as a condition of cluster-wide policies, as Events about NetworkPolicies, which have no status. Writes only what
 * does not stand there already, also after a restart, so that it may run in more than one place for a moment.
 */
export class PolicyStatusWriter {
  readonly #api: Pick<Api, 'list' | 'patch'>;
  readonly #events: Pick<EventRecorder, 'event' | 'flushed'>;
  readonly #now: () => number;
  /** Of NetworkPolicies: the problems that Events tell of, by uid. */
  readonly #told = new Map<string, string>();

  constructor(api: Pick<Api, 'list' | 'patch'>, events: Pick<EventRecorder, 'event' | 'flushed'>, now: () => number = Date.now) {
    this.#api = api;
    this.#events = events;
    this.#now = now;
  }

  /**
   * @param object as the API has it now
   * @param more problems that do not show in the object alone: it is over a limit (`NetworkLimits`)
   * @throws ApiError, a conflict too: call it again with the object as it is then
   */
  async write(resource: Resource<KubeObject>, object: KubeObject, more: readonly Problem[] = []): Promise<void> {
    const known: AnyObject = { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
    const read = readPolicy(known);
    if (!read) return;
    const policy = { ...read, problems: [...read.problems, ...more] };
    if (policy.kind === 'NetworkPolicy') await this.#tell(object, problemsText(policy));
    else await this.#setCondition(resource, object, understood(policy, object.metadata.generation));
  }

  forget({ metadata }: KubeObject): void {
    this.#told.delete(metadata.uid ?? '');
  }

  async #setCondition(
    resource: Resource<KubeObject>,
    { metadata, status }: WithStatus,
    wanted: Omit<Condition, 'lastTransitionTime'>,
  ): Promise<void> {
    const present = conditionOf(status?.conditions, understoodCondition);
    const conditions = withCondition(status?.conditions, wanted as Condition, kubeTime(this.#now()));
    if (present && jsonEqual(conditionOf(conditions, understoodCondition), present)) return;
    // With the version that was read: conditions are a list, and others have theirs in it.
    const patch = { metadata: { resourceVersion: metadata.resourceVersion }, status: { conditions } };
    await this.#api.patch(resource, metadata.name, metadata.namespace, patch, 'merge', { subresource: 'status' });
  }

  async #tell(object: KubeObject, problems: string | undefined): Promise<void> {
    const uid = object.metadata.uid ?? '';
    const before = this.#told.get(uid);
    if (before === problems) return;
    if (problems === undefined) {
      this.#told.delete(uid);
      this.#events.event(NetworkPolicies, object, 'Normal', eventReasons.mended, 'all of it is understood now');
    } else {
      if (before === undefined && (await this.#stands(object, problems))) return void this.#told.set(uid, problems);
      this.#told.set(uid, problems);
      this.#events.event(NetworkPolicies, object, 'Warning', eventReasons.problem, problems);
    }
  }

  /** Whether somebody said it before this process began: an Event lasts an hour, and its count would rise with each restart. */
  async #stands({ metadata }: KubeObject, problems: string): Promise<boolean> {
    const fieldSelector = `involvedObject.uid=${metadata.uid ?? ''},reason=${eventReasons.problem}`;
    const { items } = await this.#api.list(Events, { namespace: metadata.namespace ?? 'default', fieldSelector });
    return items.some(({ message }) => message === problems);
  }
}

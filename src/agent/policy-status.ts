import { type Api, isConflict, isForbidden, isNotFound, type KubeObject, type Resource } from '../kube/api.ts';
import { EventRecorder } from '../kube/events.ts';
import type { Change, Informer } from '../kube/informer.ts';
import { NetworkPolicies } from '../kube/resources.ts';
import type { Node } from '../kube/types.ts';
import type { Policy } from '../policy/model.ts';
import { PolicyStatusWriter } from '../policy/status-writer.ts';
import type { PolicySources } from './policy-sources.ts';
import { ProblemLog } from './problem-log.ts';
import type { NodeView } from './views.ts';

export interface PolicyTellerParts {
  /** Of this node. */
  nodeName: string;
  api: Api;
  nodes: Pick<Informer<Node, NodeView>, 'list' | 'onChange'>;
  policy: Pick<PolicySources, 'policies' | 'unsaid'>;
  log: (line: string) => void;
  /** After a failure. */
  retryMs?: number;
}

/**
 * Says on policies what of them is not understood (NP19, CNP10). All agents would say the same, so one does: that of the first Ready node by name. When the turn moves, the next one says what
 * does not stand there yet; two that think it theirs for a moment do no harm. Nothing is asked and nothing is written while all is understood.
 */
export class PolicyTeller implements Disposable {
  readonly #parts: PolicyTellerParts;
  readonly #problems: ProblemLog;
  readonly #end: () => void;
  /** Name of the node whose turn it is. */
  #first: string | undefined;
  #turn: Turn | undefined;

  /** @param parts with sources that are in sync */
  constructor(parts: PolicyTellerParts) {
    this.#parts = parts;
    this.#problems = new ProblemLog(parts.log);
    this.#end = parts.nodes.onChange((changes) => this.#hearNodes(changes));
  }

  [Symbol.dispose](): void {
    this.#end();
    this.#turn?.[Symbol.dispose]();
  }

  #hearNodes(changes: readonly Change<NodeView>[]): void {
    for (const { type, key, object } of changes) {
      if (type !== 'deleted' && object.ready) {
        if (this.#first === undefined || key < this.#first) this.#first = key;
      } else if (key === this.#first) this.#first = firstReady(this.#parts.nodes.list());
    }
    const isOurs = this.#first === this.#parts.nodeName;
    if (isOurs === (this.#turn !== undefined)) return;
    this.#turn?.[Symbol.dispose]();
    this.#turn = isOurs ? new Turn(this.#parts, this.#problems) : undefined;
  }
}

const firstReady = (nodes: readonly NodeView[]): string | undefined =>
  nodes.reduce<string | undefined>(
    (first, { name, ready }) => (ready && (first === undefined || name < first) ? name : first),
    undefined,
  );

type Policies = Informer<KubeObject, Policy>;

interface Task {
  policies: Policies;
  /** Of the policy. */
  key: string;
}

/** From when it is this node's turn until it is no more. What was told in an earlier one may be true no longer, so each begins anew. */
class Turn implements Disposable {
  readonly #parts: PolicyTellerParts;
  readonly #problems: ProblemLog;
  readonly #events: EventRecorder;
  readonly #writer: PolicyStatusWriter;
  readonly #ends: readonly (() => void)[];
  readonly #waiting = new Map<string, Task>();
  /** NetworkPolicies that Events tell of: these are to be told when they are mended. */
  readonly #told = new Map<string, KubeObject>();
  /** What failed last, by task. */
  readonly #failed = new Map<string, Task & { fault: string }>();
  #eventFault: Error | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isWorking = false;
  #isOver = false;

  constructor(parts: PolicyTellerParts, problems: ProblemLog) {
    this.#parts = parts;
    this.#problems = problems;
    this.#events = new EventRecorder(parts.api, {
      ...{ component: 'podnet', host: parts.nodeName },
      onError: (error) => (this.#eventFault = error),
    });
    this.#writer = new PolicyStatusWriter(parts.api, this.#events);
    this.#ends = parts.policy.policies.map((policies) => policies.onChange((changes) => this.#hear(policies, changes)));
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#retry);
    for (const end of this.#ends) end();
  }

  #hear(policies: Policies, changes: readonly Change<Policy>[]): void {
    for (const { type, key, object } of changes) {
      const id = `${policies.resource.plural} ${key}`;
      if (type === 'deleted') this.#forget(id);
      else if (this.#parts.policy.unsaid.has(object) || this.#told.has(id)) this.#waiting.set(id, { policies, key });
    }
    void this.#work();
  }

  #forget(id: string): void {
    const told = this.#told.get(id);
    if (told) this.#writer.forget(told);
    this.#told.delete(id);
    this.#waiting.delete(id);
    this.#settle(id);
  }

  /** One after the other: there are few. */
  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    for (const [id, task] of this.#waiting) {
      this.#waiting.delete(id);
      try {
        await this.#write(id, task);
        if (this.#isOver) return;
        this.#settle(id);
      } catch (error) {
        if (this.#isOver) return;
        // Somebody else has written the policy meanwhile: at once again, with what it is now.
        if (isConflict(error)) this.#waiting.set(id, task);
        else this.#fail(id, task, error as Error);
      }
    }
    this.#isWorking = false;
  }

  async #write(id: string, { policies, key }: Task): Promise<void> {
    const { api, policy } = this.#parts;
    const resource = policies.resource as Resource<KubeObject>;
    const [namespace, name = ''] = resource.namespaced ? key.split('/') : [undefined, key];
    const object = await api.get(resource, name, namespace).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    if (!object || this.#isOver) return;
    await this.#writer.write(resource, object);
    await this.#events.flushed();
    const fault = this.#eventFault;
    this.#eventFault = undefined;
    if (fault) {
      this.#writer.forget(object);
      throw fault;
    }
    const view = policies.get(key);
    if (isEventful(resource) && view && policy.unsaid.has(view)) this.#told.set(id, object);
    else this.#told.delete(id);
  }

  #fail(id: string, task: Task, error: Error): void {
    const { resource } = task.policies;
    const before = [...this.#failed.values()].find(
      (one) => one.policies === task.policies && one.fault.endsWith(grant(resource)),
    );
    // The server names the object and the namespace; it is the same fault for all.
    const fault = isForbidden(error)
      ? (before?.fault ?? `${subject(resource)}: ${error.message}; ${grant(resource)}`)
      : `${subject(resource)}: ${error.message}`;
    this.#failed.set(id, { ...task, fault });
    this.#tell();
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      for (const [again, { policies, key }] of this.#failed) this.#waiting.set(again, { policies, key });
      void this.#work();
    }, this.#parts.retryMs ?? 30_000).unref();
  }

  #settle(id: string): void {
    if (this.#failed.delete(id)) this.#tell();
  }

  #tell(): void {
    this.#problems.tell('status', [...new Set([...this.#failed.values()].map(({ fault }) => fault))]);
  }
}

/** Has no status. */
const isEventful = ({ plural }: Resource): boolean => plural === NetworkPolicies.plural;

const subject = ({ plural }: Resource): string => `what of ${plural} is not understood cannot be said on them`;

const grant = (resource: Resource): string =>
  isEventful(resource)
    ? 'grant the agent get on networkpolicies, and list, create and patch on events'
    : `grant the agent get on ${resource.plural}, and patch on ${resource.plural}/status`;

import { type Api, isConflict, isForbidden, isNotFound, type KubeObject, type Resource } from '../../kube/api.ts';
import { EventRecorder } from '../../kube/events.ts';
import type { Change, Informer } from '../../kube/informer.ts';
import { LeaderElection, type LeaderElectionOptions } from '../../kube/leader-election.ts';
import { NetworkPolicies } from '../../kube/resources.ts';
import { LimitedPolicies } from '../../policy/limited-policies.ts';
import type { Policy } from '../../policy/model.ts';
import { PolicyStatusWriter } from '../../policy/status-writer.ts';
import { ProblemLog } from '../problem-log.ts';
import type { PolicySources } from './sources.ts';

export interface PolicyTellerParts {
  /** Of this node. */
  nodeName: string;
  api: Api;
  /** How many agents there may be. */
  nodes: () => number;
  policy: Pick<PolicySources, 'policies' | 'unsaid'>;
  log: (line: string) => void;
  /** After a failure. */
  retryMs?: number;
  /** Times of the election. */
  election?: Pick<LeaderElectionOptions, 'durationMs' | 'renewDeadlineMs' | 'retryMs'>;
}

/** By which agents find the one that says it: `kubectl -n kube-system get lease podnet-policy-status` tells which it is. */
export const statusLease = { namespace: 'kube-system', name: 'podnet-policy-status' };

/**
 * Says on policies what of them is not understood (NP19, CNP10). All agents would say the same, so one does: the holder of a Lease, for which all ask while there is something to be said.
 * Nothing is asked and nothing is written while all is understood. Two that think it theirs for a moment do no harm: they write what does not stand there yet.
 */
export class PolicyTeller implements Disposable {
  readonly #election: LeaderElection;
  readonly #ends: readonly (() => void)[];
  /** Policies on which something is to be said. */
  readonly #unsaid = new Set<string>();
  readonly #limited = new LimitedPolicies();
  /** Those that are over a limit, by what others need too: it is not seen by one object. */
  readonly #closed = new Set<string>();
  #turn: Turn | undefined;

  /** @param parts with sources that are in sync */
  constructor(parts: PolicyTellerParts) {
    const problems = new ProblemLog(parts.log);
    this.#election = new LeaderElection({
      ...{ api: parts.api, identity: parts.nodeName, ...statusLease, candidates: parts.nodes },
      ...{ durationMs: 30_000, renewDeadlineMs: 20_000, retryMs: 5000, ...parts.election },
      onStarted: () => (this.#turn = new Turn(parts, problems, this.#limited, () => this.#judge())),
      onStopped: () => this.#endTurn(),
      onError: (error) => problems.tell('turn', [`agents cannot agree on which of them says what of policies is not understood: ${whyNot(error)}`]),
      onWell: () => problems.tell('turn', []),
    });
    this.#ends = parts.policy.policies.map((policies) =>
      policies.onChange((changes) => {
        for (const { type, key, object } of changes) {
          const isUnsaid = type !== 'deleted' && parts.policy.unsaid.has(object);
          this.#unsaid[isUnsaid ? 'add' : 'delete'](idOf(policies, key));
          this.#limited.set(idOf(policies, key), type === 'deleted' ? undefined : object);
          if (type === 'deleted') this.#closed.delete(idOf(policies, key));
        }
        for (const id of this.#limited.settle()) {
          this.#closed[this.#limited.problemsOf(id).length > 0 ? 'add' : 'delete'](id);
          const [plural, key = ''] = id.split(' ');
          this.#turn?.say(parts.policy.policies.find(({ resource }) => resource.plural === plural)!, key);
        }
        this.#judge();
      }),
    );
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) end();
    this.#election[Symbol.dispose]();
  }

  /** Whose turn it is goes on until all is said. */
  #judge(): void {
    if (this.#unsaid.size + this.#closed.size > 0 || this.#turn?.isBusy) this.#election.start();
    else this.#election.stop();
  }

  #endTurn(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = undefined;
  }
}

const whyNot = (error: Error): string =>
  isForbidden(error)
    ? `${error.message}; grant the agent create on leases of coordination.k8s.io in ${statusLease.namespace}, and get and update on ${statusLease.name}`
    : error.message;

type Policies = Informer<KubeObject, Policy>;

const idOf = ({ resource }: Policies, key: string): string => `${resource.plural} ${key}`;

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
  readonly #limited: Pick<LimitedPolicies, 'problemsOf'>;
  /** NetworkPolicies that Events tell of: these are to be told when they are mended. */
  readonly #told = new Map<string, KubeObject>();
  /** What failed last, by task. */
  readonly #failed = new Map<string, Task & { fault: string }>();
  #eventFault: Error | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isWorking = false;
  #isOver = false;
  readonly #onIdle: () => void;

  /** @param onIdle nothing is to be done for the moment */
  constructor(parts: PolicyTellerParts, problems: ProblemLog, limited: Pick<LimitedPolicies, 'problemsOf'>, onIdle: () => void) {
    this.#parts = parts;
    this.#limited = limited;
    this.#problems = problems;
    this.#onIdle = onIdle;
    this.#events = new EventRecorder(parts.api, {
      ...{ component: 'podnet', host: parts.nodeName },
      onError: (error) => (this.#eventFault = error),
    });
    this.#writer = new PolicyStatusWriter(parts.api, this.#events);
    this.#ends = parts.policy.policies.map((policies) => policies.onChange((changes) => this.#hear(policies, changes)));
  }

  /** Something is to be said, or will be when what was told is mended. */
  get isBusy(): boolean {
    return this.#isWorking || this.#waiting.size + this.#told.size + this.#failed.size > 0;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#retry);
    for (const end of this.#ends) end();
  }

  #hear(policies: Policies, changes: readonly Change<Policy>[]): void {
    for (const { type, key, object } of changes) {
      const id = idOf(policies, key);
      if (type === 'deleted') this.#forget(id);
      else if (this.#isUnsaid(id, object) || this.#told.has(id)) this.#waiting.set(id, { policies, key });
    }
    void this.#work();
  }

  /** Something else is to be said of it, by what others need: it is over a limit, or no more. */
  say(policies: Policies, key: string): void {
    this.#waiting.set(idOf(policies, key), { policies, key });
    void this.#work();
  }

  #isUnsaid(id: string, policy: Policy): boolean {
    return this.#parts.policy.unsaid.has(policy) || this.#limited.problemsOf(id).length > 0;
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
    this.#onIdle();
  }

  async #write(id: string, { policies, key }: Task): Promise<void> {
    const { api } = this.#parts;
    const resource = policies.resource as Resource<KubeObject>;
    const [namespace, name = ''] = resource.namespaced ? key.split('/') : [undefined, key];
    const object = await api.get(resource, name, namespace).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    if (!object || this.#isOver) return;
    await this.#writer.write(resource, object, this.#limited.problemsOf(id));
    await this.#events.flushed();
    const fault = this.#eventFault;
    this.#eventFault = undefined;
    if (fault) {
      this.#writer.forget(object);
      throw fault;
    }
    const view = policies.get(key);
    if (isEventful(resource) && view && this.#isUnsaid(id, view)) this.#told.set(id, object);
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

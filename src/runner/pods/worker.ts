import { randomBytes } from 'node:crypto';
import { isConflict, isNotFound } from '../../kube/api.ts';
import { isPodFinished, jsonEqual, kubeTime } from '../../kube/objects.ts';
import { Pods } from '../../kube/resources.ts';
import type { Pod, PodStatus } from '../../kube/types.ts';
import type { RunnerPod } from '../config.ts';
import { kernelHostnameOf } from '../sandbox/hosts.ts';
import { createSandbox, removeSandbox } from '../sandbox/sandbox.ts';
import type { PodRecord } from '../state.ts';
import { PodContainers } from './containers.ts';
import type { RunnerContext } from './context.ts';
import { preparePod } from './launch.ts';
import { phaseOf, podStatus } from './status.ts';

const firstRetryMs = 500;
const longestRetryMs = 30_000;
const closeMs = 1000;
/** People are told that containers are being created when it takes longer. */
const slowMs = 1000;

/**
 * Brings one pod to what the API wants and keeps it there. One pass at a time; whatever happens (the pod changes, a container ends, a probe
 * decides, a time comes) only asks for another pass.
 */
export class PodWorker {
  readonly #context: RunnerContext;
  readonly #record: PodRecord;
  readonly #containers: PodContainers;
  readonly #startTime = kubeTime(Date.now());
  readonly #onEnd: () => void;
  #pod: Pod;
  #vanished = false;
  #prepared = false;
  #sandboxGone = false;
  /** The runner before was killed while it made the sandbox: some of it may be there. */
  #halfMade = false;
  #failure: { reason: string; message: string } | undefined;
  #retryMs = firstRetryMs;
  #wanted = false;
  #busy = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #looping: Promise<void> = Promise.resolve();
  #posting: Promise<void> = Promise.resolve();
  #postQueued = false;

  /** @param onEnd the pod is gone and nothing of it is left */
  constructor(context: RunnerContext, pod: Pod, adopted: PodRecord | undefined, onEnd: () => void) {
    this.#context = context;
    this.#pod = pod;
    this.#onEnd = onEnd;
    this.#record = adopted ?? newRecord(context, pod);
    this.#sandboxGone = isPodFinished(pod) && adopted === undefined;
    this.#containers = new PodContainers(
      context,
      this.#record,
      () => this.#pod,
      () => this.wake(),
    );
    if (adopted) this.#containers.adopt();
    this.#halfMade = adopted !== undefined && adopted.podIPs.length === 0;
  }

  get uid(): string {
    return this.#record.uid;
  }

  get containers(): PodContainers {
    return this.#containers;
  }

  get record(): PodRecord {
    return this.#record;
  }

  update(pod: Pod): void {
    this.#see(pod);
    if (pod.metadata.deletionTimestamp) this.#containers.shorten((pod.metadata.deletionGracePeriodSeconds ?? 30) * 1000);
    this.wake();
  }

  /** The pod is not in the API any more: deleted by force. */
  gone(): void {
    this.#vanished = true;
    this.#containers.shorten(0);
    this.wake();
  }

  /** Stops acting; containers run on unless `end`. */
  async close(end: boolean): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#containers.close();
    if (end) await this.#containers.stopAll(0);
    // What is being done is finished, such as a sandbox; only a pod that has long to end is left to the next runner.
    const { promise: late, cancel } = after(closeMs);
    await Promise.race(end ? [this.#looping] : [this.#looping, late]);
    cancel();
    await this.#posting;
  }

  wake(): void {
    this.#wanted = true;
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    this.#looping = this.#loop();
  }

  describe(): RunnerPod {
    const { namespace, name, uid, netns, hostNetwork, podIPs } = this.#record;
    return { namespace, name, uid, netns, hostNetwork, podIPs, containers: this.#containers.describe() };
  }

  async #loop(): Promise<void> {
    while (this.#wanted && !this.#closed) {
      this.#wanted = false;
      clearTimeout(this.#timer);
      try {
        await this.#pass();
      } catch (error) {
        if (this.#closed) break;
        this.#context.report(`pod ${this.#record.namespace}/${this.#record.name}: ${(error as Error).message}`);
        this.#after(this.#retryMs);
        this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
      }
    }
    this.#busy = false;
  }

  async #pass(): Promise<void> {
    if (this.#vanished || this.#pod.metadata.deletionTimestamp) return this.#terminate();
    if (this.#failure || isPodFinished(this.#pod) || this.#isOver()) return this.#finish();
    // A pod that is started at once needs no word of its own in the API before; it gets one when it is slow, or fails.
    const slow = setTimeout(() => this.#post(), slowMs);
    try {
      await this.#run();
    } catch (error) {
      this.#post();
      throw error;
    } finally {
      clearTimeout(slow);
    }
  }

  async #run(): Promise<void> {
    if (this.#record.podIPs.length === 0) await this.#createSandbox();
    if (!this.#prepared) {
      await preparePod(this.#context, this.#pod, this.#record).catch((error: Error) => {
        this.#warn('FailedMount', error.message);
        throw error;
      });
      this.#prepared = true;
    }
    this.#retryMs = firstRetryMs;
    const deadlineMs = this.#deadlineMs();
    if (deadlineMs !== undefined && deadlineMs <= Date.now()) {
      this.#failure = { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' };
      this.#warn('DeadlineExceeded', this.#failure.message);
      return this.#finish();
    }
    const nextMs = await this.#containers.sync();
    this.#post();
    if (this.#isOver()) return this.#finish();
    const wait = Math.min(nextMs ?? Infinity, deadlineMs === undefined ? Infinity : deadlineMs - Date.now());
    if (wait !== Infinity) this.#after(wait);
  }

  #isOver(): boolean {
    const phase = phaseOf(this.#containers.slots, this.#pod.spec?.restartPolicy ?? 'Always');
    return phase === 'Succeeded' || phase === 'Failed';
  }

  #deadlineMs(): number | undefined {
    const seconds = this.#pod.spec?.activeDeadlineSeconds;
    return seconds === undefined ? undefined : Date.parse(this.#pod.status?.startTime ?? this.#startTime) + seconds * 1000;
  }

  async #createSandbox(): Promise<void> {
    if (this.#halfMade) {
      await removeSandbox(this.#record, this.#context.cni);
      this.#renewSandbox();
      this.#halfMade = false;
    }
    // Before anything is made, so that a kill at any point leaves a trace of it.
    this.#context.state.save(this.#record);
    if (this.#record.hostNetwork) this.#record.podIPs = [...this.#context.config.addresses];
    else
      try {
        // As kubelet does, which needs the name for the sandbox.
        kernelHostnameOf(this.#pod, this.#context.config.clusterDomain);
        Object.assign(this.#record, await createSandbox(this.#record, this.#pod, this.#context.cni));
      } catch (error) {
        this.#warn('FailedCreatePodSandBox', `Failed to create pod sandbox: ${(error as Error).message}`);
        this.#renewSandbox();
        throw error;
      }
    this.#context.state.save(this.#record);
  }

  #renewSandbox(): void {
    this.#record.sandboxId = newId();
    if (!this.#record.hostNetwork) this.#record.netns = netnsOf(this.#context, this.#record.sandboxId);
  }

  /** All is over (Succeeded, Failed): what runs still is ended, the address given back; the pod stays in the API. */
  async #finish(): Promise<void> {
    const graceMs = (this.#pod.spec?.terminationGracePeriodSeconds ?? 30) * 1000;
    await this.#containers.stopAll(graceMs);
    if (!isPodFinished(this.#pod)) await this.#postNow();
    await this.#releaseSandbox();
  }

  async #terminate(): Promise<void> {
    const { deletionGracePeriodSeconds, uid } = this.#pod.metadata;
    const seconds = deletionGracePeriodSeconds ?? this.#pod.spec?.terminationGracePeriodSeconds ?? 30;
    await this.#containers.stopAll(this.#vanished ? 0 : seconds * 1000, () => this.#post());
    if (!this.#vanished) await this.#postNow();
    await this.#releaseSandbox();
    if (!this.#vanished) {
      try {
        await this.#context.api.delete(Pods, this.#record.name, this.#record.namespace, {
          gracePeriodSeconds: 0,
          preconditions: { uid },
        });
      } catch (error) {
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    }
    this.#context.state.remove(this.#record.uid);
    this.#closed = true;
    this.#onEnd();
  }

  async #releaseSandbox(): Promise<void> {
    if (this.#sandboxGone) return;
    await removeSandbox(this.#record, this.#context.cni);
    this.#sandboxGone = true;
  }

  #see(pod: Pod): void {
    const newer = Number(pod.metadata.resourceVersion) >= Number(this.#pod.metadata.resourceVersion);
    if (newer) this.#pod = pod;
  }

  #warn(reason: string, message: string): void {
    this.#context.events.event(Pods, this.#pod, 'Warning', reason, message);
  }

  #after(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => this.wake(), Math.max(ms, 1));
  }

  /** Posts the status as it is when the one before was answered; many changes at once are one write. */
  #post(): void {
    if (this.#postQueued) return;
    this.#postQueued = true;
    this.#posting = this.#posting
      .then(() => this.#write())
      .catch((error: Error) => {
        this.#context.report(`status of ${this.#record.namespace}/${this.#record.name}: ${error.message}`);
        this.#after(this.#retryMs);
      });
  }

  async #postNow(): Promise<void> {
    await this.#posting;
    await this.#write();
  }

  async #write(): Promise<void> {
    this.#postQueued = false;
    if (this.#vanished) return;
    const status = podStatus({
      pod: this.#pod,
      slots: this.#containers.slots,
      podIPs: this.#record.podIPs,
      hostIPs: this.#context.config.addresses,
      startTime: this.#startTime,
      now: kubeTime(Date.now()),
      ...(this.#failure ? { failure: this.#failure } : {}),
    });
    if (sameStatus(status, this.#pod.status ?? {})) return;
    const { name, namespace, uid } = this.#record;
    try {
      const patch = { metadata: { uid }, status };
      this.#see(await this.#context.api.patch(Pods, name, namespace, patch, 'merge', { subresource: 'status' }));
    } catch (error) {
      // Gone, or another pod of the same name: the watch tells.
      if (!isNotFound(error) && !isConflict(error)) throw error;
    }
  }
}

const sameStatus = (ours: PodStatus, theirs: PodStatus): boolean =>
  Object.entries(ours).every(([name, value]) => jsonEqual(value, theirs[name as keyof PodStatus]));

function after(ms: number): { promise: Promise<void>; cancel(): void } {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return { promise, cancel: () => clearTimeout(timer) };
}

const newId = (): string => randomBytes(32).toString('hex');
const netnsOf = (context: RunnerContext, sandboxId: string): string => context.config.netnsPrefix + sandboxId.slice(0, 12);

function newRecord(context: RunnerContext, pod: Pod): PodRecord {
  const sandboxId = newId();
  const hostNetwork = pod.spec?.hostNetwork ?? false;
  return {
    uid: pod.metadata.uid ?? '',
    namespace: pod.metadata.namespace ?? 'default',
    name: pod.metadata.name,
    sandboxId,
    netns: hostNetwork ? context.nodeNetns : netnsOf(context, sandboxId),
    hostNetwork,
    podIPs: [],
    containers: {},
  };
}

/** What is left of a pod that is gone from the API while no runner ran. */
export async function discard(context: RunnerContext, record: PodRecord): Promise<void> {
  await removeSandbox(record, context.cni);
  context.state.remove(record.uid);
}

import { rm } from 'node:fs/promises';
import { kubeTime } from '../../kube/objects.ts';
import { Pods } from '../../kube/resources.ts';
import type { Container, LifecycleHandler, Pod, Probe } from '../../kube/types.ts';
import type { RunnerPod } from '../config.ts';
import { type ContainerExit, ContainerStartError, type RunningContainer } from '../container.ts';
import { chooseImage } from '../images.ts';
import { defaultLimits } from '../logs/index.ts';
import type { ProbeTarget } from '../probes/index.ts';
import { type PodRecord, startTicksOf } from '../state.ts';
import type { RunnerContext } from './context.ts';
import { execToEnd, runHook } from './hooks.ts';
import { containerDir, containerSpec, logPath } from './launch.ts';
import { type ProbeAnswer, Probing } from './probing.ts';
import { type Slot, slotsOf } from './slot.ts';
import { initialized } from './status.ts';

const configRetryMs = 5000;
const keptLogs = 2;

/** The containers of one pod: started in order, restarted as the policy says, stopped with their grace. */
export class PodContainers {
  readonly slots: Slot[];
  readonly #context: RunnerContext;
  readonly #record: PodRecord;
  readonly #pod: () => Pod;
  readonly #wake: () => void;
  readonly #interrupted: Promise<void>;
  #interrupt: () => void = () => {};
  #stopping = false;

  constructor(context: RunnerContext, record: PodRecord, pod: () => Pod, wake: () => void) {
    this.#context = context;
    this.#record = record;
    this.#pod = pod;
    this.#wake = wake;
    this.slots = slotsOf(pod());
    this.#interrupted = new Promise((resolve) => {
      this.#interrupt = resolve;
    });
  }

  /** After a restart of the runner: the containers of the one before are ended, and count as ended. */
  adopt(): void {
    for (const slot of this.slots) {
      const known = this.#record.containers[slot.container.name];
      if (!known) continue;
      void rm(containerDir(this.#context, this.#record.uid, slot.container.name, known.restartCount), {
        recursive: true,
        force: true,
      }).catch(() => {});
      slot.hasRun = true;
      // The pod is not Pending again.
      slot.wasStarted = true;
      slot.id = known.id;
      slot.restartCount = known.restartCount;
      const now = kubeTime(Date.now());
      const lost = {
        exitCode: 137,
        reason: 'Error',
        message: "the node's runner was restarted",
        startedAt: now,
        finishedAt: now,
      };
      slot.terminated = known.terminated ?? { ...lost, containerID: `podnet://${known.id}` };
    }
  }

  find(name: string): Slot | undefined {
    return this.slots.find(({ container }) => container.name === name);
  }

  describe(): RunnerPod['containers'] {
    return this.slots.map((slot) => ({
      name: slot.container.name,
      image: slot.container.image ?? '',
      kind: slot.told ? slot.kind : this.#kindOf(slot),
      state: slot.running ? 'running' : slot.state.terminated ? 'terminated' : 'waiting',
      ...(slot.running?.pid === undefined ? {} : { pid: slot.running.pid }),
    }));
  }

  /** What will run, before it has been tried. */
  #kindOf({ container }: Slot): Slot['kind'] {
    const { runtimes, config } = this.#context;
    const { kind } = chooseImage(container.image ?? '', config.images);
    return (runtimes[kind] ?? runtimes['stand-in']).kind;
  }

  /** Starts what should run and may. @returns after how many milliseconds there is something to do again */
  async sync(): Promise<number | undefined> {
    let nextMs = Infinity;
    for (const slot of this.slots) {
      if (!slot.running && this.#shouldStart(slot)) {
        const wait = slot.notBeforeMs - Date.now();
        if (wait > 0) nextMs = Math.min(nextMs, wait);
        else await this.#start(slot);
        if (slot.notBeforeMs > Date.now()) nextMs = Math.min(nextMs, slot.notBeforeMs - Date.now());
      }
      // The next one waits for this one.
      if (slot.init && !initialized(slot)) break;
    }
    return nextMs === Infinity ? undefined : nextMs;
  }

  /** SIGTERM to all, sidecars last and in reverse order; fulfilled when all have ended. */
  async stopAll(graceMs: number, changed: () => void = () => {}): Promise<void> {
    this.#stopping = true;
    const deadline = Date.now() + graceMs;
    const stop = (slot: Slot): Promise<void> => this.#stop(slot, Math.max(deadline - Date.now(), 0)).then(changed);
    await Promise.all(this.slots.filter((slot) => !slot.sidecar).map(stop));
    for (const slot of this.slots.filter((one) => one.sidecar).reverse()) await stop(slot);
  }

  /** The pod is to end: nothing is waited for any more, and what is being stopped has no more grace than this. */
  shorten(graceMs: number): void {
    this.#interrupt();
    if (!this.#stopping) return;
    for (const { running } of this.slots) void running?.stop(graceMs).catch(() => {});
  }

  /** The runner ends: stand-ins end with it, processes stay for the next one to find. */
  async close(): Promise<void> {
    this.#stopping = true;
    this.#interrupt();
    for (const slot of this.slots) slot.probing?.stop();
    await Promise.all(this.slots.map(({ running }) => (running && running.pid === undefined ? running.stop(0) : undefined)));
  }

  #shouldStart(slot: Slot): boolean {
    if (this.#stopping) return false;
    if (!slot.terminated) return true;
    const policy = slot.sidecar ? 'Always' : (this.#pod().spec?.restartPolicy ?? 'Always');
    const failed = slot.terminated.exitCode !== 0;
    if (slot.init && !slot.sidecar) return failed && policy !== 'Never';
    return policy === 'Always' || (policy === 'OnFailure' && failed);
  }

  async #start(slot: Slot): Promise<void> {
    const { name, image = '' } = slot.container;
    const { runtimes, config } = this.#context;
    const choice = chooseImage(image, config.images);
    const runtime = runtimes[choice.kind] ?? runtimes['stand-in'];
    if (choice.kind === 'stand-in' && !slot.told) this.#event('Normal', 'StandIn', `container ${name}: ${choice.message}`);
    slot.told = true;
    slot.kind = runtime.kind;
    const again = slot.hasRun;
    if (again) slot.restartCount++;
    try {
      const spec = await containerSpec(this.#context, this.#pod(), this.#record, slot);
      const running = await runtime.start(spec);
      // The runner was closed meanwhile.
      if (this.#stopping) return void (await running.stop(0));
      if (slot.terminated) slot.lastTerminated = slot.terminated;
      Object.assign(slot, {
        id: spec.id,
        running,
        terminated: undefined,
        hasRun: true,
        waiting: { reason: 'ContainerCreating' },
      });
      this.#remember(slot);
      this.#watchEnd(slot, running);
      if (slot.restartCount >= keptLogs) this.#forgetLog(slot);
      this.#event('Normal', 'Started', `Started container ${name}`);
      await this.#started(slot, running);
    } catch (error) {
      this.#failedStart(slot, error as Error, again);
    }
  }

  async #started(slot: Slot, running: RunningContainer): Promise<void> {
    const hook = slot.container.lifecycle?.postStart;
    if (hook) {
      try {
        // A pod that is deleted does not wait for it.
        await Promise.race([this.#hook(hook, slot.container, running), running.exited, this.#interrupted]);
      } catch (error) {
        this.#event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${(error as Error).message}`);
        await running.stop(this.#graceMs());
        return;
      }
    }
    if (slot.init && !slot.sidecar) return;
    if (slot.running !== running || this.#stopping) return;
    slot.wasStarted ||= slot.container.startupProbe === undefined;
    slot.probing = new Probing(slot.container, {
      probe: (probe) => this.#probe(probe, slot.container, running),
      changed: () => {
        slot.wasStarted ||= slot.started;
        this.#wake();
      },
      unhealthy: (kind, message) =>
        this.#event('Warning', 'Unhealthy', `${kind[0]!.toUpperCase()}${kind.slice(1)} probe failed: ${message}`),
      failed: (kind, probe) => {
        this.#event('Normal', 'Killing', `Container ${slot.container.name} failed ${kind} probe, will be restarted`);
        const seconds = probe.terminationGracePeriodSeconds;
        void running.stop(seconds === undefined ? this.#graceMs() : seconds * 1000).catch(() => {});
      },
    });
    slot.probing.start();
  }

  #watchEnd(slot: Slot, running: RunningContainer): void {
    void running.exited.then((exit: ContainerExit) => {
      if (slot.running !== running) return;
      slot.ended(exit);
      this.#remember(slot);
      if (this.#shouldStart(slot)) this.#backOff(slot, exit.finishedAt.getTime() - exit.startedAt.getTime());
      this.#wake();
    });
  }

  /** Of the runs before, kubelet keeps the last one's log: `kubectl logs --previous`. */
  #forgetLog({ container: { name }, restartCount }: Slot): void {
    const path = logPath(this.#context, this.#record.uid, name, restartCount - keptLogs);
    for (const file of [path, ...Array.from({ length: defaultLimits.maxFiles - 1 }, (_, index) => `${path}.${index + 1}`)])
      void rm(file, { force: true }).catch(() => {});
  }

  #backOff(slot: Slot, ranMs: number): void {
    const waitMs = slot.backoff.ended(ranMs);
    slot.notBeforeMs = Date.now() + waitMs;
    if (waitMs === 0) return;
    const { name } = slot.container;
    const message = `back-off ${waitMs / 1000}s restarting failed container=${name} pod=${this.#record.name}_${this.#record.namespace}(${this.#record.uid})`;
    slot.waiting = { reason: 'CrashLoopBackOff', message };
    this.#event('Warning', 'BackOff', `Back-off restarting failed container ${name}`);
  }

  #failedStart(slot: Slot, error: Error, again: boolean): void {
    const reason = error instanceof ContainerStartError ? error.reason : 'CreateContainerError';
    this.#event('Warning', 'Failed', `Error: ${error.message}`);
    const now = kubeTime(Date.now());
    if (error instanceof ContainerStartError && !reason.startsWith('Create') && !reason.includes('Image')) {
      slot.terminated = { exitCode: error.exitCode, reason, message: error.message, startedAt: now, finishedAt: now };
      slot.hasRun = true;
      if (this.#shouldStart(slot)) this.#backOff(slot, 0);
    } else {
      // There was no container that could have been restarted.
      if (again) slot.restartCount--;
      slot.waiting = { reason, message: error.message };
      slot.notBeforeMs = Date.now() + configRetryMs;
    }
  }

  async #stop(slot: Slot, graceMs: number): Promise<void> {
    const { running, container } = slot;
    if (!running) return;
    this.#event('Normal', 'Killing', `Stopping container ${container.name}`);
    const deadline = Date.now() + graceMs;
    const hook = container.lifecycle?.preStop;
    if (hook && graceMs > 0) {
      const late = new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref());
      const done = this.#hook(hook, container, running).catch((error: Error) =>
        this.#event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${error.message}`),
      );
      await Promise.race([done, late, running.exited]);
    }
    await running.stop(Math.max(deadline - Date.now(), 0));
    const exit = await running.exited;
    if (slot.running === running) slot.ended(exit);
  }

  #hook(hook: LifecycleHandler, container: Container, running: RunningContainer): Promise<void> {
    return runHook(hook, running, this.#target(container), this.#context.probe);
  }

  async #probe(probe: Probe, container: Container, running: RunningContainer): Promise<ProbeAnswer> {
    if (!probe.exec) return this.#context.probe(probe, this.#target(container));
    if (running.answersExecProbe) return { result: 'success', message: '' };
    const { code, output } = await execToEnd(running, probe.exec.command ?? [], (probe.timeoutSeconds ?? 1) * 1000);
    return { result: code === 0 ? 'success' : 'failure', message: output };
  }

  #target(container: Container): ProbeTarget {
    return { ip: this.#record.podIPs[0] ?? '', ports: container.ports ?? [] };
  }

  #graceMs(): number {
    return (this.#pod().spec?.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  #remember(slot: Slot): void {
    const pid = slot.running?.pid;
    this.#record.containers[slot.container.name] = {
      id: slot.id,
      restartCount: slot.restartCount,
      ...(pid === undefined ? {} : { pid, startTicks: startTicksOf(pid) }),
      ...(slot.terminated ? { terminated: slot.terminated } : {}),
    };
    this.#context.state.save(this.#record);
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.events.event(Pods, this.#pod(), type, reason, message);
  }
}

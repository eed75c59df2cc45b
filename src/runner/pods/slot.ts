import { kubeTime } from '../../kube/objects.ts';
import type { Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod } from '../../kube/types.ts';
import type { ContainerExit, RunningContainer } from '../container.ts';
import { CrashBackoff } from './backoff.ts';
import type { Probing } from './probing.ts';

/** A container of a pod: what is known of it from one start to the next. */
export class Slot {
  readonly container: Container;
  readonly init: boolean;
  /** A native sidecar: an init container that keeps running. */
  readonly sidecar: boolean;
  readonly backoff = new CrashBackoff();
  kind: 'process' | 'stand-in' = 'stand-in';
  id = '';
  running: RunningContainer | undefined;
  probing: Probing | undefined;
  waiting: { reason: string; message?: string };
  terminated: ContainerStateTerminated | undefined;
  lastTerminated: ContainerStateTerminated | undefined;
  restartCount = 0;
  /** Started at least once. */
  hasRun = false;
  /** A run of it has got as far as its startup probe demands. */
  wasStarted = false;
  /** Earliest next start, by Date.now(). */
  notBeforeMs = 0;
  /** The stand-in was told of in an Event. */
  told = false;

  constructor(container: Container, init: boolean, alone: boolean) {
    this.container = container;
    this.init = init;
    this.sidecar = init && container.restartPolicy === 'Always';
    this.waiting = { reason: alone ? 'ContainerCreating' : 'PodInitializing' };
  }

  /** The startup probe has passed, or there is none. Until the postStart hook has ended nothing is probed. */
  get started(): boolean {
    return this.running !== undefined && (this.probing?.started ?? (this.init && !this.sidecar));
  }

  get ready(): boolean {
    if (this.init && !this.sidecar) return this.terminated?.exitCode === 0;
    return this.running !== undefined && (this.probing?.ready ?? false);
  }

  ended(exit: ContainerExit): void {
    this.running = undefined;
    this.probing?.stop();
    this.probing = undefined;
    this.terminated = terminatedState(exit, this.id);
  }

  get state(): ContainerState {
    if (this.running) return { running: { startedAt: kubeTime(this.running.startedAt.getTime()) } };
    if (this.terminated && this.waiting.reason !== 'CrashLoopBackOff') return { terminated: this.terminated };
    return { waiting: this.waiting };
  }

  get status(): ContainerStatus {
    const backingOff = this.state.waiting !== undefined && this.terminated !== undefined;
    const lastState = backingOff ? this.terminated : this.lastTerminated;
    const image = this.container.image ?? '';
    return {
      name: this.container.name,
      image,
      imageID: this.hasRun ? `podnet://${this.kind}/${image}` : '',
      ...(this.id ? { containerID: `podnet://${this.id}` } : {}),
      ready: this.ready,
      started: this.started,
      restartCount: this.restartCount,
      state: this.state,
      lastState: lastState ? { terminated: lastState } : {},
    };
  }
}

const terminatedState = (exit: ContainerExit, id: string): ContainerStateTerminated => ({
  exitCode: exit.exitCode,
  reason: exit.reason,
  ...(exit.signal === undefined ? {} : { signal: exit.signal }),
  ...(exit.message ? { message: exit.message } : {}),
  startedAt: kubeTime(exit.startedAt.getTime()),
  finishedAt: kubeTime(exit.finishedAt.getTime()),
  containerID: `podnet://${id}`,
});

export const slotsOf = (pod: Pod): Slot[] => {
  const inits = pod.spec?.initContainers ?? [];
  const alone = inits.length === 0;
  return [
    ...inits.map((container) => new Slot(container, true, false)),
    ...(pod.spec?.containers ?? []).map((container) => new Slot(container, false, alone)),
  ];
};

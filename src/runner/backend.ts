import type { RunningContainer } from './container.ts';
import { connectInPod } from './containers/index.ts';
import type { RunnerContext } from './pods/context.ts';
import { logPath } from './pods/launch.ts';
import type { Slot } from './pods/slot.ts';
import type { PodWorker } from './pods/worker.ts';
import { type ContainerRef, type PodRef, type StreamBackend, StreamError } from './streams/backend.ts';

/** Logs, exec, attach and port-forward of the pods that run here, with kubelet's words for what cannot be. */
export function podBackend(context: RunnerContext, workerOf: (key: string) => PodWorker | undefined): StreamBackend {
  const worker = ({ namespace, pod }: PodRef): PodWorker => {
    const found = workerOf(`${namespace}/${pod}`);
    if (!found) throw new StreamError(404, `pod "${pod}" not found in namespace "${namespace}" on this node`);
    return found;
  };
  const slot = (ref: ContainerRef): Slot => {
    const found = worker(ref).containers.find(ref.container);
    if (!found) throw new StreamError(404, `container "${ref.container}" not found in pod "${ref.pod}"`);
    return found;
  };
  const running = (ref: ContainerRef): RunningContainer => {
    const { running: found } = slot(ref);
    if (!found) throw new StreamError(500, `unable to upgrade connection: container not found ("${ref.container}")`);
    return found;
  };
  return {
    async logs(ref, options) {
      const { restartCount, hasRun, state } = slot(ref);
      if (options.previous && restartCount === 0)
        throw new StreamError(400, `previous terminated container "${ref.container}" in pod "${ref.pod}" not found`);
      if (!hasRun) {
        const reason = state.waiting?.reason ?? 'ContainerCreating';
        throw new StreamError(400, `container "${ref.container}" in pod "${ref.pod}" is waiting to start: ${reason}`);
      }
      const path = logPath(context, worker(ref).uid, ref.container, restartCount - (options.previous ? 1 : 0));
      return context.openLog(path, options);
    },
    exec: async (ref, command, tty) => running(ref).exec(command, tty),
    attach: async (ref, tty) => running(ref).attach(tty),
    portForward: async (ref, port) => connectInPod(worker(ref).record.netns, port),
  };
}

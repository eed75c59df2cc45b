import { conditionOf } from '../../kube/objects.ts';
import type { Container, ContainerStatus, Pod } from '../../kube/types.ts';
import { ageColumn, type Column, none, type Printer, printer, text, wideText } from './columns.ts';
import { age } from './duration.ts';

interface Summary {
  ready: number;
  total: number;
  reason: string;
  restarts: number;
  lastRestart: string;
}

/** A native sidecar. */
const isRestartable = (container: Container | undefined): boolean => container?.restartPolicy === 'Always';

const ended = ({ signal, exitCode, reason }: { signal?: number; exitCode: number; reason?: string }): string =>
  reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);

class Restarts {
  count = 0;
  last = '';

  add({ restartCount = 0, lastState }: ContainerStatus): void {
    this.count += restartCount;
    const at = lastState?.terminated?.finishedAt ?? '';
    if (at > this.last) this.last = at;
  }
}

/** What READY, STATUS and RESTARTS say, as pkg/printers/internalversion computes it. */
export function summarize(pod: Pod): Summary {
  const { spec, status = {}, metadata } = pod;
  const inits = new Map((spec?.initContainers ?? []).map((container) => [container.name, container]));
  const total = (spec?.containers?.length ?? 0) + [...inits.values()].filter(isRestartable).length;
  let reason: string = status.reason || status.phase || 'Unknown';
  if (conditionOf(status.conditions, 'PodScheduled')?.reason === 'SchedulingGated') reason = 'SchedulingGated';
  let restarts = new Restarts();
  const sidecars = new Restarts();
  let ready = 0;
  let initializing = false;
  for (const [at, container] of (status.initContainerStatuses ?? []).entries()) {
    restarts.add(container);
    const sidecar = isRestartable(inits.get(container.name));
    if (sidecar) sidecars.add(container);
    const { terminated, waiting } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (sidecar && container.started) {
      if (container.ready) ready++;
      continue;
    }
    if (terminated) reason = `Init:${ended(terminated)}`;
    else if (waiting?.reason && waiting.reason !== 'PodInitializing') reason = `Init:${waiting.reason}`;
    else reason = `Init:${at}/${spec?.initContainers?.length ?? 0}`;
    initializing = true;
    break;
  }
  if (!initializing || conditionOf(status.conditions, 'Initialized')?.status === 'True') {
    restarts = sidecars;
    let running = false;
    for (const container of [...(status.containerStatuses ?? [])].reverse()) {
      restarts.add(container);
      const { waiting, terminated, running: runs } = container.state ?? {};
      if (waiting?.reason) reason = waiting.reason;
      else if (terminated) reason = ended(terminated);
      else if (container.ready && runs) {
        running = true;
        ready++;
      }
    }
    if (reason === 'Completed' && running)
      reason = conditionOf(status.conditions, 'Ready')?.status === 'True' ? 'Running' : 'NotReady';
  }
  if (metadata.deletionTimestamp) {
    if (status.reason === 'NodeLost') reason = 'Unknown';
    else if (status.phase !== 'Succeeded' && status.phase !== 'Failed') reason = 'Terminating';
  }
  return { ready, total, reason, restarts: restarts.count, lastRestart: restarts.last };
}

function readinessGates({ spec, status }: Pod): string {
  const gates = spec?.readinessGates ?? [];
  if (gates.length === 0) return none;
  const met = gates.filter(({ conditionType }) => conditionOf(status?.conditions, conditionType)?.status === 'True');
  return `${met.length}/${gates.length}`;
}

const columns: Column<Pod>[] = [
  text('Ready', (pod) => {
    const { ready, total } = summarize(pod);
    return `${ready}/${total}`;
  }),
  text('Status', (pod) => summarize(pod).reason),
  text('Restarts', (pod, { nowMs }) => {
    const { restarts, lastRestart } = summarize(pod);
    return restarts !== 0 && lastRestart ? `${restarts} (${age(lastRestart, nowMs)} ago)` : String(restarts);
  }),
  ageColumn(),
  wideText('IP', ({ status }) => status?.podIPs?.[0]?.ip || status?.podIP || none),
  wideText('Node', ({ spec }) => spec?.nodeName || none),
  wideText('Nominated Node', ({ status }) => status?.nominatedNodeName || none),
  wideText('Readiness Gates', readinessGates),
];

const completed = (reason: string, message: string) => [{ type: 'Completed', status: 'True', reason, message }];

export const pods: Printer = printer<Pod>(columns, ({ status }) => {
  if (status?.phase === 'Succeeded') return completed('Succeeded', 'The pod has completed successfully.');
  return status?.phase === 'Failed' ? completed('Failed', 'The pod failed.') : undefined;
});

import { conditionOf, withCondition } from '../../kube/objects.ts';
import type { Pod, PodCondition, PodStatus } from '../../kube/types.ts';
import type { Slot } from './slot.ts';

export interface StatusFacts {
  pod: Pod;
  slots: readonly Slot[];
  podIPs: readonly string[];
  hostIPs: readonly string[];
  startTime: string;
  now: string;
  /** The pod was ended by the node: it stays Failed. */
  failure?: { reason: string; message: string };
}

const main = (slots: readonly Slot[]): Slot[] => slots.filter((slot) => !slot.init);
const isOver = (slot: Slot): boolean => slot.running === undefined && slot.terminated !== undefined;

/** kubelet's getPhase: from the containers alone, and the pod's restart policy. */
export function phaseOf(slots: readonly Slot[], restartPolicy: string): 'Pending' | 'Running' | 'Succeeded' | 'Failed' {
  const failedInit = slots.some((slot) => slot.init && !slot.sidecar && isOver(slot) && slot.terminated!.exitCode !== 0);
  if (failedInit && restartPolicy === 'Never') return 'Failed';
  if (slots.some((slot) => slot.init && !initialized(slot))) return 'Pending';
  const all = main(slots);
  if (all.some((slot) => slot.running)) return 'Running';
  if (all.some((slot) => !slot.hasRun && !slot.terminated)) return 'Pending';
  if (restartPolicy === 'Always') return 'Running';
  if (all.every((slot) => slot.terminated?.exitCode === 0)) return 'Succeeded';
  return restartPolicy === 'Never' && all.every(isOver) ? 'Failed' : 'Running';
}

/** An init container that does not hold up the next one: ended well, or a sidecar that has started. */
export const initialized = (slot: Slot): boolean =>
  slot.sidecar ? slot.wasStarted : slot.terminated?.exitCode === 0 && slot.running === undefined;

const missing = (what: string, slots: readonly Slot[]): string =>
  `containers with ${what}: [${slots.map(({ container }) => container.name).join(' ')}]`;

/** The conditions that a kubelet sets; others stay as they are. */
function conditionsOf(facts: StatusFacts, phase: string): PodCondition[] {
  const { pod, slots, podIPs, now } = facts;
  let conditions = pod.status?.conditions ?? [];
  const observedGeneration = pod.metadata.generation;
  const set = (type: string, good: boolean, reason?: string, message?: string): void => {
    const kept = conditions.map((one) => (one.type === type ? { ...one, reason: undefined, message: undefined } : one));
    const why = reason === undefined ? {} : { reason, ...(message ? { message } : {}) };
    const observed = observedGeneration === undefined ? {} : { observedGeneration };
    conditions = withCondition(kept, { type, status: good ? 'True' : 'False', ...why, ...observed }, now);
  };
  const finished = phase === 'Succeeded' ? 'PodCompleted' : phase === 'Failed' ? 'PodFailed' : undefined;
  set('PodReadyToStartContainers', podIPs.length > 0 && finished === undefined);
  const notInitialized = slots.filter((slot) => slot.init && !initialized(slot));
  if (notInitialized.length === 0) set('Initialized', true, phase === 'Succeeded' ? finished : undefined);
  else set('Initialized', false, finished ?? 'ContainersNotInitialized', missing('incomplete status', notInitialized));
  const notReady = slots.filter((slot) => (!slot.init || slot.sidecar) && !slot.ready);
  const unready: [string, string?] | undefined = finished
    ? [finished]
    : notReady.length > 0 || notInitialized.length > 0
      ? ['ContainersNotReady', missing('unready status', notReady)]
      : undefined;
  set('ContainersReady', unready === undefined, ...(unready ?? []));
  const gates = (pod.spec?.readinessGates ?? []).filter(
    ({ conditionType }) => conditionOf(conditions, conditionType)?.status !== 'True',
  );
  if (unready) set('Ready', false, ...unready);
  else if (gates.length > 0)
    set(
      'Ready',
      false,
      'ReadinessGatesNotReady',
      gates.map(({ conditionType: type }) => `the status of pod readiness gate "${type}" is not "True"`).join(', '),
    );
  else set('Ready', true);
  if (!conditionOf(conditions, 'PodScheduled')) set('PodScheduled', true);
  return conditions;
}

/** What is posted to the API. */
export function podStatus(facts: StatusFacts): PodStatus {
  const { pod, slots, podIPs, hostIPs, failure } = facts;
  const phase = failure ? 'Failed' : phaseOf(slots, pod.spec?.restartPolicy ?? 'Always');
  const generation = pod.metadata.generation;
  const inits = slots.filter((slot) => slot.init);
  return {
    phase,
    ...(failure ?? {}),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: conditionsOf(facts, phase),
    hostIP: hostIPs[0],
    hostIPs: hostIPs.map((ip) => ({ ip })),
    ...(podIPs.length > 0 ? { podIP: podIPs[0], podIPs: podIPs.map((ip) => ({ ip })) } : {}),
    startTime: pod.status?.startTime ?? facts.startTime,
    ...(inits.length > 0 ? { initContainerStatuses: inits.map((slot) => slot.status) } : {}),
    containerStatuses: main(slots).map((slot) => slot.status),
  };
}

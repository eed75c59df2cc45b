import { conditionOf, controllerOf } from '../../kube/objects.ts';
import type {
  ControllerRevision,
  CronJob,
  DaemonSet,
  Deployment,
  HorizontalPodAutoscaler,
  Job,
  PodDisruptionBudget,
  ReplicaSet,
  ReplicationController,
  StatefulSet,
} from '../../kube/types.ts';
import { ageColumn, containerColumns, integer, labelsText, none, printer, selectorColumn, text, wideText } from './columns.ts';
import { age, humanDuration } from './duration.ts';

export const deployments = printer<Deployment>([
  text('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`),
  integer('Up-to-date', ({ status }) => status?.updatedReplicas ?? 0),
  integer('Available', ({ status }) => status?.availableReplicas ?? 0),
  ageColumn(),
  ...containerColumns<Deployment>(),
  selectorColumn(),
]);

export const replicaSets = printer<ReplicaSet>([
  integer('Desired', ({ spec }) => spec?.replicas ?? 0),
  integer('Current', ({ status }) => status?.replicas ?? 0),
  integer('Ready', ({ status }) => status?.readyReplicas ?? 0),
  ageColumn(),
  ...containerColumns<ReplicaSet>(),
  selectorColumn(),
]);

export const replicationControllers = printer<ReplicationController>([
  integer('Desired', ({ spec }) => spec?.replicas ?? 0),
  integer('Current', ({ status }) => status?.replicas ?? 0),
  integer('Ready', ({ status }) => status?.readyReplicas ?? 0),
  ageColumn(),
  ...containerColumns<ReplicationController>(),
  wideText('Selector', ({ spec }) => labelsText(spec?.selector)),
]);

export const statefulSets = printer<StatefulSet>([
  text('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`),
  ageColumn(),
  ...containerColumns<StatefulSet>(),
]);

export const daemonSets = printer<DaemonSet>([
  integer('Desired', ({ status }) => status?.desiredNumberScheduled ?? 0),
  integer('Current', ({ status }) => status?.currentNumberScheduled ?? 0),
  integer('Ready', ({ status }) => status?.numberReady ?? 0),
  integer('Up-to-date', ({ status }) => status?.updatedNumberScheduled ?? 0),
  integer('Available', ({ status }) => status?.numberAvailable ?? 0),
  text('Node Selector', ({ spec }) => labelsText(spec?.template?.spec?.nodeSelector)),
  ageColumn(),
  ...containerColumns<DaemonSet>(),
  selectorColumn(),
]);

export const controllerRevisions = printer<ControllerRevision>([
  text('Controller', (revision) => {
    const owner = controllerOf(revision);
    if (!owner) return none;
    const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/')[0] : '';
    return `${owner.kind.toLowerCase()}${group ? `.${group}` : ''}/${owner.name}`;
  }),
  integer('Revision', ({ revision }) => revision),
  ageColumn(),
]);

function jobStatus({ metadata, status }: Job): string {
  const has = (type: string): boolean => conditionOf(status?.conditions, type)?.status === 'True';
  if (has('Complete')) return 'Complete';
  if (has('Failed')) return 'Failed';
  if (metadata.deletionTimestamp) return 'Terminating';
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find(has) ?? 'Running';
}

export const jobs = printer<Job>([
  text('Status', jobStatus),
  text('Completions', ({ spec, status }) => {
    const done = status?.succeeded ?? 0;
    if (spec?.completions !== undefined) return `${done}/${spec.completions}`;
    return (spec?.parallelism ?? 0) > 1 ? `${done}/1 of ${spec?.parallelism}` : `${done}/1`;
  }),
  text('Duration', ({ status }, { nowMs }) => {
    if (!status?.startTime) return '';
    const end = status.completionTime ? Date.parse(status.completionTime) : nowMs;
    return humanDuration(end - Date.parse(status.startTime));
  }),
  ageColumn(),
  ...containerColumns<Job>(),
  selectorColumn(),
]);

export const cronJobs = printer<CronJob>([
  text('Schedule', ({ spec }) => spec?.schedule ?? ''),
  text('Timezone', ({ spec }) => spec?.timeZone ?? none),
  { ...text('Suspend', ({ spec }: CronJob) => String(spec?.suspend ?? false)), type: 'boolean' },
  integer('Active', ({ status }) => status?.active?.length ?? 0),
  text('Last Schedule', ({ status }, { nowMs }) => (status?.lastScheduleTime ? age(status.lastScheduleTime, nowMs) : none)),
  ageColumn(),
  wideText('Containers', ({ spec }) =>
    (spec?.jobTemplate.spec?.template.spec?.containers ?? []).map(({ name }) => name).join(','),
  ),
  wideText('Images', ({ spec }) => (spec?.jobTemplate.spec?.template.spec?.containers ?? []).map(({ image }) => image).join(',')),
  wideText('Selector', () => none),
]);

export const podDisruptionBudgets = printer<PodDisruptionBudget>([
  text('Min Available', ({ spec }) => String(spec?.minAvailable ?? 'N/A')),
  text('Max Unavailable', ({ spec }) => String(spec?.maxUnavailable ?? 'N/A')),
  integer('Allowed Disruptions', ({ status }) => status?.disruptionsAllowed ?? 0),
  ageColumn(),
]);

function targets({ spec, status }: HorizontalPodAutoscaler): string {
  const shown = (spec?.metrics ?? []).map(({ type, resource }, at) => {
    if (type !== 'Resource' || !resource) return `<unknown>/<${type}>`;
    const current = status?.currentMetrics?.[at]?.resource?.current;
    const { averageUtilization, averageValue } = resource.target;
    if (averageUtilization !== undefined)
      return `${resource.name}: ${current?.averageUtilization === undefined ? '<unknown>' : `${current.averageUtilization}%`}/${averageUtilization}%`;
    return `${resource.name}: ${current?.averageValue ?? '<unknown>'}/${averageValue}`;
  });
  if (shown.length === 0) return none;
  return shown.length > 2 ? `${shown.slice(0, 2).join(', ')} + ${shown.length - 2} more...` : shown.join(', ');
}

export const horizontalPodAutoscalers = printer<HorizontalPodAutoscaler>([
  text('Reference', ({ spec }) => `${spec?.scaleTargetRef.kind}/${spec?.scaleTargetRef.name}`),
  text('Targets', targets),
  text('MinPods', ({ spec }) => String(spec?.minReplicas ?? '<unset>')),
  text('MaxPods', ({ spec }) => String(spec?.maxReplicas)),
  text('Replicas', ({ status }) => String(status?.currentReplicas ?? 0)),
  ageColumn(),
]);

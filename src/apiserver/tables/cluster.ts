import { conditionOf } from '../../kube/objects.ts';
import type {
  ConfigMap,
  Lease,
  LimitRange,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  PriorityClass,
  ResourceQuota,
  Secret,
  ServiceAccount,
  StorageClass,
} from '../../kube/types.ts';
import { as, type StoredObject } from '../object.ts';
import { ageColumn, createdColumn, integer, nameColumn, none, type Printer, printer, text, wideText } from './columns.ts';

export const namespaces = printer<Namespace>([text('Status', ({ status }) => status?.phase ?? ''), ageColumn()]);

function nodeStatus({ spec, status }: Node): string {
  const ready = conditionOf(status?.conditions, 'Ready');
  const state = !ready ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return spec?.unschedulable ? `${state},SchedulingDisabled` : state;
}

function nodeRoles({ metadata }: Node): string {
  const roles = new Set<string>();
  for (const [name, value] of Object.entries(metadata.labels ?? {})) {
    if (name.startsWith('node-role.kubernetes.io/')) roles.add(name.slice('node-role.kubernetes.io/'.length));
    else if (name === 'kubernetes.io/role' && value) roles.add(value);
  }
  roles.delete('');
  return [...roles].sort().join(',') || none;
}

const address = (node: Node, type: string): string => node.status?.addresses?.find((one) => one.type === type)?.address ?? none;

export const nodes = printer<Node>([
  text('Status', nodeStatus),
  text('Roles', nodeRoles),
  ageColumn(),
  text('Version', ({ status }) => status?.nodeInfo?.kubeletVersion ?? ''),
  wideText('Internal-IP', (node) => address(node, 'InternalIP')),
  wideText('External-IP', (node) => address(node, 'ExternalIP')),
  wideText('OS-Image', ({ status }) => status?.nodeInfo?.osImage || '<unknown>'),
  wideText('Kernel-Version', ({ status }) => status?.nodeInfo?.kernelVersion || '<unknown>'),
  wideText('Container-Runtime', ({ status }) => status?.nodeInfo?.containerRuntimeVersion || '<unknown>'),
]);

const size = (entries: object | undefined): number => Object.keys(entries ?? {}).length;

export const configMaps = printer<ConfigMap>([
  integer('Data', ({ data, binaryData }) => size(data) + size(binaryData)),
  ageColumn(),
]);

export const secrets = printer<Secret>([
  text('Type', ({ type }) => type ?? ''),
  integer('Data', ({ data }) => size(data)),
  ageColumn(),
]);

export const serviceAccounts = printer<ServiceAccount>([
  integer('Secrets', (account) => account.secrets?.length ?? 0),
  ageColumn(),
]);

export const leases = printer<Lease>([text('Holder', ({ spec }) => spec?.holderIdentity ?? ''), ageColumn()]);

const accessModes = (modes: readonly string[] | undefined): string =>
  (modes ?? [])
    .map((mode) => ({ ReadWriteOnce: 'RWO', ReadOnlyMany: 'ROX', ReadWriteMany: 'RWX', ReadWriteOncePod: 'RWOP' })[mode] ?? mode)
    .join(',');

export const persistentVolumes = printer<PersistentVolume>([
  text('Capacity', ({ spec }) => String(spec?.capacity?.storage ?? '')),
  text('Access Modes', ({ spec }) => accessModes(spec?.accessModes)),
  text('Reclaim Policy', ({ spec }) => spec?.persistentVolumeReclaimPolicy ?? ''),
  text('Status', ({ metadata, status }) => (metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''))),
  text('Claim', ({ spec }) => (spec?.claimRef ? `${spec.claimRef.namespace}/${spec.claimRef.name}` : '')),
  text('StorageClass', ({ spec }) => spec?.storageClassName ?? ''),
  text('VolumeAttributesClass', ({ spec }) => spec?.volumeAttributesClassName ?? '<unset>'),
  text('Reason', ({ status }) => status?.reason ?? ''),
  ageColumn(),
  wideText('VolumeMode', ({ spec }) => spec?.volumeMode ?? '<unset>'),
]);

export const persistentVolumeClaims = printer<PersistentVolumeClaim>([
  text('Status', ({ metadata, status }) => (metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''))),
  text('Volume', ({ spec }) => spec?.volumeName ?? ''),
  text('Capacity', ({ spec, status }) => (spec?.volumeName ? String(status?.capacity?.storage ?? '') : '')),
  text('Access Modes', ({ spec, status }) => (spec?.volumeName ? accessModes(status?.accessModes) : '')),
  text('StorageClass', ({ spec }) => spec?.storageClassName ?? ''),
  text('VolumeAttributesClass', ({ spec }) => spec?.volumeAttributesClassName ?? '<unset>'),
  ageColumn(),
  wideText('VolumeMode', ({ spec }) => spec?.volumeMode ?? '<unset>'),
]);

const isDefaultClass = (object: StorageClass): boolean =>
  object.metadata.annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true';

const storageColumns = printer<StorageClass>([
  text('Provisioner', ({ provisioner }) => provisioner),
  text('ReclaimPolicy', ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete'),
  text('VolumeBindingMode', ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate'),
  {
    ...text('AllowVolumeExpansion', ({ allowVolumeExpansion }: StorageClass) => String(allowVolumeExpansion ?? false)),
    type: 'boolean',
  },
  ageColumn(),
]);

export const storageClasses: Printer = {
  columns: [
    nameColumn<StoredObject>((object) =>
      isDefaultClass(as(object)) ? `${object.metadata.name} (default)` : object.metadata.name,
    ),
    ...storageColumns.columns.slice(1),
  ],
};

export const priorityClasses = printer<PriorityClass>([
  integer('Value', ({ value }) => value ?? 0),
  { ...text('Global-Default', ({ globalDefault }: PriorityClass) => String(globalDefault ?? false)), type: 'boolean' },
  ageColumn(),
  text('PreemptionPolicy', ({ preemptionPolicy }) => preemptionPolicy ?? ''),
]);

const quotaText = ({ status, spec }: ResourceQuota, limits: boolean): string =>
  Object.entries(status?.hard ?? spec?.hard ?? {})
    .filter(([name]) => name.startsWith('limits.') === limits)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, hard]) => `${name}: ${status?.used?.[name] ?? 0}/${hard}`)
    .join(', ');

export const resourceQuotas = printer<ResourceQuota>([
  text('Request', (quota) => quotaText(quota, false)),
  text('Limit', (quota) => quotaText(quota, true)),
  ageColumn(),
]);

export const limitRanges = printer<LimitRange>([createdColumn()]);

import type { ClusterRole, ClusterRoleBinding, Event, Role, RoleBinding } from '../../kube/types.ts';
import { ageColumn, createdColumn, nameColumn, type Printer, printer, text, wideText } from './columns.ts';
import { age } from './duration.ts';

export const roles = printer<Role>([createdColumn()]);
export const clusterRoles = printer<ClusterRole>([createdColumn()]);

type Binding = RoleBinding | ClusterRoleBinding;
const subjects =
  (kind: string) =>
  (binding: Binding): string =>
    (binding.subjects ?? [])
      .filter((subject) => subject.kind === kind)
      .map(({ namespace, name }) => (kind === 'ServiceAccount' ? `${namespace}/${name}` : name))
      .join(', ');

const bindings = printer<Binding>([
  text('Role', ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`),
  ageColumn(),
  wideText('Users', subjects('User')),
  wideText('Groups', subjects('Group')),
  wideText('ServiceAccounts', subjects('ServiceAccount')),
]);
export const roleBindings = bindings;
export const clusterRoleBindings = bindings;

const firstSeen = ({ firstTimestamp, eventTime }: Event): string | undefined => firstTimestamp ?? eventTime;
const lastSeen = (event: Event): string | undefined => event.series?.lastObservedTime ?? event.lastTimestamp ?? firstSeen(event);

function source({ source: from, reportingComponent, reportingInstance }: Event): string {
  const component = from?.component || reportingComponent || '';
  const host = from?.host || reportingInstance || '';
  return host ? `${component}, ${host}` : component;
}

export const events: Printer = {
  columns: [
    text('Last Seen', (event: Event, { nowMs }) => age(lastSeen(event), nowMs)),
    text('Type', ({ type }: Event) => type ?? ''),
    text('Reason', ({ reason }: Event) => reason ?? ''),
    text('Object', ({ involvedObject }: Event) =>
      involvedObject.name
        ? `${(involvedObject.kind ?? '').toLowerCase()}/${involvedObject.name}`
        : (involvedObject.kind ?? '').toLowerCase(),
    ),
    wideText('Subobject', ({ involvedObject }: Event) => involvedObject.fieldPath ?? ''),
    wideText('Source', source),
    text('Message', ({ message }: Event) => (message ?? '').trim()),
    wideText('First Seen', (event: Event, { nowMs }) => age(firstSeen(event), nowMs)),
    { ...wideText('Count', ({ series, count }: Event) => series?.count ?? (count || 1)), type: 'integer' },
    { ...nameColumn<Event>(), priority: 1 },
  ],
} as unknown as Printer;

/** For kinds without a printer of their own. */
export const anything: Printer = printer([createdColumn()]);

import type { FieldRow, Table } from '../table.ts';
import { allFields } from './compare.ts';

/** Kinds whose types, and all they refer to, stand in src/kube/types.ts. */
const roots = [
  ...['Pod', 'Service', 'Endpoints', 'Node', 'Namespace', 'ConfigMap', 'Secret', 'ServiceAccount', 'PersistentVolumeClaim'],
  ...['PersistentVolume', 'ReplicationController', 'LimitRange', 'ResourceQuota', 'Event', 'Binding'].map((kind) => kind),
].map((kind) => `io.k8s.api.core.v1.${kind}`);
const more: Record<string, string[]> = {
  'apps.v1': ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'ControllerRevision'],
  'networking.v1': ['NetworkPolicy', 'Ingress', 'IngressClass', 'ServiceCIDR', 'IPAddress'],
  'discovery.v1': ['EndpointSlice'],
  'batch.v1': ['Job', 'CronJob'],
  'policy.v1': ['PodDisruptionBudget', 'Eviction'],
  'rbac.v1': ['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding'],
  'storage.v1': ['StorageClass'],
  'scheduling.v1': ['PriorityClass'],
  'coordination.v1': ['Lease'],
  'autoscaling.v1': ['Scale'],
  'autoscaling.v2': ['HorizontalPodAutoscaler'],
  'events.v1': ['Event'],
  'authentication.v1': ['TokenRequest', 'SelfSubjectReview'],
  'authorization.v1': ['SelfSubjectAccessReview', 'SelfSubjectRulesReview', 'SubjectAccessReview'],
};
for (const [api, kinds] of Object.entries(more)) for (const kind of kinds) roots.push(`io.k8s.api.${api}.${kind}`);
for (const kind of ['Status', 'DeleteOptions']) roots.push(`io.k8s.apimachinery.pkg.apis.meta.v1.${kind}`);

/** Names that two groups use; the core group keeps the plain one. */
const renamed: Record<string, string> = {
  'io.k8s.api.discovery.v1.EndpointPort': 'EndpointSlicePort',
  'io.k8s.api.events.v1.Event': 'EventsEvent',
  'io.k8s.api.events.v1.EventSeries': 'EventsEventSeries',
};

const primitives: Record<string, string> = {
  string: 'string',
  boolean: 'boolean',
  int32: 'number',
  int64: 'number',
  float64: 'number',
  bytes: 'string',
  any: 'unknown',
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'string',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'number | string',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'string',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'string',
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': 'unknown',
  'io.k8s.apimachinery.pkg.runtime.RawExtension': 'unknown',
};

/** The text of src/kube/types.ts. */
export function typesSource(table: Table): string {
  const shortName = (model: string): string => renamed[model] ?? model.slice(model.lastIndexOf('.') + 1);
  const out = new Map<string, { model: string; text: string }>();
  const typeText = (type: string): string => {
    if (type.startsWith('@')) return typeText(type.slice(1));
    if (type.startsWith('{}')) return `Record<string, ${typeText(type.slice(2))}>`;
    if (type.startsWith('[]')) {
      const item = typeText(type.slice(2));
      return item.includes('|') ? `(${item})[]` : `${item}[]`;
    }
    const primitive = primitives[type];
    if (primitive) return primitive;
    add(type);
    return shortName(type);
  };
  const add = (model: string): void => {
    const name = shortName(model);
    const known = out.get(name);
    if (known) {
      if (known.model !== model)
        throw new Error(`both ${known.model} and ${model} would be called ${name}: give one another name in types.ts`);
      return;
    }
    out.set(name, { model, text: '' });
    const top = table.models[model]?.gvk && !name.endsWith('Options');
    const fields = allFields(table, model).sort((a, b) => (a[0] < b[0] ? -1 : 1));
    const lines = fields.map((row: FieldRow) => {
      const [field, type, flags] = row;
      const needed =
        flags.includes('r') ||
        (name === 'ObjectMeta' && field === 'name') ||
        (top && field === 'metadata' && type.endsWith('.ObjectMeta'));
      const key = /^[A-Za-z_]\w*$/.test(field) ? field : `'${field}'`;
      return `  ${key}${needed ? '' : '?'}: ${typeText(type)};`;
    });
    out.set(name, { model, text: `export interface ${name} {\n${lines.join('\n')}\n}` });
  };
  roots.forEach(add);
  const head = `// Generated from the Kubernetes ${table.version} API (Apache-2.0, see NOTICE) by src/apiserver/schema/generate.ts. Do not edit by hand.`;
  const texts = [...out].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { text }]) => text);
  return `${head}\n\n${texts.join('\n\n')}\n`;
}

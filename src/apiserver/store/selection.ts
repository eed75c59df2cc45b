import {
  type FieldTerm,
  fieldValue,
  matches,
  matchesFields,
  parseFieldSelector,
  parseSelector,
  type Selector,
} from '../../kube/selectors.ts';
import { badRequest } from '../errors.ts';
import type { StoredObject } from '../object.ts';
import type { ApiResource } from '../resources.ts';

/** Which objects a list or a watch is about. */
export interface Selection {
  /** undefined: all namespaces */
  namespace?: string;
  /** Set when only one name can match. */
  name?: string;
  /** Neither labels nor fields are asked for: everything of the namespace matches. */
  everything: boolean;
  matches(object: StoredObject): boolean;
}

export const everything = (namespace?: string): Selection => ({ namespace, everything: true, matches: () => true });

/** @throws ApiError 400 as the real server words it */
export function selection(
  resource: ApiResource,
  namespace: string | undefined,
  labelSelector = '',
  fieldSelector = '',
): Selection {
  let labels: Selector = [];
  let fields: FieldTerm[] = [];
  try {
    labels = parseSelector(labelSelector);
    fields = parseFieldSelector(fieldSelector);
  } catch (error) {
    throw badRequest((error as Error).message);
  }
  let name: string | undefined;
  let within = namespace;
  const rest: FieldTerm[] = [];
  for (const term of fields) {
    const path = term.path;
    if (path === 'metadata.name' && term.equal) name = term.value;
    else if (path === 'metadata.namespace' && term.equal && within === undefined) within = term.value;
    else if (path === 'metadata.name' || path === 'metadata.namespace' || resource.selectableFields.includes(path))
      rest.push(term);
    else throw badRequest(`field label not supported: ${path}`);
  }
  if (labels.length === 0 && fields.length === 0) return everything(namespace);
  return {
    namespace: within,
    name,
    everything: false,
    matches: (object) =>
      (name === undefined || object.metadata.name === name) &&
      matches(labels, object.metadata.labels) &&
      (rest.length === 0 || rest.every((term) => matchesTerm(term, object))),
  };
}

function matchesTerm(term: FieldTerm, object: StoredObject): boolean {
  const computed = computedFields[`${object.kind}/${term.path}`];
  if (computed) return (computed(object) === term.value) === term.equal;
  return matchesFields([term], object);
}

const flag = (path: string) => (object: StoredObject) => fieldValue(object, path) || 'false';
const count = (path: string) => (object: StoredObject) => fieldValue(object, path) || '0';

/** Fields that selectors see otherwise than as the text at their path. */
const computedFields: Record<string, (object: StoredObject) => string> = {
  'Event/source': (object) => fieldValue(object, 'source.component') || fieldValue(object, 'reportingComponent'),
  'Job/status.successful': count('status.succeeded'),
  'Node/spec.unschedulable': flag('spec.unschedulable'),
  'Pod/spec.hostNetwork': flag('spec.hostNetwork'),
  'Pod/status.podIPs': (object) => ((object.status?.podIPs ?? []) as { ip: string }[]).map(({ ip }) => ip).join(','),
  'ReplicaSet/status.replicas': count('status.replicas'),
  'ReplicationController/status.replicas': count('status.replicas'),
};

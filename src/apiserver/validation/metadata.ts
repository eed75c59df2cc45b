import type { LabelSelector, ObjectMeta } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import type { StoredObject } from '../object.ts';
import type { ApiResource } from '../resources.ts';
import type { FieldErrors } from './field-errors.ts';
import { isDns1123Label, isDns1123Subdomain, isLabelValue, isQualifiedName } from './names.ts';

const pathSegment = (name: string): string[] => {
  if (name === '.' || name === '..') return [`may not be '${name}'`];
  return /[/%]/.test(name) ? [`may not contain '${/[/%]/.exec(name)![0]}'`] : [];
};

/** An IPAddress is named by its address in canonical form (RFC 5952): of two who want one address the second finds the name taken. */
function canonicalIp(name: string): string[] {
  const ip = IpAddr.tryParse(name);
  if (!ip || /^::ffff:/i.test(ip.toString())) return ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'];
  return ip.toString() === name ? [] : [`must be in canonical form ("${ip}")`];
}

/** How names of a kind must look; subdomains unless said here. */
const nameChecks: Readonly<Record<string, (name: string) => string[]>> = {
  Namespace: isDns1123Label,
  IPAddress: canonicalIp,
  // Relaxed in 1.37 (KEP-5311, SA18); older servers demanded a DNS-1035 label.
  Service: isDns1123Label,
  Role: pathSegment,
  RoleBinding: pathSegment,
  ClusterRole: pathSegment,
  ClusterRoleBinding: pathSegment,
};

const checkName = (kind: string, name: string): string[] => (nameChecks[kind] ?? isDns1123Subdomain)(name);

const maxAnnotationBytes = 256 * 1024;

export function validateMetadata(resource: ApiResource, { metadata }: StoredObject, errors: FieldErrors): void {
  const { name, generateName } = metadata;
  if (generateName)
    for (const fault of checkName(resource.kind, generateName.replace(/[-.]$/, 'a')))
      errors.invalid('metadata.generateName', generateName, fault);
  if (!name) errors.required('metadata.name', 'name or generateName is required');
  else for (const fault of checkName(resource.kind, name)) errors.invalid('metadata.name', name, fault);
  if (resource.namespaced)
    for (const fault of isDns1123Label(metadata.namespace ?? ''))
      errors.invalid('metadata.namespace', metadata.namespace ?? '', fault);
  validateLabels(metadata.labels, 'metadata.labels', errors);
  validateAnnotations(metadata.annotations, 'metadata.annotations', errors);
  metadata.ownerReferences?.forEach((reference, at) => {
    const path = `metadata.ownerReferences[${at}]`;
    if (!reference.apiVersion) errors.invalid(`${path}.apiVersion`, '', 'version must not be empty');
    if (!reference.kind) errors.invalid(`${path}.kind`, '', 'must not be empty');
    if (!reference.name) errors.invalid(`${path}.name`, '', 'must not be empty');
    if (!reference.uid) errors.invalid(`${path}.uid`, '', 'must not be empty');
  });
  const controllers = (metadata.ownerReferences ?? []).filter((reference) => reference.controller);
  if (controllers.length > 1)
    errors.invalid(
      'metadata.ownerReferences',
      metadata.ownerReferences,
      `Only one reference can have Controller set to true. Found "true" in references for ${controllers[0]!.name} and ${controllers[1]!.name}`,
    );
  metadata.finalizers?.forEach((finalizer) => {
    for (const fault of isQualifiedName(finalizer)) errors.invalid('metadata.finalizers', finalizer, fault);
    if (!finalizer.includes('/') && !standardFinalizers.has(finalizer))
      errors.invalid('metadata.finalizers', finalizer, 'name is neither a standard finalizer name nor is it fully qualified');
  });
}

const standardFinalizers = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);

export function validateMetadataUpdate(object: StoredObject, old: StoredObject, errors: FieldErrors): void {
  const immutable = 'field is immutable';
  const fixed: (keyof ObjectMeta)[] = [
    'name',
    'namespace',
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ];
  for (const name of fixed)
    if (object.metadata[name] !== old.metadata[name]) errors.invalid(`metadata.${name}`, object.metadata[name], immutable);
  if (old.metadata.deletionTimestamp) {
    const added = (object.metadata.finalizers ?? []).filter((finalizer) => !old.metadata.finalizers?.includes(finalizer));
    if (added.length > 0)
      errors.forbidden(
        'metadata.finalizers',
        `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
      );
  }
}

export function validateLabels(labels: Record<string, string> | undefined, path: string, errors: FieldErrors): void {
  for (const [name, value] of Object.entries(labels ?? {})) {
    for (const fault of isQualifiedName(name)) errors.invalid(path, name, fault);
    for (const fault of isLabelValue(value)) errors.invalid(path, value, fault);
  }
}

export function validateAnnotations(annotations: Record<string, string> | undefined, path: string, errors: FieldErrors): void {
  let bytes = 0;
  for (const [name, value] of Object.entries(annotations ?? {})) {
    for (const fault of isQualifiedName(name.toLowerCase())) errors.invalid(path, name, fault);
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (bytes > maxAnnotationBytes) errors.tooLong(path, maxAnnotationBytes);
}

export function validateSelector(selector: LabelSelector | undefined, path: string, errors: FieldErrors): void {
  validateLabels(selector?.matchLabels, `${path}.matchLabels`, errors);
  selector?.matchExpressions?.forEach(({ key, operator, values = [] }, at) => {
    const here = `${path}.matchExpressions[${at}]`;
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0) errors.required(`${here}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0)
        errors.forbidden(`${here}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else errors.invalid(`${here}.operator`, operator ?? '', 'not a valid selector operator');
    for (const fault of isQualifiedName(key ?? '')) errors.invalid(`${here}.key`, key ?? '', fault);
    values.forEach((value, index) => {
      for (const fault of isLabelValue(value)) errors.invalid(`${here}.values[${index}]`, value, fault);
    });
  });
}

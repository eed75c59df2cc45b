import { jsonEqual } from '../../kube/objects.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  Event,
  HorizontalPodAutoscaler,
  Lease,
  PriorityClass,
  Role,
  RoleBinding,
  StorageClass,
} from '../../kube/types.ts';
import { strategy } from '../registry/strategy.ts';
import type { FieldErrors } from '../validation/field-errors.ts';

export const horizontalPodAutoscalers = strategy<HorizontalPodAutoscaler>({
  initialStatus: { desiredReplicas: 0, currentMetrics: [] },
  defaults({ spec }) {
    if (!spec) return;
    spec.minReplicas ??= 1;
    if (!spec.metrics?.length)
      spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }];
  },
  validate({ spec }, errors) {
    if (!spec?.scaleTargetRef?.kind) errors.required('spec.scaleTargetRef.kind');
    if (!spec?.scaleTargetRef?.name) errors.required('spec.scaleTargetRef.name');
    if ((spec?.minReplicas ?? 1) < 1) errors.invalid('spec.minReplicas', spec?.minReplicas, 'must be greater than or equal to 1');
    if (!((spec?.maxReplicas ?? 0) > 0)) errors.invalid('spec.maxReplicas', spec?.maxReplicas ?? 0, 'must be greater than 0');
    else if (spec!.maxReplicas < (spec!.minReplicas ?? 1))
      errors.invalid('spec.maxReplicas', spec!.maxReplicas, 'must be greater than or equal to `minReplicas`');
  },
});

export const events = strategy<Event>({
  validate({ involvedObject, metadata }, errors) {
    const expected = involvedObject?.namespace || 'default';
    if (metadata.namespace !== expected)
      errors.invalid('involvedObject.namespace', involvedObject?.namespace ?? '', 'does not match event.namespace');
  },
});

export const leases = strategy<Lease>({
  validate({ spec }, errors) {
    if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0)
      errors.invalid('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0');
  },
});

export const storageClasses = strategy<StorageClass>({
  defaults(storageClass) {
    storageClass.reclaimPolicy ??= 'Delete';
    storageClass.volumeBindingMode ??= 'Immediate';
  },
  validateUpdate(storageClass, old, errors) {
    for (const name of ['provisioner', 'parameters', 'reclaimPolicy', 'volumeBindingMode'] as const)
      if (!jsonEqual(storageClass[name], old[name])) errors.forbidden(name, `updates to ${name} are forbidden.`);
  },
});

export const priorityClasses = strategy<PriorityClass>({
  generation: true,
  defaults(priorityClass) {
    priorityClass.preemptionPolicy ??= 'PreemptLowerPriority';
  },
  validateUpdate(priorityClass, old, errors) {
    if (priorityClass.value !== old.value) errors.forbidden('value', 'may not be changed in an update.');
  },
});

const rbac = 'rbac.authorization.k8s.io';

function validateRules(rules: Role['rules'], errors: FieldErrors): void {
  rules?.forEach(({ verbs, apiGroups, resources, nonResourceURLs }, at) => {
    const path = `rules[${at}]`;
    if (!verbs?.length) errors.required(`${path}.verbs`, 'verbs must contain at least one value');
    if (nonResourceURLs?.length) return;
    if (!apiGroups?.length) errors.required(`${path}.apiGroups`, 'resource rules must supply at least one api group');
    if (!resources?.length) errors.required(`${path}.resources`, 'resource rules must supply at least one resource');
  });
}

export const roles = strategy<Role>({
  validate({ rules }, errors) {
    validateRules(rules, errors);
  },
});
export const clusterRoles = strategy<ClusterRole>({
  validate({ rules }, errors) {
    validateRules(rules, errors);
  },
});

function bindings<T extends RoleBinding | ClusterRoleBinding>() {
  return strategy<T>({
    defaults(binding) {
      if (binding.roleRef) binding.roleRef.apiGroup ||= rbac;
      for (const subject of binding.subjects ?? [])
        if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= rbac;
    },
    validate({ roleRef, subjects }, errors) {
      if (!['Role', 'ClusterRole'].includes(roleRef?.kind ?? ''))
        errors.notSupported('roleRef.kind', roleRef?.kind ?? '', ['ClusterRole', 'Role']);
      if (!roleRef?.name) errors.required('roleRef.name');
      subjects?.forEach(({ kind, name, namespace }, at) => {
        const path = `subjects[${at}]`;
        if (!name) errors.required(`${path}.name`);
        if (!['ServiceAccount', 'User', 'Group'].includes(kind ?? ''))
          errors.notSupported(`${path}.kind`, kind ?? '', ['Group', 'ServiceAccount', 'User']);
        if (kind === 'ServiceAccount' && !namespace) errors.required(`${path}.namespace`);
      });
    },
    validateUpdate({ roleRef }, old, errors) {
      if (!jsonEqual(roleRef, old.roleRef)) errors.invalid('roleRef', roleRef, 'cannot change roleRef');
    },
  });
}
export const roleBindings = bindings<RoleBinding>();
export const clusterRoleBindings = bindings<ClusterRoleBinding>();

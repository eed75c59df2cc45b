import { jsonEqual } from '../../kube/objects.ts';
import { formatSelector, fromLabelSelector, fromMap, matches } from '../../kube/selectors.ts';
import type {
  DaemonSet,
  Deployment,
  LabelSelector,
  PodTemplateSpec,
  ReplicaSet,
  ReplicationController,
  StatefulSet,
} from '../../kube/types.ts';
import { defaultPodSpec } from '../defaults/pod.ts';
import { strategy } from '../registry/strategy.ts';
import type { FieldErrors } from '../validation/field-errors.ts';
import { validateAnnotations, validateLabels, validateSelector } from '../validation/metadata.ts';
import { validatePodSpec } from '../validation/pod.ts';

const nonNegative = 'must be greater than or equal to 0';
const immutable = 'field is immutable';

export function defaultTemplate(template: PodTemplateSpec | undefined): void {
  if (template?.spec) defaultPodSpec(template.spec);
}

export function validateTemplate(
  template: PodTemplateSpec | undefined,
  path: string,
  errors: FieldErrors,
  restartPolicies?: readonly string[],
): void {
  validateLabels(template?.metadata?.labels, `${path}.labels`, errors);
  validateAnnotations(template?.metadata?.annotations, `${path}.annotations`, errors);
  validatePodSpec(template?.spec, `${path}.spec`, errors, restartPolicies);
}

interface Replicated {
  replicas?: number;
  minReadySeconds?: number;
  selector?: LabelSelector;
  template?: PodTemplateSpec;
}

function validateReplicated(spec: Replicated | undefined, errors: FieldErrors, always = true): void {
  if ((spec?.replicas ?? 0) < 0) errors.invalid('spec.replicas', spec?.replicas, nonNegative);
  if ((spec?.minReadySeconds ?? 0) < 0) errors.invalid('spec.minReadySeconds', spec?.minReadySeconds, nonNegative);
  const selector = spec?.selector;
  if (!selector) errors.required('spec.selector');
  else {
    validateSelector(selector, 'spec.selector', errors);
    if (!selector.matchLabels && !selector.matchExpressions?.length)
      errors.invalid('spec.selector', selector, 'empty selector is invalid for deployment');
  }
  const labels = spec?.template?.metadata?.labels;
  try {
    const parsed = selector && fromLabelSelector(selector);
    if (parsed && !matches(parsed, labels))
      errors.invalid('spec.template.metadata.labels', labels ?? {}, '`selector` does not match template `labels`');
  } catch {
    // Told by validateSelector.
  }
  validateTemplate(spec?.template, 'spec.template', errors, always ? ['Always'] : undefined);
}

function validateSelectorUpdate(spec: Replicated | undefined, old: Replicated | undefined, errors: FieldErrors): void {
  if (!jsonEqual(spec?.selector, old?.selector)) errors.invalid('spec.selector', spec?.selector ?? null, immutable);
}

export const deployments = strategy<Deployment>({
  generation: true,
  initialStatus: {},
  defaults({ spec }) {
    if (!spec) return;
    spec.replicas ??= 1;
    spec.strategy ??= {};
    spec.strategy.type ||= 'RollingUpdate';
    if (spec.strategy.type === 'RollingUpdate') {
      spec.strategy.rollingUpdate ??= {};
      spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
      spec.strategy.rollingUpdate.maxSurge ??= '25%';
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    defaultTemplate(spec.template);
  },
  validate({ spec }, errors) {
    validateReplicated(spec, errors);
    if (!spec) return;
    const { strategy: how } = spec;
    if (how?.type === 'Recreate' && how.rollingUpdate)
      errors.forbidden('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'");
    if (how?.type === 'RollingUpdate') validateRollingUpdate(how.rollingUpdate ?? {}, 'spec.strategy.rollingUpdate', errors);
    if (spec.progressDeadlineSeconds !== undefined && spec.progressDeadlineSeconds <= (spec.minReadySeconds ?? 0))
      errors.invalid('spec.progressDeadlineSeconds', spec.progressDeadlineSeconds, 'must be greater than minReadySeconds');
    if ((spec.revisionHistoryLimit ?? 0) < 0) errors.invalid('spec.revisionHistoryLimit', spec.revisionHistoryLimit, nonNegative);
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    validateSelectorUpdate(spec, old, errors);
  },
});

function validateRollingUpdate(
  update: { maxUnavailable?: number | string; maxSurge?: number | string },
  path: string,
  errors: FieldErrors,
): void {
  for (const name of ['maxUnavailable', 'maxSurge'] as const) {
    const value = update[name];
    if (typeof value === 'string' && !/^\d+%$/.test(value))
      errors.invalid(
        `${path}.${name}`,
        value,
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
      );
    else if (typeof value === 'number' && value < 0) errors.invalid(`${path}.${name}`, value, nonNegative);
  }
  const zero = (value: number | string | undefined): boolean => value === 0 || value === '0%';
  if (zero(update.maxUnavailable) && zero(update.maxSurge))
    errors.invalid(`${path}.maxUnavailable`, update.maxUnavailable, 'may not be 0 when `maxSurge` is 0');
  const percent = typeof update.maxUnavailable === 'string' ? Number.parseInt(update.maxUnavailable, 10) : 0;
  if (percent > 100) errors.invalid(`${path}.maxUnavailable`, update.maxUnavailable, 'must not be greater than 100%');
}

export const replicaSets = strategy<ReplicaSet>({
  generation: true,
  initialStatus: { replicas: 0 },
  defaults({ spec }) {
    if (!spec) return;
    spec.replicas ??= 1;
    defaultTemplate(spec.template);
  },
  validate({ spec }, errors) {
    validateReplicated(spec, errors);
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    validateSelectorUpdate(spec, old, errors);
  },
});

export const statefulSets = strategy<StatefulSet>({
  generation: true,
  initialStatus: { replicas: 0, availableReplicas: 0 },
  defaults({ spec }) {
    if (!spec) return;
    spec.replicas ??= 1;
    spec.podManagementPolicy ||= 'OrderedReady';
    spec.updateStrategy ??= {};
    spec.updateStrategy.type ||= 'RollingUpdate';
    if (spec.updateStrategy.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate ??= {};
      spec.updateStrategy.rollingUpdate.partition ??= 0;
    }
    spec.persistentVolumeClaimRetentionPolicy ??= { whenDeleted: 'Retain', whenScaled: 'Retain' };
    spec.revisionHistoryLimit ??= 10;
    defaultTemplate(spec.template);
    for (const claim of spec.volumeClaimTemplates ?? []) {
      if (claim.spec) claim.spec.volumeMode ??= 'Filesystem';
      claim.status ??= { phase: 'Pending' };
    }
  },
  validate({ spec }, errors) {
    validateReplicated(spec, errors);
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    if (!spec || !old) return;
    const changing = [
      'replicas',
      'ordinals',
      'template',
      'updateStrategy',
      'revisionHistoryLimit',
      'persistentVolumeClaimRetentionPolicy',
      'minReadySeconds',
    ] as const;
    const [a, b] = [{ ...spec }, { ...old }];
    for (const name of changing) {
      delete (a as Partial<typeof spec>)[name];
      delete (b as Partial<typeof spec>)[name];
    }
    if (!jsonEqual(a, b))
      errors.forbidden(
        'spec',
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
      );
  },
});

export const daemonSets = strategy<DaemonSet>({
  generation: true,
  initialStatus: { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 },
  defaults({ spec }) {
    if (!spec) return;
    spec.updateStrategy ??= {};
    spec.updateStrategy.type ||= 'RollingUpdate';
    if (spec.updateStrategy.type === 'RollingUpdate') {
      spec.updateStrategy.rollingUpdate ??= {};
      spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
      spec.updateStrategy.rollingUpdate.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    defaultTemplate(spec.template);
  },
  validate({ spec }, errors) {
    validateReplicated(spec, errors);
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    validateSelectorUpdate(spec, old, errors);
  },
});

export const replicationControllers = strategy<ReplicationController>({
  generation: true,
  initialStatus: { replicas: 0 },
  defaults(controller) {
    const { spec, metadata } = controller;
    if (!spec) return;
    spec.replicas ??= 1;
    const labels = spec.template?.metadata?.labels;
    // Before selectors had to be written, the labels of the pods were both selector and labels.
    if (labels) {
      if (!spec.selector || Object.keys(spec.selector).length === 0) spec.selector = { ...labels };
      if (!metadata.labels || Object.keys(metadata.labels).length === 0) metadata.labels = { ...labels };
    }
    defaultTemplate(spec.template);
  },
  validate({ spec }, errors) {
    if ((spec?.replicas ?? 0) < 0) errors.invalid('spec.replicas', spec?.replicas, nonNegative);
    const selector = spec?.selector ?? {};
    if (Object.keys(selector).length === 0) errors.required('spec.selector');
    if (!spec?.template) errors.required('spec.template');
    else {
      const labels = spec.template.metadata?.labels;
      if (!matches(fromMap(selector), labels))
        errors.invalid('spec.template.metadata.labels', labels ?? {}, '`selector` does not match template `labels`');
      validateTemplate(spec.template, 'spec.template', errors, ['Always']);
    }
  },
});

/** The selector of anything scalable, as Scale's status has it. */
export function selectorText(selector: unknown): string {
  if (!selector || typeof selector !== 'object') return '';
  const isLabelSelector = 'matchLabels' in selector || 'matchExpressions' in selector;
  const parsed = isLabelSelector ? fromLabelSelector(selector as LabelSelector) : fromMap(selector as Record<string, string>);
  return formatSelector(parsed ?? []);
}

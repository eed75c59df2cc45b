import { jsonEqual } from '../../kube/objects.ts';
import type { Namespace, Node, PersistentVolume, PersistentVolumeClaim } from '../../kube/types.ts';
import { strategy } from '../registry/strategy.ts';
import { validateCidr } from '../validation/ip.ts';
import { isLabelValue, isQualifiedName } from '../validation/names.ts';

const nameLabel = 'kubernetes.io/metadata.name';

export const namespaces = strategy<Namespace>({
  initialStatus: { phase: 'Active' },
  defaults(namespace) {
    namespace.metadata.labels = { ...namespace.metadata.labels, [nameLabel]: namespace.metadata.name };
  },
  prepareCreate(namespace) {
    // Held until the namespace controller has emptied it.
    const finalizers = namespace.spec?.finalizers ?? [];
    namespace.spec = { finalizers: finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes'] };
  },
  prepareUpdate(namespace, old) {
    // Only the subresource `finalize` changes them.
    namespace.spec = { ...namespace.spec, finalizers: old.spec?.finalizers };
  },
});

export const nodes = strategy<Node>({
  initialStatus: 'keep',
  defaults(node) {
    node.spec ??= {};
  },
  validate({ spec }, errors) {
    const cidrs = spec?.podCIDRs ?? [];
    if (cidrs.length > 0 && cidrs[0] !== spec?.podCIDR)
      errors.invalid('spec.podCIDRs[0]', cidrs[0], 'must be the same as podCIDR');
    if (cidrs.length > 2) errors.invalid('spec.podCIDRs', cidrs, 'may specify no more than one CIDR for each IP family');
    cidrs.forEach((cidr, at) => void validateCidr(cidr, `spec.podCIDRs[${at}]`, errors));
    if (cidrs.length === 2 && cidrs[0]!.includes(':') === cidrs[1]!.includes(':'))
      errors.invalid('spec.podCIDRs', cidrs, 'may specify no more than one CIDR for each IP family');
    spec?.taints?.forEach(({ key, value, effect }, at) => {
      const path = `metadata.taints[${at}]`;
      for (const fault of isQualifiedName(key ?? '')) errors.invalid(`${path}.key`, key ?? '', fault);
      for (const fault of isLabelValue(value ?? '')) errors.invalid(`${path}.value`, value, fault);
      const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
      if (!effects.includes(effect ?? '')) errors.notSupported(`${path}.effect`, effect ?? '', effects);
    });
  },
  prepareCreate({ spec }) {
    if (spec?.podCIDR && !spec.podCIDRs?.length) spec.podCIDRs = [spec.podCIDR];
    else if (spec?.podCIDRs?.length && !spec.podCIDR) spec.podCIDR = spec.podCIDRs[0];
  },
  prepareUpdate({ spec }) {
    if (spec?.podCIDR && !spec.podCIDRs?.length) spec.podCIDRs = [spec.podCIDR];
    else if (spec?.podCIDRs?.length && !spec.podCIDR) spec.podCIDR = spec.podCIDRs[0];
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    // Set once, by whoever hands out the ranges.
    if (old?.podCIDRs?.length && !jsonEqual(spec?.podCIDRs, old.podCIDRs))
      errors.forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid');
    if (old?.providerID && spec?.providerID !== old.providerID)
      errors.forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid');
  },
});

export const persistentVolumes = strategy<PersistentVolume>({
  initialStatus: { phase: 'Pending' },
  defaults({ spec }) {
    if (!spec) return;
    spec.persistentVolumeReclaimPolicy ||= 'Retain';
    spec.volumeMode ??= 'Filesystem';
  },
  validate({ spec }, errors) {
    if (!spec?.accessModes?.length) errors.required('spec.accessModes');
    if (!spec?.capacity?.storage) errors.required('spec.capacity');
  },
});

export const persistentVolumeClaims = strategy<PersistentVolumeClaim>({
  initialStatus: { phase: 'Pending' },
  defaults({ spec }) {
    if (spec) spec.volumeMode ??= 'Filesystem';
  },
  validate({ spec }, errors) {
    if (!spec?.accessModes?.length) errors.required('spec.accessModes', 'at least 1 access mode is required');
    if (!spec?.resources?.requests?.storage) errors.required('spec.resources[storage]');
  },
});

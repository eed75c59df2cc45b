import { jsonEqual } from '../../kube/objects.ts';
import type { Pod, PodSpec } from '../../kube/types.ts';
import { quantityNano } from '../codec/quantity.ts';
import { defaultPodSpec } from '../defaults/pod.ts';
import { clone } from '../object.ts';
import { strategy } from '../registry/strategy.ts';
import { validatePodSpec } from '../validation/pod.ts';

/** What the scheduler and the kubelet evict by. */
function qosClass(spec: PodSpec | undefined): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  let guaranteed = true;
  let any = false;
  for (const { resources } of containers) {
    for (const name of ['cpu', 'memory']) {
      const [limit, request] = [resources?.limits?.[name], resources?.requests?.[name]];
      if (limit !== undefined || request !== undefined) any = true;
      if (limit === undefined || quantityNano(limit) !== quantityNano(request ?? limit)) guaranteed = false;
    }
  }
  if (!any) return 'BestEffort';
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

export const pods = strategy<Pod>({
  generation: true,
  initialStatus: ({ spec }) => ({ phase: 'Pending', qosClass: qosClass(spec) }),
  defaults({ spec }) {
    if (!spec) return;
    defaultPodSpec(spec);
    spec.enableServiceLinks ??= true;
  },
  prepareCreate(pod) {
    const { spec } = pod;
    if (!spec) return;
    // Admission: ServiceAccount, DefaultTolerationSeconds and Priority.
    if (!spec.serviceAccountName) spec.serviceAccountName = spec.serviceAccount = 'default';
    spec.priority ??= 0;
    spec.preemptionPolicy ??= 'PreemptLowerPriority';
    for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
      const present = spec.tolerations?.some(
        (toleration) => (toleration.key === key || !toleration.key) && (!toleration.effect || toleration.effect === 'NoExecute'),
      );
      if (!present) (spec.tolerations ??= []).push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
    }
  },
  validate({ spec }, errors) {
    validatePodSpec(spec, 'spec', errors);
  },
  validateUpdate({ spec }, { spec: old }, errors) {
    if (!spec || !old) return;
    if ((spec.containers?.length ?? 0) !== (old.containers?.length ?? 0)) {
      errors.forbidden('spec.containers', 'pod updates may not add or remove containers');
      return;
    }
    // Everything but these must stay as it is.
    const fixed = clone(spec);
    const set = <K extends keyof PodSpec>(name: K): void => {
      if (old[name] === undefined) delete fixed[name];
      else fixed[name] = clone(old[name]);
    };
    for (const list of ['containers', 'initContainers'] as const)
      fixed[list]?.forEach((container, at) => {
        const image = old[list]?.[at]?.image;
        if (image !== undefined) container.image = image;
      });
    set('activeDeadlineSeconds');
    set('ephemeralContainers');
    const added = (spec.tolerations ?? []).length >= (old.tolerations ?? []).length;
    const kept = (old.tolerations ?? []).every((toleration) =>
      spec.tolerations?.some((other) => jsonEqual({ ...other, tolerationSeconds: 0 }, { ...toleration, tolerationSeconds: 0 })),
    );
    if (added && kept) set('tolerations');
    if (
      old.terminationGracePeriodSeconds !== undefined &&
      old.terminationGracePeriodSeconds < 0 &&
      spec.terminationGracePeriodSeconds === 1
    )
      set('terminationGracePeriodSeconds');
    if (!jsonEqual(fixed, old))
      errors.forbidden(
        'spec',
        'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
      );
  },
});

import type { Policy, Rule } from '../../policy/model.ts';
import type { Labels, PodPort } from '../../policy/world.ts';
import type { PodView } from '../watch/pod-view.ts';

/** What policies select a pod by, beside its namespace, as a lease keeps it: it must be known too when the API tells of the pod no more. */
export interface PodTraits {
  labels: Labels;
  /** Those that have names. */
  ports: readonly PodPort[];
}

/** The lease's note `traits`. */
export const traitsNote = ({ labels, ports }: PodView): string => JSON.stringify({ labels, ports });

/** @param note '' or undefined where nothing was noted, as in leases of an agent before this one */
export const notedTraits = (note: string | undefined): PodTraits | undefined => (note ? (JSON.parse(note) as PodTraits) : undefined);

const unknownLabel = 'podnet: labels not known';

/**
 * Stands for the labels of a pod of which nobody can tell them: no label can be called so, and so nothing is selected by it but what isolates such pods
 * (`isolatesUnknown`).
 */
export const unknownLabels: Labels = { [unknownLabel]: '' };

const denyAll: Rule = { at: '', action: 'Deny', peers: undefined, ports: undefined };

/** Comes before all others, and lets pods with `unknownLabels` neither send nor receive; their node reaches them as it reaches all (NP12). */
export const isolatesUnknown: Policy = {
  ...{ kind: 'ClusterNetworkPolicy', name: unknownLabel, tier: 'Admin', priority: -1, problems: [] },
  subject: { namespaces: { labels: [] }, pods: [{ key: unknownLabel, operator: 'Exists', values: [] }] },
  rules: { egress: [denyAll], ingress: [denyAll] },
};

import type { Deployment, ReplicaSet } from '../../kube/types.ts';
import { resolvePercent } from '../percent.ts';

/** What the numbers of a rollout are computed from. */
export interface Limits {
  replicas: number;
  /** Pods beyond `replicas`, of all ReplicaSets together. */
  maxSurge: number;
  maxUnavailable: number;
}

export function limitsOf(deployment: Deployment): Limits {
  const { replicas = 1, strategy } = deployment.spec!;
  if (strategy?.type === 'Recreate') return { replicas, maxSurge: 0, maxUnavailable: 0 };
  const maxSurge = resolvePercent(strategy?.rollingUpdate?.maxSurge ?? '25%', replicas, 'up');
  let maxUnavailable = resolvePercent(strategy?.rollingUpdate?.maxUnavailable ?? '25%', replicas, 'down');
  // Both zero (percentages of few replicas) could never move: one may be missing.
  if (maxSurge === 0 && maxUnavailable === 0) maxUnavailable = 1;
  return { replicas, maxSurge, maxUnavailable: Math.min(maxUnavailable, replicas) };
}

/** A ReplicaSet as numbers. */
export interface Size {
  name: string;
  replicas: number;
  available: number;
}

export const sizeOf = ({ metadata, spec, status }: ReplicaSet): Size => ({
  name: metadata.name,
  replicas: spec?.replicas ?? 1,
  available: status?.availableReplicas ?? 0,
});

const total = (sizes: readonly Size[], field: 'replicas' | 'available'): number =>
  sizes.reduce((sum, size) => sum + size[field], 0);

/** How many replicas the new ReplicaSet of a rolling update may have now. */
export function newReplicas(limits: Limits, current: Size, old: readonly Size[]): number {
  if (current.replicas >= limits.replicas) return limits.replicas;
  const room = limits.replicas + limits.maxSurge - total([current, ...old], 'replicas');
  return room <= 0 ? current.replicas : Math.min(current.replicas + room, limits.replicas);
}

/**
 * The next sizes of old ReplicaSets (oldest first) by name; only those that change. First what is not available anyway, then as many as
 * may be missing.
 */
export function oldReplicas(limits: Limits, current: Size | undefined, old: readonly Size[]): Map<string, number> {
  const all = current ? [current, ...old] : old;
  const least = limits.replicas - limits.maxUnavailable;
  const unavailableOfNew = current ? current.replicas - current.available : 0;
  const next = new Map(old.map((size) => [size.name, size.replicas]));
  let mayGo = total(all, 'replicas') - least - unavailableOfNew;
  for (const size of old) {
    const count = Math.max(0, Math.min(mayGo, size.replicas - size.available));
    next.set(size.name, size.replicas - count);
    mayGo -= count;
  }
  let spare = mayGo > 0 ? total(all, 'available') - least : 0;
  for (const size of old) {
    const count = Math.max(0, Math.min(spare, next.get(size.name)!));
    next.set(size.name, next.get(size.name)! - count);
    spare -= count;
  }
  for (const size of old) if (next.get(size.name) === size.replicas) next.delete(size.name);
  return next;
}

/** A ReplicaSet in proportional scaling. `before`: how many the Deployment allowed in all when it was last scaled. */
export interface Part extends Size {
  before: number | undefined;
}

/**
 * Shares a change of a Deployment's size, in the midst of a rollout or a pause, among its active ReplicaSets by their sizes (largest first;
 * at a tie newest first when growing). Answers with all new sizes.
 */
export function proportional(limits: Limits, parts: readonly Part[]): Map<string, number> {
  const allowed = limits.replicas > 0 ? limits.replicas + limits.maxSurge : 0;
  let rest = allowed - total(parts, 'replicas');
  const sizes = new Map<string, number>();
  for (const part of parts) {
    let share = 0;
    if (rest !== 0) {
      const before = part.before || total(parts, 'replicas');
      share = limits.replicas === 0 ? -part.replicas : Math.round((part.replicas * allowed) / before) - part.replicas;
      share = rest > 0 ? Math.min(Math.max(share, 0), rest) : Math.max(Math.min(share, 0), rest);
    }
    sizes.set(part.name, part.replicas + share);
    rest -= share;
  }
  const first = parts[0];
  if (first && rest !== 0) sizes.set(first.name, Math.max(0, sizes.get(first.name)! + rest));
  return sizes;
}

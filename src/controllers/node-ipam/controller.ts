import { ApiError, isConflict, isNotFound } from '../../kube/api.ts';
import { Nodes } from '../../kube/resources.ts';
import type { Node } from '../../kube/types.ts';
import type { Family } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { type Context, controller, type Running } from '../context.ts';
import { CidrSet } from './cidr-set.ts';

export interface NodeIpamOptions {
  /** At most one for each family, primary first (PC1). */
  podCidrs: readonly string[];
  /** Never handed out, also when they lie within the pods' (PC3). */
  serviceCidrs?: readonly string[];
  /** Length of a node's block; 24 and 64 unless said. */
  nodeMaskSizes?: Partial<Record<Family, number>>;
}

const defaultMaskSizes: Record<Family, number> = { ipv4: 24, ipv6: 64 };
const patchTries = 3;

/** @throws RangeError, SyntaxError when the ranges are unusable */
export function cidrSets(options: NodeIpamOptions): CidrSet[] {
  const clusters = options.podCidrs.map((text) => Prefix.parse(text));
  if (new Set(clusters.map(({ family }) => family)).size !== clusters.length)
    throw new RangeError(`pod CIDRs are at most one for each family, not ${options.podCidrs.join(', ')}`);
  const sets = clusters.map(
    (cluster) => new CidrSet(cluster, options.nodeMaskSizes?.[cluster.family] ?? defaultMaskSizes[cluster.family]),
  );
  for (const service of (options.serviceCidrs ?? []).map((text) => Prefix.parse(text))) {
    for (const set of sets) if (service.overlaps(set.cluster)) set.occupy(service);
  }
  return sets;
}

/**
 * Gives every Node its pod CIDRs, one of each cluster CIDR in their order, by one patch (PC2), never over what is there (PC7). What
 * existing nodes have is taken first; a value there that cannot be is fatal (PC4): `ready` rejects, since handing out beside it could
 * double an address.
 */
export function nodeIpamController(context: Context, options: NodeIpamOptions): Running {
  const { api, informers } = context;
  const nodes = informers.of(Nodes);
  const sets = cidrSets(options);
  /** What is taken for which node; kept by uid, since a node of the same name may be another one (PC6). */
  const held = new Map<string, Prefix[]>();
  let stopped = false;
  // Not before the nodes that are there are taken in.
  const occupied = nodes.synced.then(() => {
    for (const node of nodes.list()) occupy(node);
  });
  const running = controller(context, {
    name: 'cidrAllocator',
    informers: [nodes, { synced: occupied }],
    work: async (name) => {
      const node = nodes.get(name);
      if (node) await assign(node);
    },
    concurrency: 8,
  });
  const { queue, events } = running;

  function occupy(node: Node): void {
    const uid = node.metadata.uid ?? '';
    const cidrs = podCidrsOf(node);
    if (cidrs.length === 0 || held.has(uid)) return;
    const what = `node ${node.metadata.name} has the pod CIDRs ${cidrs.join(', ')}`;
    if (cidrs.length > sets.length)
      throw new RangeError(`${what}, which are more than the cluster has (${options.podCidrs.join(', ')})`);
    const prefixes = cidrs.map((text) => Prefix.parse(text));
    for (const [i, prefix] of prefixes.entries()) {
      const { cluster } = sets[i]!;
      if (!prefix.overlaps(cluster))
        throw new RangeError(
          `${what}: ${prefix} is outside of ${cluster}; delete the node, or start with the range it was made for`,
        );
    }
    for (const [i, prefix] of prefixes.entries()) sets[i]!.occupy(prefix);
    held.set(uid, prefixes);
  }

  async function assign(node: Node): Promise<void> {
    const uid = node.metadata.uid ?? '';
    if (podCidrsOf(node).length > 0) return occupy(node);
    let blocks = held.get(uid);
    if (!blocks) {
      const taken: Prefix[] = [];
      for (const set of sets) {
        const block = set.allocate();
        if (block) taken.push(block);
        else {
          for (const [i, one] of taken.entries()) sets[i]!.release(one);
          events.event(Nodes, node, 'Normal', 'CIDRNotAvailable', `Node ${node.metadata.name} status is now: CIDRNotAvailable`);
          throw new RangeError(
            `no free pod CIDR for node ${node.metadata.name}: all ${set.size} blocks of ${set.cluster} are taken`,
          );
        }
      }
      blocks = taken;
      held.set(uid, blocks);
    }
    await patch(node, blocks);
  }

  async function patch(node: Node, blocks: readonly Prefix[]): Promise<void> {
    const { name, uid = '' } = node.metadata;
    const podCIDRs = blocks.map(String);
    let failure: unknown;
    for (let attempt = 0; attempt < patchTries; attempt++) {
      try {
        const fresh = await api.get(Nodes, name);
        const present = podCidrsOf(fresh);
        if (present.join() === podCIDRs.join()) return;
        if (fresh.metadata.uid !== uid || present.length > 0) {
          release(uid);
          if (fresh.metadata.uid === uid) occupy(fresh); // somebody else was faster: theirs counts (PC7)
          return;
        }
        const body = {
          metadata: { uid, resourceVersion: fresh.metadata.resourceVersion },
          spec: { podCIDR: podCIDRs[0], podCIDRs },
        };
        const written = await api.patch(Nodes, name, undefined, body, 'merge');
        await nodes.hasSeen(written.metadata.resourceVersion);
        return;
      } catch (error) {
        failure = error;
        if (isNotFound(error)) return release(uid);
        if (isConflict(error)) attempt--; // another field changed meanwhile
        if (stopped) return;
      }
    }
    events.event(Nodes, node, 'Normal', 'CIDRAssignmentFailed', `Node ${name} status is now: CIDRAssignmentFailed`);
    // After a time-out the write may still have happened: keep the block, a leak is safer than a duplicate (PC5).
    if (!(failure instanceof ApiError) || failure.code < 500) release(uid);
    throw failure;
  }

  function release(uid: string): void {
    for (const [i, prefix] of (held.get(uid) ?? []).entries()) sets[i]!.release(prefix);
    held.delete(uid);
  }

  const off = nodes.onChange((changes) => {
    let released = false;
    for (const { type, key, object } of changes) {
      if (type === 'deleted') {
        release(object.metadata.uid ?? '');
        released = true;
      } else if (podCidrsOf(object).length === 0 || !held.has(object.metadata.uid ?? '')) queue.add(key);
    }
    if (released) for (const node of nodes.list()) if (podCidrsOf(node).length === 0) queue.add(node.metadata.name);
  });
  return {
    ready: running.ready,
    stop() {
      stopped = true;
      off();
      running.stop();
    },
  };
}

function podCidrsOf({ spec }: Node): string[] {
  if (spec?.podCIDRs?.length) return spec.podCIDRs;
  return spec?.podCIDR ? [spec.podCIDR] : [];
}

import { families } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import type { PolicyNode, PolicyPod } from './world.ts';

/** Where addresses for pods of manifests come from: the pod network of a lab. For nodes: RFC 5737 and RFC 3849, documentation. */
const ranges = {
  pods: { ipv4: Prefix.parse('10.244.0.0/16'), ipv6: Prefix.parse('fd00:10:244::/112') },
  nodes: { ipv4: Prefix.parse('192.0.2.0/24'), ipv6: Prefix.parse('2001:db8::/120') },
};

/** There are not so many addresses to be made up. Its message is for people. */
export class MadeUpError extends RangeError {}

/**
 * Pods without an address get one of each family, pods of the host's network without a node get one. An address follows from the name alone where no
 * other took it first, so that one object more changes no others.
 */
export function makeUpAddresses(
  pods: readonly PolicyPod[],
  nodes: readonly PolicyNode[],
): { pods: PolicyPod[]; nodes: PolicyNode[] } {
  const taken = new Set([...pods, ...nodes].flatMap(({ addresses }) => addresses.map(String)));
  const made = (name: string, kind: keyof typeof ranges) =>
    families.map((family) => {
      const range = ranges[kind][family];
      const size = Number(range.size) - 2;
      for (let at = hash(name) % size, tries = 0; tries < size; at = (at + 1) % size, tries++) {
        const address = range.at(at + 1);
        if (taken.has(String(address))) continue;
        taken.add(String(address));
        return address;
      }
      throw new MadeUpError(
        `there are more ${kind} without addresses than the ${size} of ${range} that podnet makes up; give them addresses in their status`,
      );
    });
  const allNodes = [...nodes];
  const byName = new Map(nodes.toReversed().map((node) => [node.name, node]));
  const nodeOf = (pod: PolicyPod): PolicyNode => {
    const name = pod.node ?? `node-of-${pod.namespace}-${pod.name}`;
    const found = byName.get(name);
    if (found) return found;
    const node = { name, labels: {}, addresses: pod.addresses.length > 0 ? pod.addresses : made(name, 'nodes') };
    allNodes.push(node);
    byName.set(name, node);
    return node;
  };
  const sorted = pods.toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
  const complete = sorted.map((pod): PolicyPod => {
    if (pod.hostNetwork) {
      const node = nodeOf(pod);
      return { ...pod, node: node.name, addresses: node.addresses };
    }
    if (pod.addresses.length > 0 || pod.ended) return pod;
    return { ...pod, addresses: made(`${pod.namespace}/${pod.name}`, 'pods'), madeUp: true };
  });
  return { pods: complete, nodes: allNodes };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

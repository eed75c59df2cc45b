import { IpAddr } from '../net/ip.ts';
import { isClusterDns } from './cluster-dns.ts';
import type { Inventory } from './manifests.ts';
import type { PacketProtocol } from './packet.ts';
import { serviceTargets } from './service-targets.ts';
import { hasIdentity, type PolicyPod, podKey } from './world.ts';

/** What a person named, and the addresses that it stands for. */
export interface Named {
  /** As it is shown: `shop/web`, `node n1`, `203.0.113.7`. */
  label: string;
  addresses: readonly IpAddr[];
  pod?: PolicyPod;
}

/** A destination: with a port, and with the Service that leads to it. */
export interface Target extends Named {
  port?: number;
  viaService?: string;
}

/** Something that is asked for is not there, or is said in a way that is not understood. Its message is for people. */
export class AskError extends Error {}

/**
 * One end: `NAMESPACE/POD`, or the name of a workload for all its pods; `POD`, in the given namespace; `node/NAME`; an address.
 * @throws AskError
 */
export function findEnds({ world }: Inventory, text: string, namespace: string): Named[] {
  const address = IpAddr.tryParse(/^\[(.*)\]$/.exec(text)?.[1] ?? text);
  if (address) return [{ label: labelAt(world, address), addresses: [address] }];
  const [first = '', second, ...more] = text.split('/');
  if (more.length > 0 || first === '' || second === '')
    throw new AskError(`"${text}" is neither NAMESPACE/POD nor node/NAME nor an address`);
  // No name of a pod has a colon (RFC 1123), and who writes digits and dots alone means an address.
  if (first.includes(':') || /^[\d.]+$/.test(first))
    throw new AskError(
      second === undefined
        ? `"${text}" is no IP address${first.includes('%') ? ': leave out the zone' : ''}`
        : `"${text}" is a network; ask for one of its addresses`,
    );
  if (second?.includes(':')) throw new AskError(`"${text}": whoever opens a connection is named without a port`);
  if (first === 'node' && second !== undefined) {
    const node = world.nodes.find(({ name }) => name === second);
    if (!node) throw new AskError(`there is no node ${second}; there are ${some(world.nodes.map(({ name }) => name))}`);
    return [{ label: `node ${second}`, addresses: node.addresses }];
  }
  const [inNamespace, name] = second === undefined ? [namespace, first] : [first, second];
  const pods = podsCalled(
    world.pods.filter((pod) => pod.namespace === inNamespace),
    name,
  );
  if (pods.length === 0) {
    if (world.pods.every(isClusterDns))
      throw new AskError(`there is no pod or workload ${inNamespace}/${name}: there are neither pods nor what makes them (Deployments, ...)`);
    const there = world.pods.filter((pod) => pod.namespace === inNamespace).map(({ name: one }) => one);
    const hint =
      there.length > 0
        ? `pods there: ${some(there)}`
        : `pods are in ${some([...new Set(world.pods.map((pod) => pod.namespace))])}`;
    throw new AskError(`there is no pod or workload ${inNamespace}/${name}; ${hint}`);
  }
  return pods.map((pod) => {
    if (pod.ended) throw new AskError(`${podKey(pod)} has ended and has no address any more`);
    if (pod.addresses.length === 0) throw new AskError(`${podKey(pod)} has no address yet`);
    return {
      label: pod.hostNetwork ? `${podKey(pod)}, in the network of node ${pod.node}` : podKey(pod),
      addresses: pod.addresses,
      pod,
    };
  });
}

/** By its own name first; else all that still run of the workload of that name. */
export function podsCalled(pods: readonly PolicyPod[], name: string): PolicyPod[] {
  const exact = pods.filter((pod) => pod.name === name);
  return exact.length > 0
    ? exact
    : pods.filter(({ workload, ended }) => !ended && workload?.slice(workload.indexOf('/') + 1) === name);
}

function labelAt(world: Inventory['world'], address: IpAddr): string {
  const pod = world.podAt.get(String(address));
  const node = world.nodeAt.get(String(address));
  return pod ? `${address} (${podKey(pod)})` : node ? `${address} (node ${node.name})` : String(address);
}

/**
 * A destination: an end and `:PORT`, a number or the name of a container's port; `svc/NAME:PORT` or `svc/NAMESPACE/NAME:PORT`, by number or name, for
 * the pods behind it; an IPv6 address with a port stands in brackets. For ICMP there is no port.
 * @throws AskError
 */
export function findTargets(inventory: Inventory, text: string, protocol: PacketProtocol, namespace: string): Target[] {
  const [, bracketed, plain, port] =
    /^(?:\[([^\]]*)\]|(.*?))(?::([^:/]+))?$/.exec(IpAddr.tryParse(text) ? `[${text}]` : text) ?? [];
  const end = bracketed ?? plain ?? text;
  if (protocol === 'ICMP') {
    if (port !== undefined) throw new AskError(`ICMP has no ports: leave out ":${port}"`);
    if (end.startsWith('svc/')) throw new AskError('a Service is asked by TCP, UDP or SCTP');
    return findEnds(inventory, end, namespace);
  }
  if (port === undefined) {
    const withoutPort = text.replace(/:$/, '');
    const isBare = IpAddr.tryParse(withoutPort)?.family === 'ipv6';
    const hint = isBare ? `; with a port an IPv6 address is in brackets: [${withoutPort}]:PORT` : `; write ${withoutPort}:PORT`;
    throw new AskError(`"${text}" has no port${hint}`);
  }
  if (end.startsWith('svc/')) return throughService(inventory, end, port, protocol, namespace);
  return findEnds(inventory, end, namespace).map((named) => ({ ...named, port: portOf(named, port, protocol) }));
}

function portOf({ pod, label }: Named, port: string, protocol: PacketProtocol): number {
  // A name has a letter in it (RFC 6335).
  if (!/[a-z]/i.test(port)) {
    if (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > 65535) throw new AskError(`${port} is no port: they go from 1 to 65535`);
    return Number(port);
  }
  if (!pod) throw new AskError(`"${port}": only containers have ports with names, ${label} has none; name its number`);
  const found = pod.ports.find(({ name, protocol: its }) => name === port && its === protocol);
  if (!found) {
    const names = pod.ports.filter((one) => one.name && one.protocol === protocol).map((one) => `${one.name} (${one.number})`);
    throw new AskError(`${label} has no ${protocol} port called "${port}"${names.length > 0 ? `; it has ${some(names)}` : ''}`);
  }
  return found.number;
}

function throughService(
  inventory: Inventory,
  end: string,
  port: string,
  protocol: Exclude<PacketProtocol, 'ICMP'>,
  namespace: string,
): Target[] {
  const parts = end.split('/').slice(1);
  const [inNamespace, name] = parts.length === 1 ? [namespace, parts[0]] : parts;
  const service = inventory.services.find(
    ({ metadata }) => metadata.name === name && (metadata.namespace ?? 'default') === inNamespace,
  );
  if (!service || parts.length > 2) {
    const there = inventory.services.map(({ metadata }) => `${metadata.namespace ?? 'default'}/${metadata.name}`);
    throw new AskError(`there is no Service ${inNamespace}/${name}; there are ${some(there)}`);
  }
  let targets: ReturnType<typeof serviceTargets>;
  try {
    targets = serviceTargets(inventory, service, port, protocol);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new AskError(error.message);
  }
  const viaService = `${inNamespace}/${name}`;
  if (targets.length === 0)
    throw new AskError(`Service ${viaService} leads to no pod: nothing that it selects serves port ${port}`);
  return targets.map(({ address, port: number }) => {
    const pod = inventory.world.podAt.get(String(address));
    return {
      label: pod && hasIdentity(pod) ? podKey(pod) : labelAt(inventory.world, address),
      addresses: [address],
      port: number,
      viaService,
      ...(pod ? { pod } : {}),
    };
  });
}

/** A few names of many. */
function some(names: readonly string[]): string {
  if (names.length === 0) return 'none';
  return names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ');
}

import { isPodFinished, key } from '../../kube/objects.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import type { Container, Node, Pod } from '../../kube/types.ts';

/** Amounts by resource name, in base units. */
export type Amounts = Map<string, number>;

/** A node and what runs there, or is about to. */
export interface NodeInfo {
  node: Node;
  pods: Map<string, Pod>;
  requested: Amounts;
  /** `protocol/hostIP/port` */
  hostPorts: Set<string>;
}

const amountsOf = (quantities: Record<string, string> | undefined): Amounts =>
  new Map(Object.entries(quantities ?? {}).map(([name, text]) => [name, parseQuantity(text)]));

function add(target: Amounts, more: Amounts, sign = 1): void {
  for (const [name, amount] of more) target.set(name, (target.get(name) ?? 0) + sign * amount);
}

function most(target: Amounts, other: Amounts): void {
  for (const [name, amount] of other) target.set(name, Math.max(target.get(name) ?? 0, amount));
}

const requests = ({ resources }: Container): Amounts => amountsOf(resources?.requests ?? resources?.limits);

/**
 * What a pod asks for: the sum of its containers and sidecars, or of an init container with the sidecars started before it, whichever is more;
 * plus overhead (KEP-753).
 */
export function requestsOf(pod: Pod): Amounts {
  const total: Amounts = new Map();
  for (const container of pod.spec?.containers ?? []) add(total, requests(container));
  const sidecars: Amounts = new Map();
  const peak: Amounts = new Map();
  for (const container of pod.spec?.initContainers ?? []) {
    if (container.restartPolicy === 'Always') {
      add(sidecars, requests(container));
      most(peak, sidecars);
    } else {
      const during = new Map(requests(container));
      add(during, sidecars);
      most(peak, during);
    }
  }
  add(total, sidecars);
  most(total, peak);
  add(total, amountsOf(pod.spec?.overhead));
  return total;
}

export interface HostPort {
  protocol: string;
  ip: string;
  port: number;
}

/** Of containers and sidecars. */
export function hostPortsOf(pod: Pod): HostPort[] {
  const ports: HostPort[] = [];
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    for (const { hostPort, hostIP, protocol, containerPort } of container.ports ?? []) {
      const port = hostPort ?? (pod.spec?.hostNetwork ? containerPort : 0);
      if (port) ports.push({ protocol: protocol ?? 'TCP', ip: hostIP || '0.0.0.0', port });
    }
  }
  return ports;
}

const portText = ({ protocol, ip, port }: HostPort): string => `${protocol}/${ip}/${port}`;

/** Whether the port is taken: on the same address, or when one of both is on all of them. */
export function isPortTaken(info: NodeInfo, wanted: HostPort): boolean {
  if (wanted.ip !== '0.0.0.0')
    return info.hostPorts.has(portText(wanted)) || info.hostPorts.has(portText({ ...wanted, ip: '0.0.0.0' }));
  for (const text of info.hostPorts) if (text.startsWith(`${wanted.protocol}/`) && text.endsWith(`/${wanted.port}`)) return true;
  return false;
}

export const newNodeInfo = (node: Node): NodeInfo => ({ node, pods: new Map(), requested: new Map(), hostPorts: new Set() });

export function addPod(info: NodeInfo, pod: Pod): void {
  removePod(info, key(pod));
  if (isPodFinished(pod)) return;
  info.pods.set(key(pod), pod);
  add(info.requested, requestsOf(pod));
  for (const port of hostPortsOf(pod)) info.hostPorts.add(portText(port));
}

export function removePod(info: NodeInfo, podKey: string): void {
  const pod = info.pods.get(podKey);
  if (!pod) return;
  info.pods.delete(podKey);
  add(info.requested, requestsOf(pod), -1);
  for (const port of hostPortsOf(pod)) info.hostPorts.delete(portText(port));
}

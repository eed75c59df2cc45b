import { randomUUID } from 'node:crypto';
import { kubeTime } from '../../../kube/objects.ts';
import { IPAddresses } from '../../../kube/resources.ts';
import type { IPAddress, Service, ServicePort, ServiceSpec } from '../../../kube/types.ts';
import { IpAddr } from '../../../net/ip.ts';
import { as, stored } from '../../object.ts';
import { AllocationError } from '../../registry/allocation-error.ts';
import { familyOf, type IpFamily } from '../../registry/service-allocators.ts';
import type { Surroundings, Transaction } from '../../registry/strategy.ts';
import type { FieldErrors } from '../../validation/field-errors.ts';
import { allowsNodePorts, isHeadless, needsClusterIp, needsHealthCheckPort, wantsNodePorts } from './fields.ts';

const reason = (error: unknown): string => {
  if (error instanceof AllocationError) return error.message;
  throw error;
};

/** The addresses that a Service holds of the cluster's. */
const addressesOf = (spec: ServiceSpec | undefined): string[] =>
  spec && needsClusterIp(spec) ? (spec.clusterIPs ?? []).filter((ip) => ip !== '' && ip !== 'None') : [];

const portsOf = (spec: ServiceSpec | undefined): number[] => {
  const ports = (spec?.ports ?? []).flatMap(({ nodePort }) => (nodePort ? [nodePort] : []));
  return [...new Set(spec?.healthCheckNodePort ? [...ports, spec.healthCheckNodePort] : ports)];
};

/** SA2, SA3, SA5, SA8: takes addresses and node ports that are new; on commit, gives back those that are no longer named. */
export function allocate(
  service: Service,
  old: Service | undefined,
  errors: FieldErrors,
  transaction: Transaction,
  around: Surroundings,
): void {
  const spec = service.spec!;
  allocateIps(service, old, errors, around);
  allocatePorts(spec, old?.spec, errors, transaction, around);
  const before = { ips: addressesOf(old?.spec), ports: portsOf(old?.spec) };
  const after = { ips: addressesOf(spec), ports: portsOf(spec) };
  transaction.onCommit(() => {
    releaseIps(
      service,
      before.ips.filter((ip) => !after.ips.includes(ip)),
      around,
    );
    releasePorts(
      before.ports.filter((port) => !after.ports.includes(port)),
      around,
    );
    for (const ip of after.ips) if (!before.ips.includes(ip)) recordIp(ip, service, around);
  });
}

export function releaseAll(service: Service, around: Surroundings): void {
  releaseIps(service, addressesOf(service.spec), around);
  releasePorts(portsOf(service.spec), around);
}

/** An address that is another's by its IPAddress stays: nobody gives back what is not his. */
function releaseIps({ metadata }: Service, ips: readonly string[], { store }: Surroundings): void {
  for (const text of ips) {
    const name = IpAddr.parse(text).toString();
    const entry = store.get(IPAddresses, undefined, name);
    const ref = entry && as<IPAddress>(entry.object).spec?.parentRef;
    if (ref?.resource === 'services' && ref.namespace === metadata.namespace && ref.name === metadata.name)
      store.remove(IPAddresses, undefined, name);
  }
}

function releasePorts(ports: readonly number[], { services }: Surroundings): void {
  for (const port of ports) services.ports.release(port);
}

function allocateIps({ spec }: Service, old: Service | undefined, errors: FieldErrors, { services }: Surroundings): void {
  if (!spec || !needsClusterIp(spec)) return;
  if (isHeadless(spec)) {
    spec.clusterIP = 'None';
    spec.clusterIPs = ['None'];
    return;
  }
  const held = addressesOf(old?.spec);
  const given = spec.clusterIPs ?? [];
  const result: string[] = [];
  for (const [at, family] of ((spec.ipFamilies ?? []) as IpFamily[]).entries()) {
    const asked = given[at];
    if (!services.families.includes(family) || (asked && held.includes(asked))) {
      if (asked) result.push(asked);
      continue;
    }
    try {
      // Taken by the IPAddress that the commit writes; nothing comes between.
      const ip = asked ? IpAddr.parse(asked) : services.ips.next(family === 'IPv4' ? 'ipv4' : 'ipv6');
      if (asked) services.ips.check(ip);
      result.push(ip.toString());
    } catch (error) {
      const text = asked
        ? `failed to allocate IP ${asked}: ${reason(error)}`
        : `failed to allocate a serviceIP: ${reason(error)}`;
      errors.invalid('spec.clusterIPs', given, text);
      return;
    }
  }
  spec.clusterIPs = result;
  spec.clusterIP = result[0];
}

function allocatePorts(
  spec: ServiceSpec,
  old: ServiceSpec | undefined,
  errors: FieldErrors,
  transaction: Transaction,
  { services }: Surroundings,
): void {
  const held = new Set(portsOf(old));
  // Ports of one Service may share a number under different protocols.
  const mine = new Set<number>();
  const take = (port: number, path: string): void => {
    if (mine.has(port)) return;
    mine.add(port);
    if (held.has(port)) return;
    try {
      services.ports.take(port);
      transaction.onAbort(() => services.ports.release(port));
    } catch (error) {
      errors.invalid(path, port, reason(error));
    }
  };
  const next = (path: string): number | undefined => {
    try {
      const port = services.ports.takeNext();
      mine.add(port);
      transaction.onAbort(() => services.ports.release(port));
      return port;
    } catch (error) {
      errors.invalid(path, 0, `failed to allocate a nodePort: ${reason(error)}`);
      return undefined;
    }
  };
  if (allowsNodePorts(spec)) {
    const ports = spec.ports ?? [];
    ports.forEach((port, at) => {
      if (port.nodePort) take(port.nodePort, `spec.ports[${at}].nodePort`);
    });
    if (wantsNodePorts(spec) && !errors.any)
      ports.forEach((port, at) => {
        if (port.nodePort) return;
        const twin = twinOf(port, ports);
        const got = twin ?? next(`spec.ports[${at}].nodePort`);
        if (got) port.nodePort = got;
      });
  }
  if (!needsHealthCheckPort(spec)) return;
  // A port of its own, which nobody shares: the node ports of the same Service are served where it is to be asked for.
  if (spec.healthCheckNodePort && mine.has(spec.healthCheckNodePort))
    errors.invalid('spec.healthCheckNodePort', spec.healthCheckNodePort, 'provided port is already allocated');
  else if (spec.healthCheckNodePort) take(spec.healthCheckNodePort, 'spec.healthCheckNodePort');
  else {
    const got = next('spec.healthCheckNodePort');
    if (got) spec.healthCheckNodePort = got;
  }
}

/** The node port of the same port under another protocol. */
const twinOf = (port: ServicePort, ports: readonly ServicePort[]): number | undefined =>
  ports.find((other) => other !== port && other.port === port.port && other.protocol !== port.protocol && other.nodePort)
    ?.nodePort;

/** networking.k8s.io IPAddress: says in the API whose an address is, as kube-apiserver does since 1.33. */
function recordIp(ip: string, service: Service, { store, now }: Surroundings): void {
  const { namespace, name } = service.metadata;
  const object: IPAddress = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: {
      name: ip,
      uid: randomUUID(),
      creationTimestamp: kubeTime(now()),
      labels: {
        'ipaddress.kubernetes.io/ip-family': familyOf(IpAddr.parse(ip)),
        'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io',
      },
    },
    spec: { parentRef: { group: '', resource: 'services', namespace, name } },
  };
  store.put(IPAddresses, stored(object));
}

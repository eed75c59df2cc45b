import type { EndpointSlicePort, Pod, Service, ServicePort } from '../../kube/types.ts';

/**
 * The number behind a Service's targetPort on one pod: by name and protocol among the containers, then the sidecars (restartable init
 * containers), SA4. Absent when the pod has no port of that name.
 */
function targetPort(pod: Pod, port: ServicePort): number | undefined {
  const { targetPort: target = port.port, protocol = 'TCP' } = port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  if (target === '') return port.port;
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    const found = container.ports?.find(({ name, protocol: itsProtocol = 'TCP' }) => name === target && itsProtocol === protocol);
    if (found) return found.containerPort;
  }
  return undefined;
}

/** The Service's ports as this pod serves them; a port that the pod lacks is left out. */
export function portsOf(service: Service, pod: Pod): EndpointSlicePort[] {
  const ports: EndpointSlicePort[] = [];
  for (const port of service.spec?.ports ?? []) {
    const number = targetPort(pod, port);
    if (number === undefined) continue;
    const { name = '', protocol = 'TCP', appProtocol } = port;
    ports.push({ name, protocol, port: number, ...(appProtocol ? { appProtocol } : {}) });
  }
  return ports;
}

/** The identity of a port list, whatever its order. */
export const portsKey = (ports: readonly EndpointSlicePort[] | undefined): string =>
  (ports ?? [])
    .map(({ name = '', protocol = 'TCP', port, appProtocol = '' }) => `${name}/${protocol}/${port ?? ''}/${appProtocol}`)
    .sort()
    .join(',');

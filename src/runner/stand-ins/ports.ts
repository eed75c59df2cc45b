import type { ContainerPort, Probe } from '../../kube/types.ts';

export interface StandInPorts {
  tcp: number[];
  udp: number[];
  /** Said in the log: ports it cannot or need not listen on. */
  skipped: string[];
}

/** The port of a probe: a number, or the name of one of the container's ports. @returns undefined when the name is not there */
function probePort(port: number | string, ports: readonly ContainerPort[]): number | undefined {
  if (typeof port === 'number') return port;
  const named = ports.find((each) => each.name === port);
  if (named) return named.containerPort;
  return /^\d+$/.test(port) ? Number(port) : undefined;
}

/** What a stand-in listens on: the declared ports, and what only its probes name. */
export function standInPorts(ports: readonly ContainerPort[], probes: readonly Probe[], podIPs: readonly string[]): StandInPorts {
  const tcp = new Set<number>();
  const udp = new Set<number>();
  const skipped: string[] = [];
  for (const { containerPort, protocol = 'TCP' } of ports) {
    if (protocol === 'TCP') tcp.add(containerPort);
    else if (protocol === 'UDP') udp.add(containerPort);
    else skipped.push(`port ${containerPort}/${protocol}: stand-ins speak TCP and UDP`);
  }
  for (const { httpGet, tcpSocket, grpc } of probes) {
    const action = httpGet ?? tcpSocket;
    // A probe of another host is not the stand-in's to answer.
    if (action && (!action.host || podIPs.includes(action.host))) {
      const port = probePort(action.port, ports);
      if (port === undefined) skipped.push(`probe port "${action.port}": no port of the container has this name`);
      else tcp.add(port);
    }
    if (grpc) tcp.add(grpc.port);
  }
  return { tcp: [...tcp], udp: [...udp], skipped };
}

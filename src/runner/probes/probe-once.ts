import type { Probe } from '../../kube/types.ts';
import { probeGrpc } from './grpc.ts';
import { probeHttp } from './http.ts';
import { failure, type ProbeResult } from './result.ts';
import { probeTcp } from './tcp.ts';

export interface NamedPort {
  name?: string;
  containerPort: number;
}

export interface ProbeTarget {
  /** The pod's primary address; with hostNetwork the node's. Probes may name another host. */
  ip: string;
  /** Of the container, for ports given by name. */
  ports: readonly NamedPort[];
}

/**
 * One attempt over the network as kubelet makes it, from this process's network namespace, which is the node's, within the probe's
 * `timeoutSeconds`. Never throws: what cannot be done is a failure. Exec probes are the container's own to run.
 */
export async function probeOnce(probe: Probe, target: ProbeTarget): Promise<ProbeResult> {
  const { httpGet, tcpSocket, grpc } = probe;
  const timeoutMs = (probe.timeoutSeconds || 1) * 1000;
  try {
    if (httpGet) return await probeHttp(httpGet, httpGet.host || target.ip, portOf(httpGet.port, target.ports), timeoutMs);
    if (tcpSocket) return await probeTcp(tcpSocket.host || target.ip, portOf(tcpSocket.port, target.ports), timeoutMs);
    if (grpc) return await probeGrpc(target.ip, grpc.port, grpc.service ?? '', timeoutMs);
    return failure('missing probe handler: neither httpGet nor tcpSocket nor grpc');
  } catch (error) {
    return failure(error instanceof Error ? error.message : String(error));
  }
}

/** @throws RangeError when the port is none, or its name is not among the container's */
export function portOf(port: number | string, ports: readonly NamedPort[]): number {
  const named = typeof port === 'string' ? ports.find(({ name }) => name === port) : undefined;
  if (typeof port === 'string' && !named && !/^\d+$/.test(port))
    throw new RangeError(`couldn't find port: "${port}" in the container`);
  const number = named?.containerPort ?? Number(port);
  if (number > 0 && number < 65536) return number;
  throw new RangeError(`invalid port number: ${number}`);
}

import type { EndpointSlice, Namespace, Pod, Service } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import { newMetrics } from '../metrics.ts';
import { Pipeline, stagesOf } from '../pipeline.ts';
import { ZoneAnswerer } from '../zone/answer.ts';
import { ClusterZone } from '../zone/cluster.ts';
import { namespaceFacts, podFacts, serviceFacts, sliceFacts } from '../zone/facts.ts';
import { type QuestionOptions, question, type Read, read } from './message.ts';

const zone = 'cluster.local';

export const namespace = (name: string): Namespace => ({ metadata: { name } });

export function service(name: string, spec: Service['spec'] = {}, namespaceName = 'default'): Service {
  return { metadata: { name, namespace: namespaceName }, spec };
}

export interface EndpointText {
  ip: string;
  hostname?: string;
  ready?: boolean;
}

export function slice(
  of: string,
  endpoints: EndpointText[],
  { name = `${of}-1`, ports = [{ name: 'http', protocol: 'TCP', port: 8080 }], namespaceName = 'default' } = {},
): EndpointSlice {
  return {
    metadata: { name, namespace: namespaceName, labels: { 'kubernetes.io/service-name': of } },
    addressType: endpoints[0]?.ip.includes(':') ? 'IPv6' : 'IPv4',
    ports,
    endpoints: endpoints.map(({ ip, hostname, ready }) => ({ addresses: [ip], hostname, conditions: { ready } })),
  };
}

export const pod = (ip: string, namespaceName = 'default', phase = 'Running'): Pod => ({
  metadata: { name: `pod-${ip}`, namespace: namespaceName },
  spec: { containers: [] },
  status: { phase, podIP: ip, podIPs: [{ ip }] },
});

/** A cluster's zones and a pipeline over them, without sockets. */
export class TestCluster {
  readonly zone = new ClusterZone({
    ...{ zone, servers: [IpAddr.parse('10.96.0.10'), IpAddr.parse('fd00:10:96::a')], now: () => 1_700_000_000_000 },
    ranges: ['10.244.0.0/16', '10.96.0.0/16', 'fd00:10:244::/56', 'fd00:10:96::/112'].map(Prefix.parse),
  });
  synced = true;
  readonly metrics = newMetrics();
  readonly pipeline: Pipeline;

  constructor(...objects: (Namespace | Service | EndpointSlice | Pod)[]) {
    const { zones, ttl } = this.zone;
    const answerer = new ZoneAnswerer(zones, ttl);
    this.pipeline = new Pipeline(stagesOf({ zones, answerer, isSynced: () => this.synced }), this.metrics);
    for (const object of objects) this.set(object);
  }

  /** An EndpointSlice has an addressType, a Pod containers, and a Namespace no namespace. */
  set(object: Namespace | Service | EndpointSlice | Pod, present = true): void {
    const { name, namespace: of } = object.metadata;
    const key = of === undefined ? name : `${of}/${name}`;
    if (of === undefined) this.zone.namespace(key, present ? namespaceFacts(object as Namespace) : undefined);
    else if ('addressType' in object) this.zone.slice(key, present ? sliceFacts(object) : undefined);
    else if (object.spec && 'containers' in object.spec) this.zone.pod(key, present ? podFacts(object as Pod) : undefined);
    else this.zone.service(key, present ? serviceFacts(object as Service) : undefined);
  }

  remove(object: Namespace | Service | EndpointSlice | Pod): void {
    this.set(object, false);
  }

  raw(message: Buffer, transport: 'udp' | 'tcp' = 'udp'): Buffer {
    const out = Buffer.alloc(65535);
    const length = this.pipeline.answer(message, 0, message.length, transport, out, 0, () => {
      throw new Error('nothing is forwarded here');
    });
    return out.subarray(0, length);
  }

  ask(name: string, type: QuestionOptions['type'] = 'A', options: QuestionOptions & { transport?: 'udp' | 'tcp' } = {}): Read {
    return read(this.raw(question(name, { ...options, type }), options.transport));
  }

  /** Response code and the data of the answers, sorted. */
  short(name: string, type: QuestionOptions['type'] = 'A'): string[] {
    const { rcode, answers } = this.ask(name, type, { transport: 'tcp' });
    return [rcode, ...answers.map((text) => text.split(' ').slice(3).join(' ')).sort()];
  }
}

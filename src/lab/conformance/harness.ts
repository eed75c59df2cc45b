import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { NetNs } from '../../kernel/netns.ts';
import { bindUdp, connectTcp } from '../../kernel/sockets.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isPodReady } from '../../kube/objects.ts';
import { Nodes, Pods, Services } from '../../kube/resources.ts';
import type { Pod, Service, ServiceSpec } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import { LabNames } from '../names.ts';
import { podsOf } from '../node-client.ts';
import { podnetExecutable } from '../supervisor.ts';
import { adminClient } from '../up.ts';

const run = promisify(execFile);
const podnet = (...args: string[]): Promise<unknown> => run(process.execPath, [podnetExecutable, ...args], { timeout: 120_000 });

/** A machine that runs other tests beside this one is slow, not wrong: only what never comes fails. */
const patienceMs = 60_000;

/** Tries until the check does not throw. @throws what it threw last */
export async function eventually<T>(check: () => Promise<T> | T, withinMs = patienceMs): Promise<T> {
  for (const end = performance.now() + withinMs; ; ) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(50);
    }
  }
}

/** Where packets start from: a pod, a node, or the client outside. */
export interface Place {
  name: string;
  netns: string;
  ips: string[];
  /** Of the first container's process, when it has one. */
  pid?: number;
  /** Which address HTTP comes from; the kernel's choice when absent. */
  source?: string;
}

export interface PodOptions {
  node?: string;
  labels?: Record<string, string>;
  /** TCP and UDP ports of the stand-in, by name. */
  tcp?: Record<string, number>;
  udp?: Record<string, number>;
  spec?: Partial<NonNullable<Pod['spec']>>;
}

/** A lab of two nodes in both families, made by `podnet lab up`, and what is asked from within it. */
export class TestLab implements AsyncDisposable {
  readonly names: LabNames;
  readonly api: KubeClient;
  readonly nodes: readonly string[] = ['node-1', 'node-2'];
  readonly #namespaces = new Map<string, NetNs>();

  private constructor(names: LabNames) {
    this.names = names;
    this.api = adminClient(names);
  }

  /** @param more options of `podnet lab up` */
  static async up(name: string, more: readonly string[] = []): Promise<TestLab> {
    const names = new LabNames(name);
    await podnet('lab', 'up', '--name', name, '--nodes', '2', '--ip-family', 'dual', ...more);
    try {
      return new TestLab(names);
    } catch (error) {
      await podnet('lab', 'down', '--name', name);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const ns of this.#namespaces.values()) ns[Symbol.dispose]();
    this.api[Symbol.dispose]();
    await podnet('lab', 'down', '--name', this.names.lab);
  }

  /** A pod of stand-ins, or of busybox when no port is given, which sleeps. Fulfilled when it is Ready. */
  async pod(name: string, options: PodOptions = {}): Promise<Place> {
    const ports = [
      ...Object.entries(options.tcp ?? {}).map(([name, containerPort]) => ({ name, containerPort, protocol: 'TCP' })),
      ...Object.entries(options.udp ?? {}).map(([name, containerPort]) => ({ name, containerPort, protocol: 'UDP' })),
    ];
    const container = ports.length > 0 ? { image: 'agnhost', ports } : { image: 'busybox', command: ['sleep', '100000'] };
    await this.api.create(Pods, {
      metadata: { name, namespace: 'default', labels: options.labels },
      spec: {
        ...(options.node && { nodeSelector: { 'kubernetes.io/hostname': options.node } }),
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', ...container }],
        ...options.spec,
      },
    });
    return this.ready(name);
  }

  /** Where a pod runs, once it is Ready. */
  ready(name: string): Promise<Place> {
    return eventually(async () => {
      const pod = await this.api.get(Pods, name, 'default');
      if (!isPodReady(pod)) throw new Error(`pod ${name} is not Ready: ${JSON.stringify(pod.status?.conditions ?? [])}`);
      const running = await podsOf(this.names.node(pod.spec!.nodeName!).runnerSocket);
      const found = running.find(({ uid }) => uid === pod.metadata.uid);
      if (!found) throw new Error(`the runner of ${pod.spec!.nodeName} does not know ${name}`);
      return { name, netns: found.netns, ips: found.podIPs, pid: found.containers[0]?.pid };
    });
  }

  async removePod(name: string): Promise<void> {
    await this.api.delete(Pods, name, 'default', { gracePeriodSeconds: 0 });
  }

  async node(name: string): Promise<Place> {
    const { status } = await this.api.get(Nodes, name);
    const ips = (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP').map(({ address }) => address);
    return { name, netns: this.names.node(name).netns, ips };
  }

  /** A Service in both families unless `spec` says otherwise. */
  service(name: string, spec: ServiceSpec): Promise<Service> {
    return this.api.create(Services, {
      metadata: { name, namespace: 'default' },
      spec: { ...(spec.type === 'ExternalName' ? {} : { ipFamilyPolicy: 'RequireDualStack' }), ...spec },
    });
  }

  #ns(place: Place): NetNs {
    let ns = this.#namespaces.get(place.netns);
    if (!ns) this.#namespaces.set(place.netns, (ns = NetNs.open(place.netns)));
    return ns;
  }

  /** The body of the answer to a GET. @throws KernelError ECONNREFUSED, ETIMEDOUT and others of the connection */
  async http(from: Place, address: string, port: number, path = '/hostname', connectMs = 5000): Promise<string> {
    const source = from.source === undefined ? {} : { source: IpAddr.parse(from.source) };
    const socket = await connectTcp(this.#ns(from), IpAddr.parse(address), port, { timeoutMs: connectMs, ...source });
    socket.setTimeout(10_000, () => socket.destroy(new Error(`${address} port ${port} took the request and did not answer`)));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`);
    const answer = await text(socket);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    if (!head.startsWith('HTTP/1.1 200'))
      throw new Error(`${address} port ${port} answered ${JSON.stringify(answer.slice(0, 200))}`);
    return body.trim();
  }

  /**
   * The answer to a datagram, from the address asked; asked again each second, since datagrams may be lost.
   * @throws Error with the code ECONNREFUSED when ICMP says so, or when nothing comes
   */
  async udp(from: Place, address: string, port: number): Promise<string> {
    const ip = IpAddr.parse(address);
    const fd = bindUdp(this.#ns(from), IpAddr.parse(ip.family === 'ipv4' ? '0.0.0.0' : '::'), 0);
    const socket = createSocket(ip.family === 'ipv4' ? 'udp4' : 'udp6');
    let again: NodeJS.Timeout | undefined;
    try {
      return await new Promise<string>((resolve, reject) => {
        socket.on('error', reject);
        socket.on('message', (data) => resolve(data.toString()));
        socket.bind({ fd }, () =>
          socket.connect(port, address, () => {
            let tries = 0;
            const send = (): void => {
              if (tries++ === 5) reject(new Error(`no datagram from ${address} port ${port} in 5 s`));
              else socket.send('hello', () => undefined);
            };
            again = setInterval(send, 1000);
            send();
          }),
        );
      });
    } finally {
      clearInterval(again);
      socket.close();
    }
  }

  /** Runs a program of the pod's own container in it, as `kubectl exec` does. */
  async inside({ pid }: Place, ...command: string[]): Promise<string> {
    const { stdout } = await run('nsenter', ['--target', String(pid), '--mount', '--net', '--uts', '--root', '--', ...command], {
      timeout: 30_000,
      env: { PATH: '/bin' },
    });
    return stdout;
  }
}

/** Which pod a stand-in's answer to a datagram came from. */
export const podOfAnswer = (answer: string): string => /pod default\/(\S+)/.exec(answer)?.[1] ?? answer;

/** A failed connection's errno name, or undefined when it did not fail. */
export const failure = (attempt: Promise<unknown>): Promise<string | undefined> =>
  attempt.then(
    () => undefined,
    (error: { errno?: string | number; code?: string }) =>
      typeof error.errno === 'string' ? error.errno : (error.code ?? String(error)),
  );

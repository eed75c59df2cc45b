import assert from 'node:assert/strict';
import type { Api } from '../kube/api.ts';
import { FakeApi } from '../kube/fake.ts';
import { Informer } from '../kube/informer.ts';
import { isDeleting, kubeTime } from '../kube/objects.ts';
import { Nodes, Pods } from '../kube/resources.ts';
import type { Deployment, Node, Pod, PodTemplateSpec } from '../kube/types.ts';
import { type ControllersOptions, startControllers } from './start.ts';

/** For tests: the API in memory, all controllers, and a kubelet that makes every bound pod Ready and ends deleted ones at once. */
export class TestCluster implements AsyncDisposable {
  readonly api = new FakeApi();
  readonly errors: string[] = [];
  readonly options: ControllersOptions;
  /** Pods for which this is false stay Pending. */
  becomesReady: (pod: Pod) => boolean = () => true;
  #controllers: ReturnType<typeof startControllers> | undefined;
  readonly #kubelet: Informer<Pod>;
  #nextIp = 1;

  constructor(options: Partial<ControllersOptions> = {}) {
    this.options = {
      podCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'],
      serviceCidrs: ['10.96.0.0/16'],
      caCertificate: 'PEM',
      podGc: { quarantineMs: 20 },
      onError: (controller, name, error) => this.errors.push(`${controller} ${name}: ${error.message}`),
      ...options,
    };
    this.#kubelet = new Informer(this.api, Pods, {
      onChange: (changes) => {
        for (const { type, object } of changes) if (type !== 'deleted') void this.#run(object);
      },
    });
    this.#kubelet.start();
  }

  /** @param api by which the controllers reach the model; itself unless said */
  async start(api: Api = this.api): Promise<this> {
    this.#controllers = startControllers(api, this.options);
    await this.#controllers.ready;
    return this;
  }

  async restart(): Promise<void> {
    this.#controllers?.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controllers?.stop();
    this.#kubelet.stop();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async addNode(name: string, change: (node: Node) => void = () => {}): Promise<Node> {
    const node: Node = {
      metadata: { name, labels: { 'kubernetes.io/hostname': name } },
      status: {
        allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
        conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: kubeTime(Date.now()) }],
        addresses: [{ type: 'InternalIP', address: `172.30.0.${this.#nextIp++}` }],
      },
    };
    change(node);
    return this.api.create(Nodes, node);
  }

  async #run(pod: Pod): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    try {
      if (!pod.spec?.nodeName) return;
      if (isDeleting(pod)) await this.api.delete(Pods, name, namespace, { gracePeriodSeconds: 0, preconditions: { uid: uid! } });
      else if (pod.status?.phase === 'Pending' && this.becomesReady(pod)) {
        const n = this.#nextIp++;
        const ips = [`10.244.${n >> 8}.${n & 255}`, `fd00:10:244::${n.toString(16)}`];
        const now = kubeTime(Date.now());
        const ready = [
          { type: 'Ready', status: 'True', lastTransitionTime: now },
          { type: 'ContainersReady', status: 'True', lastTransitionTime: now },
        ];
        const status = {
          phase: 'Running',
          conditions: [...(pod.status?.conditions ?? []), ...ready],
          podIP: ips[0],
          podIPs: ips.map((ip) => ({ ip })),
        };
        await this.api.update(Pods, { ...pod, status }, { subresource: 'status' });
      }
    } catch {
      // Somebody else wrote first: the change of that comes by too.
    }
  }

  /** Lets the kubelet look again at every pod. */
  wakeKubelet(): void {
    for (const pod of this.#kubelet.list()) void this.#run(pod);
  }
}

/** Waits until the assertion holds; fails with its own error. */
export async function eventually(check: () => void | Promise<void>, timeoutMs = 10_000): Promise<void> {
  for (const end = Date.now() + timeoutMs; ; ) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > end || !(error instanceof assert.AssertionError || (error as Error).name === 'ApiError')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

export const template = (labels: Record<string, string>, image = 'nginx'): PodTemplateSpec => ({
  metadata: { name: '', labels },
  spec: { containers: [{ name: 'main', image, ports: [{ name: 'http', containerPort: 80 }] }] },
});

export const deployment = (name: string, replicas: number, image = 'nginx'): Deployment => ({
  metadata: { name, namespace: 'default', annotations: { 'kubernetes.io/change-cause': image } },
  spec: { replicas, selector: { matchLabels: { app: name } }, template: template({ app: name }, image) },
});

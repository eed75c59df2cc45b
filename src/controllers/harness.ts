import assert from 'node:assert/strict';
import type { Api } from '../kube/api.ts';
import { FakeApi } from '../kube/fake.ts';
import { kubeTime } from '../kube/objects.ts';
import { Nodes } from '../kube/resources.ts';
import type { Deployment, Node, Pod, PodTemplateSpec } from '../kube/types.ts';
import { FakeKubelet } from './fake-kubelet.ts';
import { type ControllersOptions, startControllers } from './start.ts';

/** For tests: the API in memory, all controllers, and a kubelet that makes every bound pod Ready and ends deleted ones at once. */
export class TestCluster implements AsyncDisposable {
  readonly api = new FakeApi();
  readonly errors: string[] = [];
  readonly options: ControllersOptions;
  #controllers: ReturnType<typeof startControllers> | undefined;
  readonly #kubelet: FakeKubelet;
  #nextIp = 1;

  constructor(options: Partial<ControllersOptions> = {}) {
    this.options = {
      podCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'],
      serviceCidrs: ['10.96.0.0/16'],
      caCertificate: 'PEM',
      podGc: { quarantineMs: 20 },
      // Nobody beats for the nodes; a slow machine shall not make them Unknown.
      nodeLifecycle: { graceMs: 3_600_000 },
      onError: (controller, name, error) => this.errors.push(`${controller} ${name}: ${error.message}`),
      ...options,
    };
    this.#kubelet = new FakeKubelet(this.api);
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
    this.#kubelet[Symbol.dispose]();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Pods for which this is false stay Pending. */
  set becomesReady(test: (pod: Pod) => boolean) {
    this.#kubelet.becomesReady = test;
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

  /** Lets the kubelet look again at every pod. */
  wakeKubelet(): void {
    this.#kubelet.wake();
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

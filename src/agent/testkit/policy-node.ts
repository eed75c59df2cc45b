import assert from 'node:assert/strict';
import { Namespaces, NetworkPolicies, Pods } from '../../kube/resources.ts';
import type { NetworkPolicySpec } from '../../kube/types.ts';
import { IpAddr } from '../../net/ip.ts';
import type { TestNs } from '../../testing/netns.ts';
import type { AgentConfig } from '../config.ts';
import type { CniCall } from './cni.ts';
import { eventually, TestNode } from './node.ts';
import { reaches } from './reach.ts';

/** The port of every `Echo` here. */
export const echoPort = 7070;

/** One end of traffic, with an address of each family. */
export interface Party {
  ns: TestNs;
  addresses: string[];
}

export interface TestPod extends Party {
  namespace: string;
  name: string;
}

export interface PodOptions {
  labels?: Record<string, string>;
  namespace?: string;
  /** Addresses to ask for. */
  ips?: string[];
}

/** A `TestNode` with Pods in the API: those of `me` are attached as kubelet has it done, those of `peer` are addresses behind it. */
export class PolicyNode implements AsyncDisposable {
  readonly node: TestNode;

  private constructor(node: TestNode) {
    this.node = node;
  }

  /** No agent runs yet. */
  static async make(overrides: Partial<AgentConfig> = {}): Promise<PolicyNode> {
    const node = await TestNode.make(overrides);
    const it = new PolicyNode(node);
    for (const name of ['default', 'shop']) await node.api.create(Namespaces, { metadata: { name, labels: { team: name } } });
    return it;
  }

  static async start(overrides: Partial<AgentConfig> = {}): Promise<PolicyNode> {
    const it = await PolicyNode.make(overrides);
    try {
      await it.node.startReady();
      return it;
    } catch (error) {
      await it[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The Pod is in the API, as the scheduler left it. */
  async schedule(name: string, { labels = {}, namespace = 'default' }: PodOptions = {}, node = 'me'): Promise<void> {
    await this.node.api.create(Pods, { metadata: { namespace, name, labels }, spec: { nodeName: node, containers: [] } });
  }

  /** ADD of a Pod that is in the API. Its status says nothing of it yet. */
  attach(
    name: string,
    { namespace = 'default', ips }: PodOptions = {},
    uid?: string,
  ): Promise<{ ns: TestNs; addresses: string[] }> {
    return this.node.addPod(name, { ...identity(namespace, name, uid), ...(ips ? { config: { runtimeConfig: { ips } } } : {}) });
  }

  /** Scheduled, attached and, as kubelet does when the sandbox stands, told of in its status. */
  async pod(name: string, options: PodOptions = {}): Promise<TestPod> {
    const { namespace = 'default' } = options;
    await this.schedule(name, options);
    const { ns, addresses } = await this.attach(name, options);
    await this.tell(name, addresses, namespace);
    return { ns, addresses, namespace, name };
  }

  async tell(name: string, addresses: readonly string[], namespace = 'default', phase = 'Running'): Promise<void> {
    const { metadata } = await this.node.api.get(Pods, name, namespace);
    const status = { phase, podIPs: addresses.map((ip) => ({ ip })), podIP: addresses[0]! };
    await this.node.api.update(Pods, { metadata, status }, { subresource: 'status' });
  }

  /** DEL, and the Pod is gone from the API. */
  async remove({ name, namespace, ns }: TestPod): Promise<void> {
    const { code, json } = await this.node.cni({ command: 'DEL', containerId: name, netns: ns.path });
    if (code !== 0) throw new Error(`DEL: ${JSON.stringify(json)}`);
    await this.node.api.delete(Pods, name, namespace, { gracePeriodSeconds: 0 });
  }

  /** A pod of the node `peer`: addresses in its namespace. */
  async remotePod(name: string, number: number, options: PodOptions = {}): Promise<TestPod> {
    const { namespace = 'default' } = options;
    const addresses = [`10.1.1.${number}`, `fd01:0:0:1::${number}`];
    this.addresses(this.node.peer, addresses);
    await this.schedule(name, options, 'peer');
    await this.tell(name, addresses, namespace);
    return { ns: this.node.peer, addresses, namespace, name };
  }

  /** Gives a namespace more addresses. */
  addresses(where: TestNs, addresses: readonly string[]): void {
    for (const address of addresses) where.own(address);
  }

  /** Heard of by the agent, if it runs: what is attached from then on is isolated by it. */
  async policy(name: string, spec: NetworkPolicySpec, namespace = 'default'): Promise<void> {
    const { api } = this.node;
    const policy = { metadata: { name, namespace }, spec };
    await api.create(NetworkPolicies, policy).catch(() => api.update(NetworkPolicies, policy));
    if (!this.node.isStarted) return;
    await eventually(() => assert.equal(this.node.status().policy.policies.NetworkPolicy, api.dump(NetworkPolicies).length));
    // The cache has it, and tells its listeners within this turn.
    await new Promise((resolve) => setImmediate(resolve));
  }

  deletePolicy(name: string, namespace = 'default'): Promise<void> {
    return this.node.api.delete(NetworkPolicies, name, namespace);
  }

  /** Whether an `Echo` answers, by protocol and family: `tcp4 udp6`, for instance. */
  async hears(from: Party, to: Party, { timeoutMs = 400, port = echoPort } = {}): Promise<string> {
    const questions = (['tcp', 'udp'] as const).flatMap((protocol) => to.addresses.map((address) => ({ protocol, address })));
    const answers = await Promise.all(
      questions.map(async ({ protocol, address }) => {
        const isLong = address.includes(':');
        const source = from.addresses.find((own) => own.includes(':') === isLong)!;
        const heard = await reaches({ from: from.ns.ns, source, to: address, port, protocol }, timeoutMs);
        return heard ? [`${protocol}${isLong ? 6 : 4}`] : [];
      }),
    );
    return answers.flat().join(' ');
  }

  /** The node itself, and its neighbour, which is another node. */
  get me(): Party {
    return { ns: this.node.ns, addresses: ['192.0.2.1', '2001:db8::1'] };
  }

  get neighbour(): Party {
    return { ns: this.node.peer, addresses: ['192.0.2.2', '2001:db8::2'] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node[Symbol.asyncDispose]();
  }
}

/** All that an `Echo` can be asked by. */
export const everyWay = 'tcp4 tcp6 udp4 udp6';
export const noWay = '';

/** What kubelet's runtimes tell of a pod. */
export const identity = (namespace: string, name: string, uid?: string): Pick<CniCall, 'env'> => ({
  env: {
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}${uid === undefined ? '' : `;K8S_POD_UID=${uid}`}`,
  },
});

export const at = IpAddr.parse;

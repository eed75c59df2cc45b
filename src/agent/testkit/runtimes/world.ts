import assert from 'node:assert/strict';
import { run } from '../../../testing/judge.ts';
import type { AgentConfig } from '../../config.ts';
import { eventually, TestNode } from '../node.ts';
import { Containerd } from './containerd.ts';
import type { PodConfig } from './cri.ts';
import { type ContainerdRelease, runtimeProgram } from './packages.ts';

export interface RuntimePod {
  config: PodConfig;
  id: string;
  container: string;
  ips: string[];
}

/** A node whose runtime is containerd; its agent is not started. */
export class World implements AsyncDisposable {
  readonly node: TestNode;
  readonly containerd: Containerd;

  private constructor(node: TestNode, containerd: Containerd) {
    this.node = node;
    this.containerd = containerd;
  }

  static async make(release: ContainerdRelease, overrides: Partial<AgentConfig> = {}): Promise<World> {
    const node = await TestNode.make(overrides);
    try {
      const options = { directory: `${node.world.directory}/c`, netns: node.ns.path, cni: node.config.cni, release };
      return new World(node, await Containerd.start(options));
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async ready(release: ContainerdRelease, overrides: Partial<AgentConfig> = {}): Promise<World> {
    const world = await World.make(release, overrides);
    await world.node.startReady();
    await eventually(async () => assert.equal(await world.containerd.cri.networkProblem(), undefined));
    return world;
  }

  /** A pod that says its name by HTTP on port 8080, over both families. */
  async addPod(name: string, more: Partial<PodConfig> = {}): Promise<RuntimePod> {
    const config = this.containerd.podConfig(name, more);
    const id = await this.containerd.cri.runPod(config);
    const script = `mkdir /www && echo ${name} > /www/index.html && exec httpd -f -p 8080 -h /www`;
    const container = await this.containerd.runContainer(id, config, 'sh', '-c', script);
    return { config, id, container, ips: (await this.containerd.cri.podStatus(id)).ips };
  }

  async deletePod({ id }: { id: string }): Promise<void> {
    await this.containerd.cri.stopPod(id);
    // A container that ends this moment counts as running yet; kubelet tries again too.
    await eventually(() => this.containerd.cri.removePod(id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.containerd[Symbol.asyncDispose]();
    } finally {
      await this.node[Symbol.asyncDispose]();
    }
  }
}

export const url = (ip: string, port = 8080): string => `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}/`;

/** What a web server answers that is asked from within a network namespace. */
export const ask = (netns: string, ip: string, port?: number): Promise<string> =>
  eventually(() => run(netns, runtimeProgram('busybox'), 'timeout', '5', 'wget', '-O', '-', url(ip, port)).trim());

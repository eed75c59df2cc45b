import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../node.ts';
import { removeGroups } from './cgroups.ts';
import { CriClient, type PodConfig } from './cri.ts';
import { writeImage } from './image.ts';
import { type ContainerdRelease, runtimeEnv, runtimeProgram } from './packages.ts';

export interface ContainerdOptions {
  /** Everything that it writes lies below; short, since sockets are among it. */
  directory: string;
  /** Path of the node's network namespace, in which it runs. */
  netns: string;
  cni: { binDir: string; confDir: string };
  release: ContainerdRelease;
}

const image = 'podnet.test/busybox:1';

/** As an installation has it, but for what this machine may not have: see the README. */
const config = ({ directory, cni }: ContainerdOptions, snapshotter: string): string => `
version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "${directory}/sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${image}"
  # Where a container's own wish would be below what this process has: the kernel refuses.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cni.binDir}"
    conf_dir = "${cni.confDir}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
`;

/** containerd with podnet as its only network, driven as kubelet drives it. */
export class Containerd implements AsyncDisposable {
  readonly #options: ContainerdOptions;
  /** Of all its pods. */
  readonly #cgroup: string;
  #process: ChildProcess | undefined;
  #cri: CriClient | undefined;
  #pods = 0;

  private constructor(options: ContainerdOptions) {
    this.#options = options;
    this.#cgroup = `/${options.directory.split('/').find((part) => part.startsWith('podnet-test'))}`;
  }

  /** Started, with the image of `runContainer`. @throws Error with the end of its log */
  static async start(options: ContainerdOptions): Promise<Containerd> {
    mkdirSync(options.directory, { recursive: true });
    const overlay = readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n');
    writeFileSync(join(options.directory, 'config.toml'), config(options, overlay ? 'overlayfs' : 'native'));
    const containerd = new Containerd(options);
    try {
      await containerd.launch();
      await containerd.importImage();
      return containerd;
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw new Error(`${(error as Error).message}\n${containerd.log()}`, { cause: error });
    }
  }

  /** What pods run; again after its root was lost. */
  async importImage(): Promise<void> {
    const archive = join(this.#options.directory, 'image.tar');
    writeImage(archive, image, runtimeProgram('busybox'));
    await this.#ctr('images', 'import', archive);
    // The CRI hears of it a moment later.
    await eventually(async () => assert.ok(await this.cri.hasImage(image), 'the image is not there'));
  }

  get cri(): CriClient {
    if (!this.#cri) throw new Error('containerd is not started');
    return this.#cri;
  }

  /** The end of what it logged. */
  log(): string {
    return readFileSync(join(this.#options.directory, 'log'), 'utf8').split('\n').slice(-40).join('\n');
  }

  /** A pod of this name that no other has; the same again for the next attempt at it. */
  podConfig(name: string, more: Partial<PodConfig> = {}): PodConfig {
    const uid = `uid-${++this.#pods}`;
    return { name, namespace: 'default', uid, cgroupParent: this.#cgroup, logDirectory: this.#options.directory, ...more };
  }

  /** Starts a command in the pod. @returns the container's id */
  runContainer(pod: string, config: PodConfig, ...command: string[]): Promise<string> {
    return this.cri.runContainer(pod, config, image, command);
  }

  /** Ends it as a kill does, and starts it again: pods go on meanwhile. */
  async restart(): Promise<void> {
    await this.kill();
    await this.launch();
  }

  /** kill -9: its pods go on. */
  async kill(): Promise<void> {
    this.#cri?.[Symbol.dispose]();
    this.#cri = undefined;
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** What it loses when the machine is rebooted (/run/containerd of an installation), and what it keeps (/var/lib/containerd). */
  get folders(): { state: string; root: string } {
    const { directory } = this.#options;
    return { state: join(directory, 'state'), root: join(directory, 'root') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#cri ? await this.cri.pods().catch(() => []) : []) {
      await this.cri.stopPod(pod).catch(() => {});
      await this.cri.removePod(pod).catch(() => {});
    }
    await this.kill();
    await removeGroups(this.#cgroup);
  }

  /** Again, after a kill. */
  async launch(): Promise<void> {
    const { directory, netns, release } = this.#options;
    const log = openSync(join(directory, 'log'), 'a');
    const program = [`--net=${netns}`, runtimeProgram('containerd', release), '--config', join(directory, 'config.toml')];
    const child = spawn('nsenter', program, { env: { ...process.env, ...runtimeEnv(release) }, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#process = child;
    await eventually(() => {
      if (child.exitCode !== null) throw new Error(`containerd ended with ${child.exitCode}`);
      return this.#ctr('version');
    });
    const cri = new CriClient(join(directory, 'sock'));
    this.#cri = cri;
    // It answers before it has read what it left of pods.
    await eventually(() => cri.networkProblem());
  }

  #ctr(...args: string[]): Promise<unknown> {
    const { directory, release } = this.#options;
    const own = ['--address', join(directory, 'sock'), '--namespace', 'k8s.io'];
    return promisify(execFile)(runtimeProgram('ctr', release), [...own, ...args], {
      env: { ...process.env, ...runtimeEnv(release) },
    });
  }
}

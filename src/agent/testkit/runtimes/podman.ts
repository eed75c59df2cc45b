import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { removeGroups } from './cgroups.ts';
import { writeImage } from './image.ts';
import { runtimeEnv, runtimeProgram } from './packages.ts';

export interface PodmanOptions {
  /** Everything that it writes lies below, but for what it must have in /run and /var/lib. */
  directory: string;
  /** Path of the node's network namespace, in which it runs. */
  netns: string;
  cni: { binDir: string; confDir: string };
  /** Name of the network in the configuration below `cni.confDir`. */
  network: string;
}

/** What `podman inspect` tells of a container. */
export interface PodmanContainer {
  /** The IPv4 address first. */
  ips: string[];
  /** Path of the network namespace. */
  netns: string;
}

const image = 'podnet.test/busybox:1';

/** podman on CNI plugins (before 5.0), podnet its only one. */
export class Podman implements AsyncDisposable {
  readonly #options: PodmanOptions;
  readonly #cgroup: string;

  private constructor(options: PodmanOptions) {
    this.#options = options;
    this.#cgroup = `/${options.directory.split('/').find((part) => part.startsWith('podnet-test'))}`;
  }

  /** Ready to run containers of its image. @throws Error with podman's words */
  static async start(options: PodmanOptions): Promise<Podman> {
    const { directory, cni, network } = options;
    mkdirSync(join(directory, '.config/containers'), { recursive: true });
    const text = (value: string): string => JSON.stringify(value);
    writeFileSync(
      join(directory, 'containers.conf'),
      `[network]
network_backend = "cni"
cni_plugin_dirs = [${text(cni.binDir)}]
network_config_dir = ${text(cni.confDir)}
default_network = ${text(network)}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
conmon_path = [${text(runtimeProgram('conmon'))}]
tmp_dir = ${text(join(directory, 'tmp'))}
[engine.runtimes]
runc = [${text(runtimeProgram('runc'))}]
`,
    );
    const [runRoot, graphRoot] = [join(directory, 'run'), join(directory, 'root')].map(text);
    writeFileSync(join(directory, 'storage.conf'), `[storage]\ndriver = "vfs"\nrunroot = ${runRoot}\ngraphroot = ${graphRoot}\n`);
    writeFileSync(join(directory, '.config/containers/policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
    const podman = new Podman(options);
    const archive = join(directory, 'image.tar');
    writeImage(archive, image, runtimeProgram('busybox'));
    await podman.#podman('load', '--input', archive);
    return podman;
  }

  /** Starts a command in a new container of the network. @throws Error with podman's words */
  run(name: string, ...command: string[]): Promise<void> {
    return this.runWith([], name, ...command);
  }

  /** @param options of `podman run`, e.g. `--publish` */
  async runWith(options: readonly string[], name: string, ...command: string[]): Promise<void> {
    const own = ['--name', name, '--network', this.#options.network, '--cgroup-parent', this.#cgroup, '--oom-score-adj', '0'];
    await this.#podman('run', '--detach', ...own, ...options, '--entrypoint', '', image, ...command);
  }

  async inspect(name: string): Promise<PodmanContainer> {
    return (await this.inspectAll([name]))[0]!;
  }

  async inspectAll(names: readonly string[]): Promise<PodmanContainer[]> {
    const found = JSON.parse(await this.#podman('inspect', ...names)) as {
      NetworkSettings: { SandboxKey: string; Networks: Record<string, { IPAddress: string; GlobalIPv6Address: string }> };
    }[];
    return found.map(({ NetworkSettings: { SandboxKey: netns, Networks: networks } }) => {
      const { IPAddress: ipv4 = '', GlobalIPv6Address: ipv6 = '' } = networks[this.#options.network] ?? {};
      return { ips: [ipv4, ipv6].filter((ip) => ip !== ''), netns };
    });
  }

  /** @returns what the command printed */
  exec(name: string, ...command: string[]): Promise<string> {
    return this.#podman('exec', name, ...command);
  }

  /** Of containers that have ended, as after a reboot. */
  async start(...names: string[]): Promise<void> {
    await this.#podman('start', ...names);
  }

  /** What it loses when the machine is rebooted. */
  get volatile(): string[] {
    return ['tmp', 'run'].map((name) => join(this.#options.directory, name));
  }

  async remove(...names: string[]): Promise<void> {
    await this.#podman('rm', '--force', '--time', '0', ...names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#podman('rm', '--all', '--force', '--time', '0').catch(() => {});
    await removeGroups(this.#cgroup);
  }

  async #podman(...args: string[]): Promise<string> {
    const { directory, netns } = this.#options;
    const env = {
      ...process.env,
      ...runtimeEnv(),
      HOME: directory,
      CONTAINERS_CONF: join(directory, 'containers.conf'),
      CONTAINERS_STORAGE_CONF: join(directory, 'storage.conf'),
    };
    const { stdout } = await promisify(execFile)('nsenter', [`--net=${netns}`, runtimeProgram('podman'), ...args], {
      env,
      maxBuffer: 1 << 26,
    });
    return stdout;
  }
}

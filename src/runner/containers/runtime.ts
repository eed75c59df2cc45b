import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ExecutableError,
  type ProcessOptions,
  type SpawnedProcess,
  spawnContainer,
  spawnInContainer,
} from '../../kernel/spawn.ts';
import type { ImageMapping } from '../config.ts';
import {
  type ContainerExit,
  type ContainerRuntime,
  type ContainerSpec,
  ContainerStartError,
  type RunningContainer,
} from '../container.ts';
import { LogWriter } from '../logs/index.ts';
import { type ContainerProcess, StreamError } from '../streams/backend.ts';
import { Attachments } from './attachments.ts';
import { busyboxLayer } from './layer.ts';
import { execOrExplain, signalProcess } from './process.ts';

export interface ProcessRuntimeOptions {
  /** What runs for an image; without a `busybox` or `rootfs` in it nothing can. */
  resolve(image: string): ImageMapping | undefined;
  /** Folder for the layers made of busybox; shared by all containers. */
  layersDir: string;
}

/** Runs images as real processes on roots made of this machine's files. */
export function createProcessRuntime(options: ProcessRuntimeOptions): ContainerRuntime {
  return { kind: 'process', start: (spec) => startContainer(spec, options) };
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const root = { uid: 0, gid: 0, groups: [] };

async function startContainer(spec: ContainerSpec, options: ProcessRuntimeOptions): Promise<RunningContainer> {
  const mapping = options.resolve(spec.image);
  const lower = await lowerLayer(spec, mapping, options.layersDir);
  const argv = commandLine(spec, mapping);
  await mkdir(spec.dir, { recursive: true });
  const user = spec.user ?? root;
  const common = { env: environment(spec, user.uid), cwd: spec.workingDir || '/', user, tty: spec.tty };
  const { netns, hostname, mounts, dir } = spec;
  let spawned: SpawnedProcess;
  const startedAt = new Date();
  try {
    spawned = spawnContainer({ ...common, argv, stdin: spec.stdin, netns, hostname, root: { lower, dir, mounts } });
    await spawned.started;
  } catch (error) {
    await removeRoot(dir);
    throw startError(error);
  }
  return new ProcessContainer(spec, spawned, startedAt, common);
}

class ProcessContainer implements RunningContainer {
  readonly pid: number;
  readonly startedAt: Date;
  readonly exited: Promise<ContainerExit>;
  readonly #name: string;
  readonly #common: Omit<ProcessOptions, 'argv' | 'stdin'>;
  readonly #attachments: Attachments;
  #running = true;

  constructor(spec: ContainerSpec, spawned: SpawnedProcess, startedAt: Date, common: Omit<ProcessOptions, 'argv' | 'stdin'>) {
    this.pid = spawned.pid;
    this.startedAt = startedAt;
    this.#name = spec.name;
    this.#common = common;
    const attachments = new Attachments(spawned, spec.stdinOnce);
    this.#attachments = attachments;
    const log = new LogWriter(spec.logPath);
    const outputs = (['stdout', 'stderr'] as const).flatMap((stream) => {
      const source = spawned[stream];
      if (!source) return [];
      // Attached clients see it after the log has it.
      const done = log.collect(stream, source);
      source.on('data', (data: Buffer) => attachments.write(stream, data));
      return [done];
    });
    this.exited = (async () => {
      const { code, signal } = await spawned.exit;
      this.#running = false;
      const finishedAt = new Date();
      await Promise.all(outputs);
      log.close();
      attachments.end();
      spawned.stdin?.destroy();
      // What cannot be removed now goes with the pod's folder.
      await removeRoot(spec.dir).catch(() => {});
      return { exitCode: code, signal, reason: code === 0 ? 'Completed' : 'Error', startedAt, finishedAt };
    })();
  }

  async stop(graceMs: number): Promise<void> {
    this.#signal('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  async exec(command: readonly string[], tty: boolean): Promise<ContainerProcess> {
    this.#mustRun();
    const env = tty ? { TERM: 'xterm', ...this.#common.env } : this.#common.env;
    return execOrExplain(
      () => spawnInContainer(this.pid, { ...this.#common, env, tty, stdin: true, argv: nonEmpty(command) }),
      tty,
    );
  }

  async attach(): Promise<ContainerProcess> {
    this.#mustRun();
    return this.#attachments.attach(this.exited.then(({ exitCode }) => ({ code: exitCode })));
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#running) signalProcess(this.pid, signal);
  }

  #mustRun(): void {
    if (!this.#running) throw new StreamError(500, `container "${this.#name}" is not running`);
  }
}

function nonEmpty(command: readonly string[]): [string, ...string[]] {
  const [first, ...rest] = command;
  if (first === undefined) throw new StreamError(400, 'no command was given to execute');
  return [first, ...rest];
}

async function lowerLayer({ image }: ContainerSpec, mapping: ImageMapping | undefined, layersDir: string): Promise<string> {
  if (mapping?.rootfs !== undefined) return mapping.rootfs;
  if (mapping?.busybox !== undefined) {
    try {
      return await busyboxLayer(mapping.busybox, layersDir);
    } catch (error) {
      const message = `failed to make the root of image "${image}" from ${mapping.busybox}: ${(error as Error).message}`;
      throw new ContainerStartError('CreateContainerError', message, 128, { cause: error });
    }
  }
  const message = `no process can run for image "${image}": no mapping gives it a root (images: [{ image, busybox or rootfs }])`;
  throw new ContainerStartError('ErrImagePull', message);
}

/** `command` replaces the image's entrypoint and its command, `args` its command only. */
function commandLine({ command, args, image }: ContainerSpec, mapping: ImageMapping | undefined): [string, ...string[]] {
  const own = command && command.length > 0;
  const given = args && args.length > 0 ? args : undefined;
  const whole = own ? [...command, ...(given ?? [])] : [...(mapping?.entrypoint ?? []), ...(given ?? mapping?.command ?? [])];
  const [first, ...rest] = whole;
  if (first !== undefined) return [first, ...rest];
  throw new ContainerStartError(
    'CreateContainerError',
    `failed to generate container spec for image "${image}": no command specified`,
  );
}

function environment(spec: ContainerSpec, uid: number): Record<string, string> {
  // By this the lab finds what a runner that was killed has left.
  const lab = process.env.PODNET_LAB;
  return {
    PATH: defaultPath,
    HOSTNAME: spec.hostname,
    HOME: uid === 0 ? '/root' : '/',
    ...(spec.tty ? { TERM: 'xterm' } : {}),
    ...spec.env,
    ...(lab === undefined ? {} : { PODNET_LAB: lab }),
  };
}

function startError(error: unknown): ContainerStartError {
  const reason = error instanceof Error ? error.message : String(error);
  const words = 'failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed';
  // runc answers 127 and 126 too, but containerd reports every failed start with 128.
  return new ContainerStartError('StartError', `${words}: unable to start container process: ${reason}: unknown`, 128, {
    cause: error instanceof ExecutableError ? undefined : error,
  });
}

/** What `enterRoot` made in the container's folder; seen from here nothing is mounted in it. */
async function removeRoot(dir: string): Promise<void> {
  for (const name of ['upper', 'work', 'root', 'memory'])
    await rm(join(dir, name), { recursive: true, force: true, maxRetries: 5 });
  // Stays when the caller keeps something of its own in it.
  await rmdir(dir).catch(() => {});
}

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { spawnContainer } from '../../kernel/spawn.ts';
import type { ContainerSpec } from '../container.ts';
import { type ContainerProcess, StreamError } from '../streams/backend.ts';
import { busyboxLayer } from './layer.ts';
import { execOrExplain } from './process.ts';

export interface ToolOptions {
  /** A static executable, e.g. /bin/busybox. */
  busybox: string;
  /** For the layer made of it; the same as the process runtime's. */
  layersDir: string;
  /** Where folders for the roots of running tools are made. */
  dir: string;
}

/**
 * Runs a command of busybox on a fresh root with a pod's network, name, files and environment: the way into a container that is not
 * there, such as a stand-in. @throws StreamError 500 without busybox
 */
export async function execTool(
  spec: Pick<ContainerSpec, 'netns' | 'mounts' | 'hostname' | 'env'>,
  command: readonly string[],
  tty: boolean,
  options: ToolOptions,
): Promise<ContainerProcess> {
  const [first, ...rest] = command;
  if (first === undefined) throw new StreamError(400, 'no command was given to execute');
  const lower = await busyboxLayer(options.busybox, options.layersDir).catch((error: unknown) => {
    throw new StreamError(500, `a command in a stand-in needs ${options.busybox}: apt-get install busybox-static`, {
      cause: error,
    });
  });
  await mkdir(options.dir, { recursive: true });
  const dir = await mkdtemp(join(options.dir, 'tool-'));
  const { netns, hostname, mounts } = spec;
  const lab = process.env.PODNET_LAB;
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: hostname,
    HOME: '/root',
    TERM: 'xterm',
    ...spec.env,
    ...(lab === undefined ? {} : { PODNET_LAB: lab }),
  };
  const user = { uid: 0, gid: 0, groups: [] };
  const remove = (): Promise<void> => rm(dir, { recursive: true, force: true, maxRetries: 5 });
  try {
    const start = () =>
      spawnContainer({
        argv: [first, ...rest],
        env,
        cwd: '/',
        user,
        tty,
        stdin: true,
        netns,
        hostname,
        root: { lower, dir, mounts },
      });
    const tool = await execOrExplain(start, tty);
    return { ...tool, exit: tool.exit.finally(remove) };
  } catch (error) {
    await remove();
    throw error;
  }
}

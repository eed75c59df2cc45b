import { closeSync, mkdirSync, openSync, realpathSync, rmdirSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bindMount, makePrivate, mount, mountFlags, mountOverlay, pivotRoot, unmount } from './mounts.ts';

export interface ContainerRoot {
  /** Folder of the host that is the read-only lower layer. */
  lower: string;
  /** A folder of the container's own: what it writes goes below it, to `upper`. */
  dir: string;
  mounts: readonly BoundPath[];
}

export interface BoundPath {
  source: string;
  /** Absolute, in the container; made when absent. */
  target: string;
  readOnly: boolean;
}

const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const oldRoot = '/.podnet-old-root';
const { noSuid, noDev, noExec, readOnly } = mountFlags;

/**
 * Gives this thread, which must be in a mount namespace of its own, a root made of `root`; nothing of the old one stays visible. /proc is left to
 * the container's first process. The same set-up as runc's, less cgroups.
 */
export function enterRoot(root: ContainerRoot): void {
  // In the host's view, while it is there: a symbolic link would be followed inside later.
  const bound = root.mounts.map((one) => ({ ...one, source: realpathSync(one.source) }));
  makePrivate('/');
  const merged = mountLayers(root);
  mkdirSync(join(merged, oldRoot), { recursive: true });
  pivotRoot(merged, join(merged, oldRoot));
  process.chdir('/');
  makeDevices();
  directory('/proc');
  mount('sysfs', directory('/sys'), 'sysfs', readOnly | noSuid | noDev | noExec);
  // Targets are followed inside: a link in the image cannot lead a mount out to the host.
  for (const { source, target, readOnly: fixed } of bound) {
    const from = `${oldRoot}${source}`;
    bindMount(from, statSync(from).isDirectory() ? directory(target) : file(target), { readOnly: fixed });
  }
  unmount(oldRoot);
  rmdirSync(oldRoot);
}

function mountLayers({ lower, dir }: ContainerRoot): string {
  const merged = directory(join(dir, 'root'));
  const lowerPath = realpathSync(lower);
  const layers = (base: string): string => {
    const [upper, work] = [directory(join(base, 'upper')), directory(join(base, 'work'))];
    mountOverlay(merged, { lower: [lowerPath], upper, work }, noDev);
    return merged;
  };
  try {
    return layers(dir);
  } catch {
    // The folder is itself on an overlay or a network: what the container writes lives in memory then.
    const memory = directory(join(dir, 'memory'));
    mount('tmpfs', memory, 'tmpfs', noDev, 'mode=0755');
    return layers(memory);
  }
}

function makeDevices(): void {
  mount('tmpfs', directory('/dev'), 'tmpfs', noSuid, 'mode=0755,size=65536k');
  for (const name of devices) bindMount(`${oldRoot}/dev/${name}`, file(`/dev/${name}`));
  mount('devpts', directory('/dev/pts'), 'devpts', noSuid | noExec, 'newinstance,ptmxmode=0666,mode=0620');
  mount('tmpfs', directory('/dev/shm'), 'tmpfs', noSuid | noDev | noExec, 'mode=1777,size=65536k');
  symlinkSync('pts/ptmx', '/dev/ptmx');
  symlinkSync('/proc/self/fd', '/dev/fd');
  for (const [index, name] of ['stdin', 'stdout', 'stderr'].entries()) symlinkSync(`/proc/self/fd/${index}`, `/dev/${name}`);
}

function directory(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

function file(path: string): string {
  directory(dirname(path));
  closeSync(openSync(path, 'a'));
  return path;
}

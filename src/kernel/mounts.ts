import { check, errnoName } from './errors.ts';
import { addressOf, cString, errno, nativeBuffer, sys, systemCalls } from './sys.ts';

// include/uapi/linux/mount.h and umount2(2)
const mntDetach = 2;
const umountNofollow = 8;

/**
 * Takes away what is mounted on the path, also while it is in use; the topmost mount if there are several. Not a mount point, or gone, is success.
 * @throws KernelError EPERM without root
 */
export function unmount(path: string): void {
  if (sys.umount2(cString(path), mntDetach | umountNofollow) === 0) return;
  if (!['EINVAL', 'ENOENT'].includes(errnoName(errno()))) check(`umount ${path}`, -1);
}

/** Flags of mount(2): include/uapi/linux/mount.h */
export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  noExec: 8,
  remount: 32,
  bind: 0x1000,
  recursive: 0x4000,
  private: 1 << 18,
} as const;

/**
 * mount(2). For a bind, `source` is a path and `type` is ignored.
 * @throws KernelError
 */
export function mount(source: string, target: string, type: string, flags = 0, data?: string): void {
  const result = sys.mount(cString(source), cString(target), cString(type), flags, data === undefined ? null : cString(data));
  check(() => `mount ${type === 'none' ? source : type} on ${target}`, result);
}

/** Makes a file or folder visible at another place. Its mounts come along; read-only holds for the place's topmost mount. */
export function bindMount(source: string, target: string, options: { readOnly?: boolean } = {}): void {
  mount(source, target, 'none', mountFlags.bind | mountFlags.recursive);
  // A bind takes no other flags: they need a second call.
  if (options.readOnly) mount('none', target, 'none', mountFlags.bind | mountFlags.remount | mountFlags.readOnly);
}

/** Nothing that is mounted here from now on shows in another mount namespace, and the other way round. */
export function makePrivate(path: string): void {
  mount('none', path, 'none', mountFlags.recursive | mountFlags.private);
}

export interface OverlayLayers {
  /** Topmost first. */
  lower: readonly string[];
  upper: string;
  /** Empty, on the file system of `upper`. */
  work: string;
}

/** @throws KernelError EINVAL when the file system of `upper` cannot be one (an overlay itself, NFS) */
export function mountOverlay(target: string, layers: OverlayLayers, flags = 0): void {
  // Documentation/filesystems/overlayfs.rst: colons and commas in paths are escaped.
  const escaped = (path: string): string => path.replace(/[\\:,]/g, '\\$&');
  const lower = layers.lower.map(escaped).join(':');
  const data = `lowerdir=${lower},upperdir=${escaped(layers.upper)},workdir=${escaped(layers.work)}`;
  mount('overlay', target, 'overlay', flags, data);
}

/** Makes `root`, a mount point, the root of this mount namespace; the old one is then at `old`, a folder below it. */
export function pivotRoot(root: string, old: string): void {
  const [first, second] = [root, old].map((path) => {
    const text = cString(path);
    const memory = nativeBuffer(Math.max(64, text.length));
    text.copy(memory);
    return memory;
  });
  const result = sys.syscall(systemCalls.pivot_root, addressOf(first!), addressOf(second!), 0, 0, 0);
  check(() => `pivot_root to ${root}`, result);
}

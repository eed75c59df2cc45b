import { closeSync, constants, fstatSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { check, errnoName, KernelError } from './errors.ts';
import { Fd } from './fd.ts';
import { cString, errno, sys } from './sys.ts';

// include/uapi/linux/sched.h, mount.h, magic.h
const cloneNewNet = 0x40000000;
const msBind = 0x1000;
const msRec = 0x4000;
const msShared = 1 << 20;
const mntDetach = 2;
const umountNofollow = 8;
const nsfsMagic = 0x6e736673;
const lockExclusive = 2;

const ownNamespace = '/proc/thread-self/ns/net';
const namedNamespaces = '/run/netns';

/** A namespace by an open descriptor, which keeps it alive and so its inode its own. */
interface Stay {
  fd: number;
  inode: bigint;
}

const inodeOf = (fd: number): bigint => fstatSync(fd, { bigint: true }).ino;

/** Where this thread began, opened before it goes elsewhere for the first time. */
let home: Stay | undefined;
/** Where this thread is, unless at home. */
let here: Stay | undefined;

function homeStay(): Stay {
  if (home) return home;
  const fd = Fd.open(ownNamespace).disown();
  home = { fd, inode: inodeOf(fd) };
  return home;
}

/** For the end of a thread, which nobody enters a namespace from any more: its descriptors are the process's. */
export function forgetHome(): void {
  if (home && !here) sys.close(home.fd);
  home = undefined;
}

/**
 * Goes back after a stay elsewhere. A thread left in a wrong namespace would send the host's packets into a pod and a pod's into the host, so
 * there is no going on without.
 */
function goBack(to: Stay | undefined): void {
  here = to;
  if (sys.setns((to ?? homeStay()).fd, cloneNewNet) === 0) return;
  process.stderr.write(`podnet: cannot return to the network namespace it came from (setns: ${errnoName(errno())}); stopping\n`);
  process.abort();
}

/**
 * A network namespace, held open by a descriptor. Sockets opened inside `enter` stay in the namespace for ever and may be used from anywhere.
 *
 * setns(2) is per thread: `enter` runs a synchronous function on this thread and comes back; node's pool threads are not affected.
 */
export class NetNs implements Disposable {
  readonly #fd: Fd;
  readonly inode: bigint;
  /** How it was opened; for messages. */
  readonly name: string;

  private constructor(fd: Fd, name: string) {
    this.#fd = fd;
    this.name = name;
    this.inode = inodeOf(fd.number);
  }

  /** The namespace this thread is in. */
  static current(): NetNs {
    return new NetNs(Fd.open(ownNamespace), 'the current network namespace');
  }

  /** @throws KernelError ENOENT without the file, EINVAL when it is not a network namespace */
  static open(path: string): NetNs {
    // Not to wait for the other end of a FIFO.
    const fd = Fd.open(path, constants.O_NONBLOCK);
    try {
      requireNamespace(fd, path);
      return new NetNs(fd, path);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** @throws KernelError ENOENT without the process */
  static ofPid(pid: number): NetNs {
    return NetNs.open(`/proc/${pid}/ns/net`);
  }

  /**
   * Makes a namespace (its `lo` is down) that lives as long as the bind mount on `path`. Nothing stays behind when it fails.
   * @throws KernelError EEXIST when the path is there already, EPERM without root
   */
  static create(path: string): NetNs {
    prepareDirectory(dirname(path));
    createFile(path);
    try {
      mountNewNamespace(path);
      return NetNs.open(path);
    } catch (error) {
      sys.umount2(cString(path), mntDetach | umountNofollow);
      unlinkSync(path);
      throw error;
    }
  }

  /** Takes the bind mount and its file away; the namespace dies with its last process and socket. Absent is success. */
  static remove(path: string): void {
    // A second mount can hide below the first, e.g. when /run/netns was bound onto itself later.
    while (sys.umount2(cString(path), mntDetach | umountNofollow) === 0);
    try {
      unlinkSync(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
      if (code !== 'ENOENT') throw new KernelError(`remove ${path}`, code, { cause: error });
    }
  }

  /** The raw descriptor, e.g. for IFLA_NET_NS_FD; stays owned by this object. */
  get fd(): number {
    return this.#fd.number;
  }

  equals(other: NetNs): boolean {
    return this.inode === other.inode;
  }

  /**
   * Runs `fn` inside. It must not be async, nor start threads or processes whose namespace matters later. Calls may nest.
   * Stops the process if the thread cannot come back. The namespace that the thread is in already is entered without root.
   */
  enter<T>(fn: () => T extends Promise<unknown> ? never : T): T {
    const from = here;
    if ((from ?? homeStay()).inode === this.inode) return fn();
    check(() => `enter ${this.name}`, sys.setns(this.fd, cloneNewNet));
    here = { fd: this.fd, inode: this.inode };
    try {
      return fn();
    } finally {
      goBack(from);
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

function mountNewNamespace(path: string): void {
  const from = here;
  homeStay();
  check('make a network namespace (unshare CLONE_NEWNET)', sys.unshare(cloneNewNet));
  try {
    const none = cString('none');
    check(() => `bind-mount a network namespace on ${path}`, sys.mount(cString(ownNamespace), cString(path), none, msBind, null));
  } finally {
    goBack(from);
  }
}

function createFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o000));
  } catch (error) {
    throw new KernelError(`create ${path}`, (error as NodeJS.ErrnoException).code ?? 'EIO', { cause: error });
  }
}

const statfsBuffer = Buffer.alloc(256);

function requireNamespace(fd: Fd, path: string): void {
  check(() => `statfs ${path}`, sys.fstatfs(fd.number, statfsBuffer));
  const kind = check(() => `NS_GET_NSTYPE of ${path}`, kindOfNamespace(fd, statfsBuffer));
  if (kind !== cloneNewNet) throw new KernelError(`open ${path}`, 'EINVAL', { extack: 'it is not a network namespace' });
}

/** The CLONE_NEW… number, or 0 when the file is no namespace at all. */
function kindOfNamespace(fd: Fd, statfs: Buffer): number {
  const nsGetNstype = 0xb703; // include/uapi/linux/nsfs.h
  // struct statfs: f_type is a long at offset 0.
  return Number(statfs.readBigInt64LE(0)) === nsfsMagic ? sys.ioctlNumber(fd.number, nsGetNstype, 0) : 0;
}

/**
 * Makes the directory. /run/netns is prepared as `ip netns` does it, a shared mount of its own: otherwise the first `ip netns add` on the machine
 * would bind it onto itself, and every namespace in it would have a second mount that nobody can reach.
 */
/** Not `recursive` at once: on a read-only file system that fails with a misleading ENOENT. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw new KernelError(`create ${path}`, code, { cause: error });
    makeDirectory(dirname(path));
    makeDirectory(path);
  }
}

function prepareDirectory(path: string): void {
  makeDirectory(path);
  if (path !== namedNamespaces) return;
  using lock = Fd.open(path);
  check(`lock ${path}`, sys.flock(lock.number, lockExclusive));
  const target = cString(path);
  const none = cString('none');
  if (sys.mount(cString(''), target, none, msShared | msRec, null) === 0) return;
  if (errnoName(errno()) !== 'EINVAL') check(`share the mount ${path}`, -1);
  check(`bind ${path} onto itself`, sys.mount(target, target, none, msBind | msRec, null));
  check(`share the mount ${path}`, sys.mount(cString(''), target, none, msShared | msRec, null));
}

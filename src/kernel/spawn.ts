import { type ChildProcess, spawn as nodeSpawn } from 'node:child_process';
import { closeSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { type ContainerRoot, enterRoot } from './container-root.ts';
import { check, errnoName, KernelError } from './errors.ts';
import { inNamespacesOf, inNewNamespaces } from './namespaces.ts';
import { NetNs } from './netns.ts';
import { Pty } from './pty.ts';
import { type StartCall, startProgram, statusFd } from './start-program.ts';
import { cString, sys } from './sys.ts';

export interface ProcessOptions {
  /** The first is a path, or a name that is looked up in the environment's PATH, in the container. */
  argv: readonly [string, ...string[]];
  env: Readonly<Record<string, string>>;
  /** In the container; made when absent. */
  cwd: string;
  user: { uid: number; gid: number; groups: readonly number[] };
  /** Standard streams are a terminal. */
  tty: boolean;
  /** Without it standard input is empty. */
  stdin: boolean;
}

export interface ContainerOptions extends ProcessOptions {
  root: ContainerRoot;
  /** Path of the network namespace. */
  netns: string;
  hostname: string;
}

export interface SpawnedProcess {
  /** In this process's numbering. */
  readonly pid: number;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  /** Absent with a tty. */
  readonly stderr: Readable | undefined;
  resize(columns: number, rows: number): void;
  /** Fulfilled when the program runs, rejected when the step before it failed. @throws KernelError */
  readonly started: Promise<void>;
  /** `code` is 128 + n after signal n. */
  readonly exit: Promise<{ code: number; signal?: number }>;
}

/** The program cannot be run; the message is runc's. */
export class ExecutableError extends Error {
  /** What a shell would answer: 127 not there, 126 there but not to be run. */
  readonly exitCode: 126 | 127;

  constructor(message: string, exitCode: 126 | 127) {
    super(message);
    this.name = 'ExecutableError';
    this.exitCode = exitCode;
  }
}

/**
 * Starts a process as pid 1 of new pid, mount, UTS and IPC namespaces, in a network namespace that is there, on a root of its own. The root and all
 * its mounts are gone with the last process in it: they are in no other mount namespace. Capabilities are those that runc leaves,
 * less CAP_MKNOD: no device cgroup stands behind it here.
 * @throws ExecutableError, KernelError
 */
export function spawnContainer(options: ContainerOptions): SpawnedProcess {
  using ns = NetNs.open(options.netns);
  return ns.enter(() =>
    inNewNamespaces(() => {
      enterRoot(options.root);
      const name = cString(options.hostname);
      check('sethostname', sys.sethostname(name, name.length - 1));
      return start(options, procMounts);
    }),
  ) as SpawnedProcess;
}

/** Starts a further process in the namespaces of a container. @throws ExecutableError, KernelError ENOENT when the container is gone */
export function spawnInContainer(pid: number, options: ProcessOptions): SpawnedProcess {
  using ns = NetNs.ofPid(pid);
  return ns.enter(() => inNamespacesOf(pid, () => start(options, []))) as SpawnedProcess;
}

// include/uapi/linux/mount.h, fcntl.h, prctl.h, asm-generic/ioctls.h, capability.h
const procFlags = 2 | 4 | 8;
const bind = 0x1000 | 0x4000;
const readOnlyBind = 0x1000 | 32 | 1 | procFlags;
const atFdcwd = -100;
const [fSetfd, fdCloexec, tiocsctty, prCapbsetDrop] = [2, 1, 0x540e, 24];
/** CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, AUDIT_WRITE, SETFCAP */
const keptCapabilities = new Set([0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31]);
const lastCapability = 40;

const readOnlyPath = (path: string): StartCall[] => [
  { name: 'mount', arguments: [path, path, 'none', bind, 0], mayFail: true },
  { name: 'mount', arguments: ['none', path, 'none', readOnlyBind, 0], mayFail: true },
];
/** Only a process in the pid namespace gets its /proc. */
const procMounts: readonly StartCall[] = [
  { name: 'mount', arguments: ['proc', '/proc', 'proc', procFlags, 0] },
  ...['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs'].flatMap(readOnlyPath),
  ...['/proc/kcore', '/proc/keys', '/proc/timer_list'].map(
    (path): StartCall => ({ name: 'mount', arguments: ['/dev/null', path, 'none', 0x1000, 0], mayFail: true }),
  ),
];
let count = 0;

/** On a thread that is in the container already. */
function start(options: ProcessOptions, first: readonly StartCall[]): SpawnedProcess {
  const { user, tty, argv, env } = options;
  mkdirSync(options.cwd, { recursive: true });
  const path = findExecutable(argv[0], env.PATH ?? '', options.cwd);
  const program = `/dev/.podnet-${process.pid}-${count++}`;
  const calls: StartCall[] = [
    { name: 'unlinkat', arguments: [atFdcwd, program, 0] },
    { name: 'fcntl', arguments: [statusFd, fSetfd, fdCloexec] },
    // What whoever started this process left open. Before Linux 5.9 it stays so.
    { name: 'close_range', arguments: [statusFd + 1, 0xffffffff, 0], mayFail: true },
    ...first,
    // libuv has made it the leader of a session.
    ...(tty ? [{ name: 'ioctl', arguments: [0, tiocsctty, 0] } as const] : []),
    ...dropCapabilities(),
    { name: 'setgroups', arguments: [user.groups.length, user.groups] },
    { name: 'setgid', arguments: [user.gid] },
    { name: 'setuid', arguments: [user.uid] },
  ];
  writeFileSync(program, startProgram(calls, path), { mode: 0o700 });
  const streams = tty ? terminalStreams() : pipeStreams(options.stdin);
  const status = pipe();
  try {
    const child = nodeSpawn(program, [...argv], {
      env: { ...env },
      cwd: options.cwd,
      stdio: [...streams.child, status.write],
      detached: true,
    });
    return running(child, streams, readStatus(status.read, calls));
  } finally {
    closeSync(status.write);
    streams.closeChild();
  }
}

const dropCapabilities = (): StartCall[] =>
  Array.from({ length: lastCapability + 1 }, (_, capability) => capability)
    .filter((capability) => !keptCapabilities.has(capability))
    // A kernel that does not know the capability has nothing to drop.
    .map((capability) => ({ name: 'prctl', arguments: [prCapbsetDrop, capability, 0, 0, 0], mayFail: true }));

function running(child: ChildProcess, streams: Streams, started: Promise<void>): SpawnedProcess {
  const exit = new Promise<{ code: number; signal?: number }>((resolve) => {
    // Follows when not even the fork succeeded.
    child.once('error', () => resolve({ code: 128 }));
    child.once('exit', (code, name) => {
      const signal = name === null ? undefined : constants.signals[name];
      resolve(signal === undefined ? { code: code ?? 128 } : { code: 128 + signal, signal });
    });
  });
  if (child.pid === undefined)
    throw new KernelError(`start ${child.spawnfile}`, 'EAGAIN', { extack: 'no process could be made' });
  const { stdin, stdout, stderr, resize } = streams;
  return { pid: child.pid, stdin, stdout, stderr, resize, started, exit };
}

/** As execvp and runc look it up. */
function findExecutable(name: string, path: string, cwd: string): string {
  const quoted = `exec: ${JSON.stringify(name)}`;
  if (name.includes('/')) {
    const full = name.startsWith('/') ? name : `${cwd}/${name}`;
    const kind = executableAt(full);
    if (kind === 'absent') throw new ExecutableError(`${quoted}: stat ${name}: no such file or directory`, 127);
    if (kind === 'directory') throw new ExecutableError(`${quoted}: is a directory`, 126);
    if (kind === 'forbidden') throw new ExecutableError(`${quoted}: permission denied`, 126);
    return full;
  }
  const candidates = path.split(':').map((folder) => `${folder === '' ? '.' : folder}/${name}`);
  const found = name === '' ? undefined : candidates.find((candidate) => executableAt(candidate) === 'executable');
  if (found === undefined) throw new ExecutableError(`${quoted}: executable file not found in $PATH`, 127);
  return found;
}

function executableAt(path: string): 'executable' | 'absent' | 'directory' | 'forbidden' {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return 'absent';
  if (found.isDirectory()) return 'directory';
  return found.mode & 0o111 ? 'executable' : 'forbidden';
}

interface Streams {
  child: (number | 'ignore')[];
  closeChild(): void;
  stdin: Writable | undefined;
  stdout: Readable;
  stderr: Readable | undefined;
  resize(columns: number, rows: number): void;
}

/** Pipes, not the sockets that node makes: a socket cannot be opened by name, as in `echo > /dev/stdout`. */
function pipeStreams(withStdin: boolean): Streams {
  const [input, output, errors] = [withStdin ? pipe() : undefined, pipe(), pipe()];
  const stdin = input && new net.Socket({ fd: input.write, readable: false, writable: true });
  // A process that does not read its input to the end is nothing unusual.
  stdin?.on('error', () => {});
  return {
    child: [input?.read ?? 'ignore', output.write, errors.write],
    closeChild: () => {
      for (const fd of [input?.read, output.write, errors.write]) if (fd !== undefined) closeSync(fd);
    },
    stdin,
    stdout: new net.Socket({ fd: output.read, readable: true, writable: false }),
    stderr: new net.Socket({ fd: errors.read, readable: true, writable: false }),
    resize: () => {},
  };
}

function terminalStreams(): Streams {
  const pty = Pty.open();
  const { slave } = pty;
  return {
    child: [slave, slave, slave],
    closeChild: () => pty.closeSlave(),
    stdin: pty.input,
    stdout: pty.output,
    stderr: undefined,
    resize: (columns, rows) => pty.resize(columns, rows),
  };
}

function pipe(): { read: number; write: number } {
  const pair = Buffer.alloc(8);
  check('pipe2', sys.pipe2(pair, 0o2000000));
  return { read: pair.readInt32LE(0), write: pair.readInt32LE(4) };
}

/** Its end without a word means that the program runs: exec closed it. */
async function readStatus(fd: number, calls: readonly StartCall[]): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of new net.Socket({ fd, readable: true, writable: false })) chunks.push(chunk as Buffer);
  const report = Buffer.concat(chunks);
  if (report.length < 16) return;
  const call = calls[Number(report.readBigInt64LE(0))];
  const what = call ? `${call.name}(${call.arguments.map(String).join(', ')})` : 'execve';
  throw new KernelError(`start a container: ${what}`, errnoName(-Number(report.readBigInt64LE(8))));
}

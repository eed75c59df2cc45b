import koffi from 'koffi';

/** A buffer that the kernel reads or writes, an address got from `addressOf`, or NULL. */
export type Pointer = Uint8Array | bigint | null;

/**
 * The system calls podnet uses: the whole native seam. Each returns what libc returns: -1 means failure, with the number in `errno()` until the
 * next call. Arguments are 32-bit integers, sizes and pointers only, so that another FFI (node:ffi) can take koffi's place. Everything runs
 * synchronously on the calling thread. Wrap calls in `check` (errors.ts).
 */
export interface Sys {
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, pair: Pointer): number;
  bind(fd: number, address: Pointer, length: number): number;
  connect(fd: number, address: Pointer, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: Pointer, length: Pointer, flags: number): number;
  shutdown(fd: number, how: number): number;
  getsockname(fd: number, address: Pointer, length: Pointer): number;
  getpeername(fd: number, address: Pointer, length: Pointer): number;
  setsockopt(fd: number, level: number, option: number, value: Pointer, length: number): number;
  getsockopt(fd: number, level: number, option: number, value: Pointer, length: Pointer): number;
  send(fd: number, data: Pointer, length: number, flags: number): number;
  recv(fd: number, data: Pointer, length: number, flags: number): number;
  sendto(fd: number, data: Pointer, length: number, flags: number, address: Pointer, addressLength: number): number;
  recvfrom(fd: number, data: Pointer, length: number, flags: number, address: Pointer, addressLength: Pointer): number;
  sendmsg(fd: number, message: Pointer, flags: number): number;
  recvmsg(fd: number, message: Pointer, flags: number): number;
  sendmmsg(fd: number, messages: Pointer, count: number, flags: number): number;
  recvmmsg(fd: number, messages: Pointer, count: number, flags: number, timeout: Pointer): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: Pointer): number;
  poll(fds: Pointer, count: number, timeoutMs: number): number;
  /** @param mode for O_CREAT */
  open(path: Pointer, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, data: Pointer, length: number): number;
  write(fd: number, data: Pointer, length: number): number;
  dup3(from: number, to: number, flags: number): number;
  pipe2(pair: Pointer, flags: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  flock(fd: number, operation: number): number;
  /** With a pointer to a structure. */
  ioctl(fd: number, request: number, argument: Pointer): number;
  /** With a plain number. */
  ioctlNumber(fd: number, request: number, argument: number): number;
  statfs(path: Pointer, result: Pointer): number;
  fstatfs(fd: number, result: Pointer): number;
  mount(source: Pointer, target: Pointer, type: Pointer, flags: number, data: Pointer): number;
  umount2(target: Pointer, flags: number): number;
  chroot(path: Pointer): number;
  chdir(path: Pointer): number;
  setns(fd: number, type: number): number;
  unshare(flags: number): number;
  sethostname(name: Pointer, length: number): number;
  kill(pid: number, signal: number): number;
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  memfd_create(name: Pointer, flags: number): number;
  eventfd(initial: number, flags: number): number;
  /** @returns an error number, not -1 */
  posix_spawn(pid: Pointer, path: Pointer, fileActions: Pointer, attributes: Pointer, argv: Pointer, envp: Pointer): number;
  posix_spawn_file_actions_init(fileActions: Pointer): number;
  posix_spawn_file_actions_adddup2(fileActions: Pointer, from: number, to: number): number;
  posix_spawn_file_actions_destroy(fileActions: Pointer): number;
  /** @returns the process that has ended, 0 with WNOHANG when none has */
  wait4(pid: number, status: Pointer, options: number, usage: Pointer): number;
  /** What libc has no wrapper for: numbers in `systemCalls`. */
  syscall(
    call: number,
    a: number | bigint,
    b: number | bigint,
    c: number | bigint,
    d: number | bigint,
    e: number | bigint,
  ): number;
}

/** i: int, u: unsigned 32 bit, n: size or long (64 bit), p: pointer. The result is a long where libc says ssize_t, else an int. */
const signatures: Record<keyof Sys, readonly [result: 'int' | 'long', parameters: string, symbol?: string]> = {
  socket: ['int', 'iii'],
  socketpair: ['int', 'iiip'],
  bind: ['int', 'ipu'],
  connect: ['int', 'ipu'],
  listen: ['int', 'ii'],
  accept4: ['int', 'ippi'],
  shutdown: ['int', 'ii'],
  getsockname: ['int', 'ipp'],
  getpeername: ['int', 'ipp'],
  setsockopt: ['int', 'iiipu'],
  getsockopt: ['int', 'iiipp'],
  send: ['long', 'ipni'],
  recv: ['long', 'ipni'],
  sendto: ['long', 'ipnipu'],
  recvfrom: ['long', 'ipnipp'],
  sendmsg: ['long', 'ipi'],
  recvmsg: ['long', 'ipi'],
  sendmmsg: ['int', 'ipui'],
  recvmmsg: ['int', 'ipuip'],
  epoll_create1: ['int', 'i'],
  epoll_ctl: ['int', 'iiip'],
  poll: ['int', 'pni'],
  open: ['int', 'piu'],
  close: ['int', 'i'],
  read: ['long', 'ipn'],
  write: ['long', 'ipn'],
  dup3: ['int', 'iii'],
  pipe2: ['int', 'pi'],
  fcntl: ['int', 'iin'],
  flock: ['int', 'ii'],
  ioctl: ['int', 'inp'],
  ioctlNumber: ['int', 'inn', 'ioctl'],
  statfs: ['int', 'pp'],
  fstatfs: ['int', 'ip'],
  mount: ['int', 'pppnp'],
  umount2: ['int', 'pi'],
  chroot: ['int', 'p'],
  chdir: ['int', 'p'],
  setns: ['int', 'ii'],
  unshare: ['int', 'i'],
  sethostname: ['int', 'pn'],
  kill: ['int', 'ii'],
  prctl: ['int', 'innnn'],
  memfd_create: ['int', 'pu'],
  eventfd: ['int', 'ui'],
  posix_spawn: ['int', 'pppppp'],
  posix_spawn_file_actions_init: ['int', 'p'],
  posix_spawn_file_actions_adddup2: ['int', 'pii'],
  posix_spawn_file_actions_destroy: ['int', 'p'],
  wait4: ['int', 'ipip'],
  syscall: ['long', 'nnnnnn'],
};

const parameterTypes: Record<string, string> = { i: 'int', u: 'uint', n: 'long', p: 'void *' };

function loadLibc(): ReturnType<typeof koffi.load> {
  const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const names = ['libc.so.6', `libc.musl-${arch}.so.1`];
  const failures: string[] = [];
  for (const name of names) {
    try {
      return koffi.load(name);
    } catch (error) {
      failures.push(String(error));
    }
  }
  throw new Error(`no C library to make system calls with: tried ${names.join(', ')} (${failures.join('; ')})`);
}

function loadSys(): Sys {
  const libc = loadLibc();
  const entries = Object.entries(signatures).map(([name, [result, parameters, symbol]]) => {
    const types = Array.from(parameters, (letter) => parameterTypes[letter]!);
    return [name, libc.func(symbol ?? name, result, types)];
  });
  return Object.fromEntries(entries) as Sys;
}

export const sys: Sys = loadSys();

/** The number of the last failed call of this thread. */
export const errno = (): number => koffi.errno();

/**
 * Where a buffer's bytes are, for structures that hold pointers. Only for buffers made by `nativeBuffer` or at least 64 bytes long (smaller ones may
 * live on V8's moving heap), and only while the buffer is referenced.
 */
export const addressOf = (bytes: Uint8Array): bigint => koffi.address(bytes);

/** Zeroed memory that never moves. */
export const nativeBuffer = (length: number): Buffer => Buffer.from(new ArrayBuffer(length));

/** A path or name as the kernel takes it. @throws RangeError on a NUL inside, which would cut it short. */
export function cString(text: string): Buffer {
  if (text.includes('\0')) throw new RangeError(`${JSON.stringify(text)} has a NUL character inside`);
  return Buffer.from(`${text}\0`);
}

/** Numbers for `sys.syscall` (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h). */
export const systemCalls: Readonly<
  Record<
    'pivot_root' | 'pidfd_open' | 'pidfd_send_signal' | 'gettid' | 'mount_setattr' | 'open_tree' | 'move_mount' | 'sched_setattr' | 'sched_setaffinity' | 'sched_getaffinity',
    number
  >
> =
  process.arch === 'arm64'
    ? {
        pivot_root: 41,
        pidfd_open: 434,
        pidfd_send_signal: 424,
        gettid: 178,
        mount_setattr: 442,
        open_tree: 428,
        move_mount: 429,
        sched_setattr: 274,
        sched_setaffinity: 122,
        sched_getaffinity: 123,
      }
    : {
        pivot_root: 155,
        pidfd_open: 434,
        pidfd_send_signal: 424,
        gettid: 186,
        mount_setattr: 442,
        open_tree: 428,
        move_mount: 429,
        sched_setattr: 314,
        sched_setaffinity: 203,
        sched_getaffinity: 204,
      };

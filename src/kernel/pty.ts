import { closeSync, constants, openSync, readSync } from 'node:fs';
import net from 'node:net';
import { Readable, Writable } from 'node:stream';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

// include/uapi/asm-generic/ioctls.h; the same on x86-64 and arm64.
const tiocsptlck = 0x40045431;
const tiocgptpeer = 0x5441; // since Linux 4.13
const tiocswinsz = 0x5414;
const afUnix = 1;
const sockStream = 1;
const sockCloexec = 0o2000000;
const oCloexec = 0o2000000;

interface Libc {
  ioctl(fd: number, request: number, argument: Buffer): number;
  ioctlNumber(fd: number, request: number, argument: number): number;
  socketpair(domain: number, type: number, protocol: number, pair: Buffer): number;
  dup3(from: number, to: number, flags: number): number;
}

let loaded: Libc | undefined;

function libc(): Libc {
  if (!loaded) {
    const library = koffi.load('libc.so.6');
    loaded = {
      ioctl: library.func('int ioctl(int fd, unsigned long request, void *argument)') as Libc['ioctl'],
      ioctlNumber: library.func('ioctl', 'int', ['int', 'ulong', 'long']) as Libc['ioctlNumber'],
      socketpair: library.func('int socketpair(int domain, int type, int protocol, void *pair)') as Libc['socketpair'],
      dup3: library.func('int dup3(int from, int to, int flags)') as Libc['dup3'],
    };
  }
  return loaded;
}

/** @throws Error naming the call and the errno when `result` is negative */
function checked(call: string, result: number): number {
  if (result < 0) throw new Error(`${call}: ${getSystemErrorName(-koffi.errno())}`);
  return result;
}

/** Options that node:net documents for connections only, or not at all. */
interface SocketOptions extends net.SocketConstructorOpts {
  manualStart: boolean;
  onread: net.OnReadOpts;
}

/**
 * A stream on a pty's master that never blocks. Node takes neither of its own ways here: as a TTY its writes block the whole process when
 * nobody reads the terminal, and as a file each read holds a thread. So it is given a socket, and the master is put in the socket's place
 * before anything waits on it; libuv only ever calls read and write.
 *
 * @param onData returns false to have no more until resume()
 */
function streamOn(master: number, onData: (chunk: Buffer) => boolean): net.Socket {
  const pair = Buffer.alloc(8);
  checked('socketpair', libc().socketpair(afUnix, sockStream | sockCloexec, 0, pair));
  const [ours, other] = [pair.readInt32LE(0), pair.readInt32LE(4)];
  closeSync(other);
  const options: SocketOptions = {
    fd: ours,
    readable: true,
    writable: true,
    // A read would register the socket with epoll, which keeps watching what was there first.
    manualStart: true,
    // Without a buffer of its own in between: what it held would be lost with the EIO that ends a pty.
    onread: {
      buffer: Buffer.allocUnsafe(64 * 1024),
      callback: (length, buffer) => onData(Buffer.from(buffer.subarray(0, length))),
    },
  };
  const stream = new net.Socket(options);
  try {
    checked('dup3', libc().dup3(master, ours, oCloexec));
  } catch (error) {
    stream.destroy();
    throw error;
  }
  return stream;
}

/**
 * A pseudo-terminal. Give `slave` to a child as stdin, stdout and stderr, make it the child's controlling terminal (`setsid --ctty CMD`), then
 * call `closeSlave`: `output` ends when the last process that has the terminal open is gone.
 */
export class Pty implements Disposable {
  /** What the terminal shows. Ends without error. */
  readonly output: Readable;
  /** Keys pressed. Ending it changes nothing for the terminal, as with a real one whose keyboard is silent. */
  readonly input: Writable;
  readonly #stream: net.Socket;
  #master: number | undefined;
  #slave: number | undefined;

  private constructor(master: number, slave: number) {
    const output = new Readable({ read: () => void stream.resume() });
    const stream = streamOn(master, (chunk) => output.push(chunk));
    this.#stream = stream;
    this.#master = master;
    this.#slave = slave;
    this.output = output;
    // The last slave is closed. libuv takes a hang-up after a short read for the end, but a pty's reads are always short: up to some
    // ten thousand bytes are still there.
    stream
      .on('error', () => {})
      .once('close', () => {
        this.#drain();
        output.push(null);
      });
    this.input = new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        if (stream.writable) stream.write(chunk, () => callback());
        else callback();
      },
    });
  }

  /** @throws Error when there is no pty to be had (no /dev/ptmx, kernel.pty.max reached) */
  static open(columns = 80, rows = 24): Pty {
    // O_NOCTTY: the terminal must not become that of this process.
    const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
    const master = openSync('/dev/ptmx', flags);
    let slave: number | undefined;
    try {
      checked('ioctl TIOCSPTLCK', libc().ioctl(master, tiocsptlck, Buffer.alloc(4)));
      // By descriptor, not by name: /dev/pts may be another one in the mount namespace of now.
      const peer = constants.O_RDWR | constants.O_NOCTTY | oCloexec;
      slave = checked('ioctl TIOCGPTPEER', libc().ioctlNumber(master, tiocgptpeer, peer));
      const pty = new Pty(master, slave);
      pty.resize(columns, rows);
      return pty;
    } catch (error) {
      if (slave !== undefined) closeSync(slave);
      closeSync(master);
      throw error;
    }
  }

  /** Descriptor for the child's stdio; it stays this object's to close. @throws Error after closeSlave */
  get slave(): number {
    if (this.#slave === undefined) throw new Error('the slave of this pty is closed');
    return this.#slave;
  }

  /** To be called when the child is started, or `output` never ends. */
  closeSlave(): void {
    if (this.#slave !== undefined) closeSync(this.#slave);
    this.#slave = undefined;
  }

  #drain(): void {
    if (this.#master === undefined) return;
    const buffer = Buffer.allocUnsafe(64 * 1024);
    try {
      for (let length = 1; length > 0; ) {
        length = readSync(this.#master, buffer);
        this.output.push(Buffer.from(buffer.subarray(0, length)));
      }
    } catch {
      // EIO: all read.
    }
    this.#closeMaster();
  }

  #closeMaster(): void {
    if (this.#master !== undefined) closeSync(this.#master);
    this.#master = undefined;
  }

  /** In character cells. The foreground processes get SIGWINCH when it changes. */
  resize(columns: number, rows: number): void {
    // struct winsize: rows, columns, pixels twice; host byte order, little-endian on both architectures.
    const size = Buffer.alloc(8);
    size.writeUInt16LE(rows, 0);
    size.writeUInt16LE(columns, 2);
    if (this.#master !== undefined) checked('ioctl TIOCSWINSZ', libc().ioctl(this.#master, tiocswinsz, size));
  }

  /** Hangs up: processes of the terminal get SIGHUP. */
  [Symbol.dispose](): void {
    this.closeSlave();
    this.#closeMaster();
    this.#stream.destroy();
  }
}

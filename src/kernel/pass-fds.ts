import { check, errnoName, KernelError } from './errors.ts';
import { Fd } from './fd.ts';
import { msgDontwait, sockCloexec, sockNonblock, sockStream } from './socket-options.ts';
import { addressOf, errno, nativeBuffer, sys } from './sys.ts';
import { sockaddrUn } from './unix-listener.ts';

/** Descriptors that go from process to process over a unix socket (SCM_RIGHTS, unix(7)): both then have the same open socket, with all that waits in it. */

const afUnix = 1;
const msgNosignal = 0x4000;
const msgCtrunc = 0x8;
const msgCmsgCloexec = 0x40000000;
const [solSocket, scmRights] = [1, 1];
/** SCM_MAX_FD of include/net/scm.h. */
const mostFds = 253;
const cmsgHeader = 16;
const controlBytes = cmsgHeader + mostFds * 4 + 4;

interface Message {
  header: Buffer;
  data: Buffer;
  control: Buffer;
  iovec: Buffer;
}

/** struct msghdr of 64-bit Linux, with one struct iovec. */
function message(data: Buffer): Message {
  const [header, iovec, control] = [nativeBuffer(64), nativeBuffer(64), nativeBuffer(controlBytes)];
  iovec.writeBigUInt64LE(addressOf(data), 0);
  iovec.writeBigUInt64LE(BigInt(data.length), 8);
  header.writeBigUInt64LE(addressOf(iovec), 16);
  header.writeBigUInt64LE(1n, 24);
  return { header, data, control, iovec };
}

function setControl({ header, control }: Message, length: number): void {
  header.writeBigUInt64LE(addressOf(control), 32);
  header.writeBigUInt64LE(BigInt(length), 40);
}

/** A connection to a listening unix socket. @throws KernelError ECONNREFUSED when nobody listens any more, ENOENT without the socket */
export function connectUnix(path: string): Fd {
  const fd = Fd.own(
    check('open a unix socket', sys.socket(afUnix, sockStream | sockCloexec | sockNonblock, 0)),
    `connection to ${path}`,
  );
  try {
    const name = sockaddrUn(path);
    check(() => `connect to ${path}`, sys.connect(fd.number, name, name.length));
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * Sends bytes together with descriptors, which stay open here as well. All of it must fit into the socket's buffer (some 200 KiB).
 * @throws KernelError EPIPE, EAGAIN; RangeError for more than 253 descriptors
 */
export function sendWithFds(connection: Fd, bytes: Buffer, fds: readonly number[]): void {
  if (fds.length > mostFds) throw new RangeError(`${fds.length} descriptors in one message; ${mostFds} fit (SCM_MAX_FD)`);
  const out = message(copyOf(bytes));
  if (fds.length > 0) {
    const length = cmsgHeader + fds.length * 4;
    out.control.writeBigUInt64LE(BigInt(length), 0);
    out.control.writeInt32LE(solSocket, 8);
    out.control.writeInt32LE(scmRights, 12);
    for (const [i, fd] of fds.entries()) out.control.writeInt32LE(fd, cmsgHeader + 4 * i);
    setControl(out, (length + 7) & ~7);
  }
  const sent = sys.sendmsg(connection.number, out.header, msgDontwait | msgNosignal);
  if (sent < 0) throw new KernelError('send descriptors', errnoName(errno()));
  if (sent < bytes.length) throw new KernelError('send descriptors', 'EMSGSIZE', { extack: `${sent} of ${bytes.length} bytes` });
}

/**
 * Receives what is there: part of the stream, and the descriptors that came with it, which are the caller's.
 * @returns undefined when there is nothing yet; no bytes at the end of the stream
 * @throws KernelError, also EMFILE when this process may not have so many (what came is closed again)
 */
export function receiveWithFds(connection: Fd, maximum: number): { bytes: Buffer; fds: Fd[] } | undefined {
  const into = message(nativeBuffer(Math.max(maximum, 64)));
  setControl(into, controlBytes);
  const length = sys.recvmsg(connection.number, into.header, msgDontwait | msgCmsgCloexec);
  if (length < 0) {
    const name = errnoName(errno());
    if (name === 'EAGAIN' || name === 'EINTR') return undefined;
    throw new KernelError('receive descriptors', name);
  }
  const fds = fdsOf(into);
  if (into.header.readInt32LE(48) & msgCtrunc) {
    for (const fd of fds) fd.close();
    throw new KernelError('receive descriptors', 'EMFILE', { extack: 'not all of them could be taken' });
  }
  return { bytes: into.data.subarray(0, length), fds };
}

function fdsOf({ header, control }: Message): Fd[] {
  const length = Number(header.readBigUInt64LE(40));
  const fds: Fd[] = [];
  for (let at = 0; at + cmsgHeader <= length; ) {
    const size = Number(control.readBigUInt64LE(at));
    if (size < cmsgHeader || at + size > length) break;
    const isRights = control.readInt32LE(at + 8) === solSocket && control.readInt32LE(at + 12) === scmRights;
    for (let i = at + cmsgHeader; isRights && i + 4 <= at + size; i += 4)
      fds.push(Fd.own(control.readInt32LE(i), 'received descriptor'));
    at += (size + 7) & ~7;
  }
  return fds;
}

/** In memory that does not move. */
function copyOf(bytes: Buffer): Buffer {
  const copy = nativeBuffer(Math.max(bytes.length, 64));
  bytes.copy(copy);
  return copy.subarray(0, bytes.length);
}

// include/uapi/linux/fcntl.h
const fDupfdCloexec = 1030;

/** Another descriptor of the same open file or socket, close-on-exec, for who takes descriptors over (node). */
export const duplicate = (fd: number): number => check(() => `duplicate descriptor ${fd}`, sys.fcntl(fd, fDupfdCloexec, 3));

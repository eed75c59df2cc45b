import type net from 'node:net';
import { check } from '../kernel/errors.ts';
import { sys } from '../kernel/sys.ts';

/**
 * The user at the other end of a unix socket when it connected (SO_PEERCRED, struct ucred of include/linux/socket.h).
 * Undefined when it cannot be told, which callers must take for a stranger.
 */
export function peerUid(socket: net.Socket): number | undefined {
  // node keeps the descriptor in the handle and has no public name for it.
  const fd = (socket as { _handle?: { fd?: number } })._handle?.fd;
  if (fd === undefined || fd < 0) return undefined;
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  try {
    check('getsockopt SO_PEERCRED', sys.getsockopt(fd, 1 /* SOL_SOCKET */, 17 /* SO_PEERCRED */, credentials, length));
  } catch {
    return undefined;
  }
  return credentials.readUInt32LE(4);
}

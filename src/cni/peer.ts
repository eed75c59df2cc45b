import { check } from '../kernel/errors.ts';
import { sys } from '../kernel/sys.ts';

const credentials = Buffer.alloc(12);
const length = Buffer.alloc(4);

/**
 * The user at the other end of a unix socket when it connected (SO_PEERCRED, struct ucred of include/linux/socket.h).
 * Undefined when it cannot be told, which callers must take for a stranger.
 */
export function peerUid(fd: number): number | undefined {
  length.writeUInt32LE(credentials.length);
  try {
    check('getsockopt SO_PEERCRED', sys.getsockopt(fd, 1 /* SOL_SOCKET */, 17 /* SO_PEERCRED */, credentials, length));
  } catch {
    return undefined;
  }
  return credentials.readUInt32LE(4);
}

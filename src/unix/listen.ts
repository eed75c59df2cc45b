import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';

/** Bytes of a sun_path, without its NUL (unix(7)). */
export const longestSocketPath = 107;

/**
 * Listens on a unix socket that only this process's user may use, which is root: a folder of mode 0700 when it is made here, the socket 0600 from its birth.
 * A socket that a dead process left is replaced.
 * @param takeOver replaces that of a living process, too, which then goes on with the connections it has. The new one is put in place by rename: there is
 *   no moment without, and the former owner, when it ends, does not take it away (libuv deletes the name that a socket was bound to).
 *   The name it is born with takes one byte more.
 * @throws RangeError when the path is too long; Error when another process answers on it, or when something that is no socket is in the way
 */
export async function listenForRoot(server: net.Server, path: string, { takeOver = false } = {}): Promise<void> {
  const born = takeOver ? `${path}~` : path;
  await bornForRoot(path, born, takeOver, () => {
    server.listen(born);
    // Binding is done by now; what it failed with is told by an event.
    if (takeOver && existsSync(born)) putInPlace(server, born, path);
  });
  await once(server, 'listening');
  chmodSync(path, 0o600);
}

/**
 * The same for a socket that is not node's.
 * @param bind makes the socket with this name
 * @returns what `bind` gave, and what takes the socket's file away again unless another process has put its own there
 * @throws as listenForRoot
 */
export async function bindForRoot<T>(path: string, bind: () => T): Promise<{ bound: T; remove: () => void }> {
  const bound = await bornForRoot(path, path, false, bind);
  chmodSync(path, 0o600);
  return { bound, remove: removal(path) };
}

async function bornForRoot<T>(path: string, born: string, takeOver: boolean, bind: () => T): Promise<T> {
  refuseTooLong(path, Buffer.byteLength(born) - Buffer.byteLength(path));
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat && !stat.isSocket())
    throw new Error(`${path} is in the way and is no socket; move it away, or configure another path`);
  if (stat && !takeOver && (await isAnswered(path))) throw new Error(`another process answers on ${path}; stop it first`);
  rmSync(born, { force: true });
  // Born without rights for others: between bind and chmod there is no moment in which anybody else could connect.
  const umask = process.umask(0o177);
  try {
    return bind();
  } finally {
    process.umask(umask);
  }
}

/** Before anything is made: libuv would bind to a path that is cut off, or tell of an invalid argument. */
function refuseTooLong(path: string, more: number): void {
  const [length, most] = [Buffer.byteLength(path), longestSocketPath - more];
  if (length > most)
    throw new RangeError(`the socket path ${path} has ${length} bytes and may have ${most} (unix(7)): configure a shorter one`);
}

/** Renames the socket, and deletes its new name when the server closes, unless another has it by then. */
function putInPlace(server: net.Server, born: string, path: string): void {
  renameSync(born, path);
  server.once('close', removal(path));
}

/** Takes a socket's file away, unless another is there by then. */
export function removal(path: string): () => void {
  const { ino } = lstatSync(path);
  return () => {
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
  };
}

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = net.connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });

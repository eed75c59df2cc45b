import { once } from 'node:events';
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';

/** Length of sun_path, without its NUL (unix(7)). */
export const longestSocketPath = 107;

/**
 * Listens on a unix socket that only this process's user may use, which is root: a folder of mode 0700 when it is made here, the socket 0600 from its birth.
 * A socket that a dead process left is replaced.
 * @param takeOver replaces that of a living process, too, which then goes on with the connections it has
 * @throws Error when another process answers on it, or when something that is no socket is in the way
 */
export async function listenForRoot(server: net.Server, path: string, { takeOver = false } = {}): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat && !stat.isSocket()) throw new Error(`${path} is in the way and is no socket; move it away, or configure another path`);
  if (stat && !takeOver && (await isAnswered(path))) throw new Error(`another process answers on ${path}; stop it first`);
  rmSync(path, { force: true });
  // Born without rights for others: between bind and chmod there is no moment in which anybody else could connect.
  const umask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(umask);
  }
  await once(server, 'listening');
  chmodSync(path, 0o600);
}

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = net.connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', () => resolve(false));
  });

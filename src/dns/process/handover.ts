import { closeSync } from 'node:fs';
import { isNotFound, KernelError } from '../../kernel/errors.ts';
import { Fd } from '../../kernel/fd.ts';
import { connectUnix, receiveWithFds, sendWithFds } from '../../kernel/pass-fds.ts';
import { waitReady } from '../../kernel/readiness.ts';
import { peerUid, watchConnections } from '../../kernel/unix-listener.ts';

/** What comes with the descriptors. */
interface HandedOver {
  version: 1;
  /** Of the descriptors, in their order (socket-names.ts). */
  sockets: string[];
}

const retire = Buffer.from('retire\n');
const largest = 1 << 16;

/**
 * Gives the sockets to whoever connects (root alone can), and tells when it wants this one to end: then it answers itself.
 * @param listener descriptor, which stays the caller's
 * @returns stops
 */
export function serveHandover(
  listener: number,
  { sockets, onRetire }: { sockets: ReadonlyMap<string, number>; onRetire: () => void },
): Disposable {
  const what: HandedOver = { version: 1, sockets: [...sockets.keys()] };
  const abort = new AbortController();
  const hand = async (connection: Fd): Promise<void> => {
    using own = connection;
    const user = peerUid(own);
    if (user === undefined || user !== process.getuid?.()) return;
    sendWithFds(own, Buffer.from(`${JSON.stringify(what)}\n`), [...sockets.values()]);
    for (;;) {
      if (!(await waitReady(own.number, 'readable', abort.signal))) return;
      const received = receiveWithFds(own, retire.length);
      if (received === undefined) continue;
      for (const fd of received.fds) fd.close();
      if (received.bytes.equals(retire)) onRetire();
      // Else it ended without: the new one did not come up, and this one goes on.
      return;
    }
  };
  const watch = watchConnections(Fd.own(listener, 'handover socket'), (connection) => {
    hand(connection).catch((error: unknown) => console.error(`dns: handing the sockets over: ${(error as Error).message}`));
  });
  return {
    [Symbol.dispose](): void {
      abort.abort();
      watch[Symbol.dispose]();
    },
  };
}

/** What a former process has given, which answers on until it is told to retire. */
export class Predecessor implements Disposable {
  readonly #connection: Fd;
  readonly #fds: Map<string, number>;
  /** Fulfilled when it ends by itself. */
  readonly gone: Promise<void>;
  readonly #abort = new AbortController();

  private constructor(connection: Fd, fds: Map<string, number>) {
    this.#connection = connection;
    this.#fds = fds;
    this.gone = waitReady(connection.number, 'readable', this.#abort.signal).then((ready) =>
      ready ? undefined : new Promise<void>(() => {}),
    );
  }

  /**
   * @returns undefined when nobody is there
   * @throws KernelError; Error when what answers is something else
   */
  static async at(path: string, timeoutMs = 5000): Promise<Predecessor | undefined> {
    let connection: Fd;
    try {
      connection = connectUnix(path);
    } catch (error) {
      if (isNotFound(error) || (error instanceof KernelError && error.errno === 'ECONNREFUSED')) return undefined;
      throw error;
    }
    const fds: Fd[] = [];
    try {
      let text = '';
      while (!text.endsWith('\n')) {
        if (!(await waitReady(connection.number, 'readable', AbortSignal.timeout(timeoutMs))))
          throw new Error(`${path} is held by a process that does not answer; end it first`);
        const received = receiveWithFds(connection, largest);
        if (received === undefined) continue;
        fds.push(...received.fds);
        // It ended in this moment: as if it had not been there.
        if (received.bytes.length === 0) throw new KernelError(`take the sockets over from ${path}`, 'ECONNRESET');
        text += received.bytes.toString();
      }
      return new Predecessor(connection, named(JSON.parse(text) as HandedOver, fds));
    } catch (error) {
      for (const fd of fds) fd.close();
      connection.close();
      throw error;
    }
  }

  /** @param name see socket-names.ts; @returns a descriptor that is the caller's; undefined when there is none */
  take(name: string): number | undefined {
    const fd = this.#fds.get(name);
    this.#fds.delete(name);
    return fd;
  }

  /** It takes no question any more, finishes those under way, and ends. */
  retire(): void {
    this.#abort.abort();
    if (!this.#connection.closed) sendWithFds(this.#connection, retire, []);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#abort.abort();
    for (const fd of this.#fds.values()) closeSync(fd);
    this.#fds.clear();
    this.#connection.close();
  }
}

function named({ version, sockets }: HandedOver, fds: readonly Fd[]): Map<string, number> {
  if (version !== 1 || sockets?.length !== fds.length)
    throw new Error(`${fds.length} sockets were handed over in a form that this version of podnet does not know`);
  return new Map(sockets.map((name, i) => [name, fds[i]!.disown()]));
}

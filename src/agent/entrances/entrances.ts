import { lstatSync } from 'node:fs';

/** Something that others reach the agent by: a socket, or a file that runtimes start. */
export interface Entrance {
  /** Its path. */
  path: string;
  /** Makes it, or makes it again where somebody took it away. @returns how it is taken down at the end @throws Error when it cannot be had */
  open(): Promise<() => PromiseLike<void> | void> | (() => void);
  /** By which it is known again, undefined while there is none: by default any other file of that name is another one. */
  identity?(): string | undefined;
}

interface Opened {
  entrance: Entrance;
  /** As it was made; undefined while it is not. */
  identity: string | undefined;
  close: () => PromiseLike<void> | void;
}

/**
 * The agent's entrances stand for as long as it does: a folder under /run or /opt/cni/bin that somebody cleaned would leave a node that nobody can reach, though all else of it
 * is well. They are looked at with each full check, and what is gone is made again.
 */
export class Entrances implements AsyncDisposable {
  readonly #log: (line: string) => void;
  readonly #opened: Opened[] = [];
  readonly #problems = new Map<string, string>();
  /** What is made again now, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** @throws Error when it cannot be had */
  async open(entrance: Entrance): Promise<void> {
    const close = await entrance.open();
    this.#opened.push({ entrance, close, identity: identityOf(entrance) });
  }

  /** To be called now and then. @returns fulfilled when what was gone has been made again, or could not be */
  look(): Promise<void> {
    for (const one of this.#opened) {
      const { entrance } = one;
      const now = identityOf(entrance);
      // Where the entrance itself says what will do, anybody may have made it.
      if (now !== undefined && (now === one.identity || entrance.identity)) {
        one.identity = now;
        this.#problems.delete(entrance.path);
        continue;
      }
      one.identity = undefined;
      this.#work = this.#work.then(() => this.#again(one));
    }
    return this.#work;
  }

  problems(): string[] {
    return [...this.#problems.values()];
  }

  async #again(one: Opened): Promise<void> {
    if (this.#closed || one.identity !== undefined) return;
    const { path } = one.entrance;
    try {
      // A listener whose name is gone hears nobody any more.
      await one.close();
      one.close = () => {};
      one.close = await one.entrance.open();
      one.identity = identityOf(one.entrance);
      this.#problems.delete(path);
      this.#log(`made ${path} again, which somebody took away or replaced`);
    } catch (error) {
      const problem = `${path} is gone or not podnet's any more, and cannot be made again: ${(error as Error).message}`;
      if (this.#problems.get(path) !== problem) this.#log(problem);
      this.#problems.set(path, problem);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#work;
    for (const { close } of this.#opened) await close();
  }
}

function identityOf({ path, identity }: Entrance): string | undefined {
  if (identity) return identity();
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat && `${stat.dev} ${stat.ino} ${stat.mtimeMs} ${stat.size}`;
}

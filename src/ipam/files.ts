import fs from 'node:fs';

export interface FileFacts {
  /** ms since 1970 */
  modifiedMs: number;
  uid: number;
  /** Permission bits. */
  mode: number;
  isFile: boolean;
}

/** The steps that storing takes, apart, so that a test can stop at each of them. */
export interface Files {
  makeDirectory(path: string): void;
  list(directory: string): string[];
  read(file: string): string;
  write(file: string, text: string): void;
  rename(from: string, to: string): void;
  /** Absent is success. */
  remove(file: string): void;
  /** Of the name itself: a symbolic link is none of the files it leads to. */
  facts(file: string): FileFacts;
  /** @throws Error when nothing can be written there: it is gone, or its file system is read-only (access(2)) */
  mayWrite(directory: string): void;
}

/** What the file system said, without the file it said it of: that is a temporary one, which nobody finds. */
export const reasonOf = (error: unknown): string => (error as Error).message.replace(/, [a-z]+( '.*')?$/s, '');

export const realFiles: Files = {
  makeDirectory: (directory) => void fs.mkdirSync(directory, { recursive: true, mode: 0o700 }),
  list: (directory) => fs.readdirSync(directory),
  read: (file) => fs.readFileSync(file, 'utf8'),
  write: (file, text) => fs.writeFileSync(file, text, { mode: 0o600 }),
  rename: (from, to) => fs.renameSync(from, to),
  remove: (file) => fs.rmSync(file, { force: true }),
  facts(file) {
    const stat = fs.lstatSync(file);
    return { modifiedMs: stat.mtimeMs, uid: stat.uid, mode: stat.mode & 0o7777, isFile: stat.isFile() };
  },
  mayWrite: (directory) => fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK),
};

const temporary = /^\.tmp-/;
const ownUid = process.geteuid?.() ?? 0;

/** Text files in one directory, each there as a whole or not at all, whenever the process is killed. */
export class Store {
  readonly directory: string;
  readonly #files: Files;

  /** @throws Error when the directory cannot be made or read, or when somebody else may write there */
  constructor(directory: string, files: Files = realFiles) {
    this.directory = directory;
    this.#files = files;
    files.makeDirectory(directory);
    const { uid, mode } = files.facts(directory);
    if (uid !== ownUid || (mode & 0o022) !== 0)
      throw new Error(
        `it belongs to user ${uid} and has the mode 0${mode.toString(8)}: whoever can write there could give addresses away; chown ${ownUid} and chmod 0700 it`,
      );
  }

  /**
   * Removes what a killed writer left. Only for whoever is alone here: another's temporary file is on its way. Where it cannot be removed, nothing can be
   * written either, and that shows at the next lease.
   */
  tidy(): void {
    for (const name of this.#files.list(this.directory)) if (temporary.test(name)) this.#drop(this.path(name));
  }

  /** Whether the directory is there and can be written to, as far as it can be told without writing. @throws Error */
  look(): void {
    this.#files.mayWrite(this.directory);
  }

  /** Absent directories are made, and what is there is left. @throws Error */
  makeDirectory(): void {
    this.#files.makeDirectory(this.directory);
  }

  path(name: string): string {
    return `${this.directory}/${name}`;
  }

  names(): string[] {
    return this.#files.list(this.directory).filter((name) => !temporary.test(name));
  }

  /** @throws Error also when the file is not podnet's */
  read(name: string): string {
    const { uid, isFile } = this.#files.facts(this.path(name));
    if (!isFile) throw new Error('it is no regular file');
    if (uid !== ownUid) throw new Error(`it belongs to user ${uid}, not ${ownUid}`);
    return this.#files.read(this.path(name));
  }

  /** ms since 1970 */
  modified(name: string): number {
    return this.#files.facts(this.path(name)).modifiedMs;
  }

  put(name: string, text: string): void {
    const before = this.path(`.tmp-${name}`);
    try {
      this.#files.write(before, text);
      this.#files.rename(before, this.path(name));
    } catch (error) {
      this.#drop(before);
      throw error;
    }
  }

  remove(name: string): void {
    this.#files.remove(this.path(name));
  }

  #drop(file: string): void {
    try {
      this.#files.remove(file);
    } catch {
      // The next start removes it.
    }
  }
}

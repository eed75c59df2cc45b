import fs from 'node:fs';
import path from 'node:path';

/** The steps that storing takes, apart, so that a test can stop at each of them. */
export interface Files {
  makeDirectory(path: string): void;
  list(directory: string): string[];
  read(file: string): string;
  write(file: string, text: string): void;
  rename(from: string, to: string): void;
  /** Absent is success. */
  remove(file: string): void;
  /** ms since 1970 */
  modified(file: string): number;
}

export const realFiles: Files = {
  makeDirectory: (directory) => void fs.mkdirSync(directory, { recursive: true, mode: 0o700 }),
  list: (directory) => fs.readdirSync(directory),
  read: (file) => fs.readFileSync(file, 'utf8'),
  write: (file, text) => fs.writeFileSync(file, text, { mode: 0o600 }),
  rename: (from, to) => fs.renameSync(from, to),
  remove: (file) => fs.rmSync(file, { force: true }),
  modified: (file) => fs.statSync(file).mtimeMs,
};

const temporary = /^\.tmp-/;

/** Text files in one directory, each there as a whole or not at all, whenever the process is killed. */
export class Store {
  readonly directory: string;
  readonly #files: Files;

  constructor(directory: string, files: Files = realFiles) {
    this.directory = directory;
    this.#files = files;
    files.makeDirectory(directory);
  }

  /** Removes what a killed writer left. Only for whoever is alone here: another's temporary file is on its way. */
  tidy(): void {
    for (const name of this.#files.list(this.directory)) if (temporary.test(name)) this.#files.remove(this.path(name));
  }

  path(name: string): string {
    return path.join(this.directory, name);
  }

  names(): string[] {
    return this.#files.list(this.directory).filter((name) => !temporary.test(name));
  }

  read(name: string): string {
    return this.#files.read(this.path(name));
  }

  modified(name: string): number {
    return this.#files.modified(this.path(name));
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

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** A file of this name is there, and it is not podnet's: it stays as it is. */
export class ForeignFileError extends Error {
  readonly file: string;

  constructor(file: string, what: string) {
    super(`${file} is not podnet's: ${what}`);
    this.name = 'ForeignFileError';
    this.file = file;
  }
}

/** The steps that putting a file in place takes, apart, so that a test can fail each of them. */
export interface Steps {
  write(file: string, contents: string | Buffer, mode: number): void;
  /** fsync(2), of a file or a directory. */
  sync(file: string): void;
  rename(from: string, to: string): void;
}

export const realSteps: Steps = {
  write(file, contents, mode) {
    fs.writeFileSync(file, contents, { mode, flag: 'wx' });
    fs.chmodSync(file, mode); // the umask may have taken bits
  },
  sync(file) {
    const fd = fs.openSync(file, 'r');
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  },
  rename: (from, to) => fs.renameSync(from, to),
};

/**
 * Puts a file in place whole: whoever reads it meanwhile, and whoever looks after a kill, a full disk or a power cut, finds the old one, the new one, or none
 * where there was none (CNI14). These files outlive the machine's end, so they are synced; what runtimes load (*.conf, *.conflist, *.json) is never a
 * temporary one. @throws Error of the file system; the old one is there then, and no temporary file
 */
export function putInPlace(file: string, contents: string | Buffer, mode: number, steps: Steps = realSteps): void {
  const directory = path.dirname(file);
  fs.mkdirSync(directory, { recursive: true });
  const temporary = path.join(directory, `.${path.basename(file)}.${randomBytes(4).toString('hex')}.tmp`);
  try {
    steps.write(temporary, contents, mode);
    steps.sync(temporary);
    steps.rename(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  steps.sync(directory);
}

/** Removes temporary files that a killed process left beside the file. Absent is success. */
export function removeTemporaries(file: string): void {
  const [directory, prefix] = [path.dirname(file), `.${path.basename(file)}.`];
  if (!fs.existsSync(directory)) return;
  for (const name of fs.readdirSync(directory))
    if (name.startsWith(prefix) && /^[0-9a-f]{8}\.tmp$/.test(name.slice(prefix.length)))
      fs.rmSync(path.join(directory, name), { force: true });
}

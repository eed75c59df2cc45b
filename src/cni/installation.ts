import fs from 'node:fs';
import path from 'node:path';
import { confListName, removeConfList, writeConfList } from './conflist.ts';
import { architectureOf, writeExecutable } from './executable/emit.ts';
import { addName, removeName } from './executable/names.ts';
import { occupantOf } from './executable/recognize.ts';
import { loopbackType } from './loopback.ts';
import { ForeignFileError, removeTemporaries } from './put-in-place.ts';

export interface Places {
  /** Where runtimes look for plugins, such as /opt/cni/bin. */
  binDir: string;
  /** Where they look for configurations, such as /etc/cni/net.d. */
  confDir: string;
}

/** What became of one file. */
export interface Outcome {
  file: string;
  outcome: 'written' | 'unchanged' | 'removed' | 'absent' | 'kept';
  /** Of what is kept. */
  why?: string;
}

/** Name of the executable in `binDir`. */
export const executableName = 'podnet';

/**
 * Puts the executable and its second name into `binDir`. A `loopback` of somebody else is kept: it does the same.
 * @param outcomes what became of each file is added here as soon as it did, so that whoever catches an error can tell of it
 * @throws ForeignFileError when `podnet` there is somebody else's
 */
export function installExecutable(binDir: string, socketPath: string, outcomes: Outcome[] = []): void {
  const file = path.join(binDir, executableName);
  const written = writeExecutable(file, { arch: architectureOf(process.arch), socketPath });
  outcomes.push({ file, outcome: written ? 'written' : 'unchanged' });
  const loopback = path.join(binDir, loopbackType);
  const named = addName(binDir, loopbackType);
  outcomes.push(
    named === 'foreign'
      ? { file: loopback, outcome: 'kept', why: "it is somebody else's, and does the same" }
      : { file: loopback, outcome: named },
  );
}

/** Puts the configuration in place. To be called when ADD can be served. @throws ForeignFileError when somebody else's has the name */
export const installConfList = (confDir: string, network: string): Outcome => ({
  file: path.join(confDir, confListName),
  outcome: writeConfList(confDir, network) ? 'written' : 'unchanged',
});

/** Takes away what is podnet's by its content, the configuration first: without it no runtime begins what it could not end. Absent is success. */
export function removePlugin({ binDir, confDir }: Places): Outcome[] {
  const executable = path.join(binDir, executableName);
  const loopback = path.join(binDir, loopbackType);
  const isThere = (file: string): boolean => fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  return [
    removal(path.join(confDir, confListName), () => removeConfList(confDir)),
    removal(loopback, () => {
      const removed = removeName(binDir, loopbackType);
      if (!removed && isThere(loopback)) throw new ForeignFileError(loopback, 'it is another plugin');
      return removed;
    }),
    removal(executable, () => {
      removeTemporaries(executable);
      const occupant = occupantOf(executable);
      if (occupant.kind === 'foreign') throw new ForeignFileError(executable, occupant.what);
      fs.rmSync(executable, { force: true });
      return occupant.kind === 'own';
    }),
  ];
}

function removal(file: string, remove: () => boolean): Outcome {
  try {
    return { file, outcome: remove() ? 'removed' : 'absent' };
  } catch (error) {
    if (!(error instanceof ForeignFileError)) throw error;
    return { file, outcome: 'kept', why: `it ${error.message.slice(file.length + 1)}` };
  }
}

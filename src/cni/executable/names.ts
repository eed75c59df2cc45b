import fs from 'node:fs';
import path from 'node:path';

/**
 * Gives the executable in the directory one more name, as a symbolic link: containerd and CRI-O start a plugin `loopback` for every sandbox, which a node
 * without the reference plugins does not have. Whatever has that name already stays: it is somebody else's, and does the same.
 * @returns whether the name leads to podnet now
 */
export function addName(directory: string, name: string, executable = 'podnet'): boolean {
  const file = path.join(directory, name);
  try {
    fs.symlinkSync(executable, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return isOwn(file, executable);
  }
}

/** Takes the name away again, when it is podnet's. Absent is success. @returns whether it was there */
export function removeName(directory: string, name: string, executable = 'podnet'): boolean {
  const file = path.join(directory, name);
  if (!isOwn(file, executable)) return false;
  fs.rmSync(file, { force: true });
  return true;
}

function isOwn(file: string, executable: string): boolean {
  try {
    return fs.readlinkSync(file) === executable;
  } catch (error) {
    // EINVAL: there is a file, and it is no symbolic link.
    if (['ENOENT', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

import fs from 'node:fs';
import path from 'node:path';
import { putInPlace, removeTemporaries } from '../put-in-place.ts';
import { occupantOf } from './recognize.ts';

/**
 * Gives the executable in the directory one more name: containerd and CRI-O start a plugin `loopback` for every sandbox, which a node without the reference
 * plugins does not have. It is a copy: whoever copies another `loopback` over a link would write into the executable itself. Whatever of somebody else's has
 * that name stays, and does the same.
 * @returns what became of it: it is podnet's now, was so before, or is somebody else's
 */
export function addName(directory: string, name: string, executable = 'podnet'): 'written' | 'unchanged' | 'foreign' {
  const file = path.join(directory, name);
  const bytes = fs.readFileSync(path.join(directory, executable));
  if (!isOwn(file, executable)) {
    if (occupantOf(file).kind !== 'nothing') return 'foreign';
  } else if (fs.lstatSync(file).isFile() && fs.readFileSync(file).equals(bytes) && (fs.statSync(file).mode & 0o777) === 0o755)
    return 'unchanged';
  putInPlace(file, bytes, 0o755);
  return 'written';
}

/** Takes the name away again, when it is podnet's. Absent is success. @returns whether it was there */
export function removeName(directory: string, name: string, executable = 'podnet'): boolean {
  const file = path.join(directory, name);
  removeTemporaries(file);
  if (!isOwn(file, executable)) return false;
  fs.rmSync(file, { force: true });
  return true;
}

/** By its content, or a link to the executable, as podnet made them before. */
function isOwn(file: string, executable: string): boolean {
  if (occupantOf(file).kind === 'own') return true;
  return fs.lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true && fs.readlinkSync(file) === executable;
}

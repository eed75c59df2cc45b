import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import type { KeyToPath } from '../../kube/types.ts';

/** Content is bytes as a latin1 string. */
export interface VolumeFile {
  path: string;
  content: string;
  mode: number;
}

/** The files of a ConfigMap or Secret: all keys, or those that `items` names. @throws Error for a key that is not there */
export function filesOf(
  data: Readonly<Record<string, string>>,
  items: readonly KeyToPath[] | undefined,
  defaultMode: number,
  optional: boolean,
): VolumeFile[] {
  if (!items) return Object.entries(data).map(([path, content]) => ({ path, content, mode: defaultMode }));
  return items.flatMap(({ key, path, mode = defaultMode }) => {
    const content = data[key];
    if (content === undefined && !optional) throw new Error(`references non-existent config key: ${key}`);
    return content === undefined ? [] : [{ path, content, mode }];
  });
}

/** Writes them below the folder. @throws Error for a path that leaves it */
export function writeFiles(dir: string, files: readonly VolumeFile[]): void {
  mkdirSync(dir, { recursive: true });
  for (const { path, content, mode } of files) {
    const inside = normalize(path);
    if (inside.startsWith('..') || inside.startsWith('/')) throw new Error(`path "${path}" leaves the volume`);
    const file = join(dir, inside);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content, { encoding: 'latin1' });
    chmodSync(file, mode);
  }
}

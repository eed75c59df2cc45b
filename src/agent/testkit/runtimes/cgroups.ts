import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../node.ts';

const root = '/sys/fs/cgroup';

/** Removes a control group with all below it, from every hierarchy (one, or one for each controller). */
export async function removeGroups(group: string): Promise<void> {
  // Busy until its last process is gone.
  for (const hierarchy of [root, ...readdirSync(root).map((name) => join(root, name))])
    await eventually(() => removeTree(join(hierarchy, group)));
}

/** rmdir alone removes them, from below. */
function removeTree(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(path, entry.name));
  rmdirSync(path);
}

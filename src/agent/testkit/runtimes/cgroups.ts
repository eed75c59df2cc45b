import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../node.ts';

const root = '/sys/fs/cgroup';

/** Ends what still runs in a control group and removes it, with all below it, from every hierarchy (one, or one for each controller). */
export async function removeGroups(group: string): Promise<void> {
  // Busy until its last process is gone. What a runtime was starting when it was killed is nobody's.
  for (const hierarchy of [root, ...readdirSync(root).map((name) => join(root, name))])
    await eventually(() => removeTree(join(hierarchy, group)), 60_000);
}

/** rmdir alone removes them, from below. @throws Error while a process is in it */
function removeTree(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(path, entry.name));
  for (const pid of readFileSync(join(path, 'cgroup.procs'), 'utf8').trim().split('\n').map(Number)) if (pid > 0) kill(pid);
  rmdirSync(path);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone meanwhile.
  }
}

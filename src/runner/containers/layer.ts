import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const files: Readonly<Record<string, string>> = {
  'etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n',
  'etc/group': 'root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnogroup:x:65534:\n',
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};
const folders = [
  'bin',
  'dev',
  'etc',
  'home',
  'proc',
  'root',
  'run',
  'sys',
  'usr/bin',
  'usr/sbin',
  'var/log',
  'var/spool',
  'var/www',
  'sbin',
];

/** Layers being made in this process, by their place. */
const making = new Map<string, Promise<string>>();

/**
 * The root of the busybox image: the executable, a link for each of its applets, and the few files of /etc. Made once for each version of the
 * executable and kept in `dir`.
 * @param busybox a static executable
 * @returns the folder
 */
export async function busyboxLayer(busybox: string, dir: string): Promise<string> {
  const { size, mtimeMs } = await stat(busybox);
  const path = join(dir, `busybox-${size}-${Math.trunc(mtimeMs)}`);
  const made = making.get(path) ?? make(busybox, dir, path);
  making.set(path, made);
  try {
    return await made;
  } finally {
    making.delete(path);
  }
}

async function make(busybox: string, dir: string, path: string): Promise<string> {
  if (await exists(path)) return path;
  await mkdir(dir, { recursive: true });
  const draft = await mkdtemp(join(dir, 'draft-'));
  try {
    await chmod(draft, 0o755);
    for (const folder of folders) await mkdir(join(draft, folder), { recursive: true });
    for (const folder of ['tmp', 'var/tmp']) {
      await mkdir(join(draft, folder));
      await chmod(join(draft, folder), 0o1777);
    }
    for (const [name, text] of Object.entries(files)) await writeFile(join(draft, name), text);
    await copyFile(busybox, join(draft, 'bin/busybox'));
    await chmod(join(draft, 'bin/busybox'), 0o755);
    const { stdout } = await run(busybox, ['--list']);
    const applets = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox');
    for (const name of applets) await symlink('busybox', join(draft, 'bin', name));
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was faster.
    if (!(await exists(path))) throw error;
  }
  return path;
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

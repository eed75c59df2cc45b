import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { needsRoot } from '../../../testing/root.ts';
import { ownNamespaces } from './own-machine.ts';

const root = fileURLToPath(new URL('../../../../.cache/runtimes', import.meta.url));

const directories = (path: string): string[] =>
  existsSync(path)
    ? readdirSync(path)
        .filter((name) => name.includes('-linux-gnu'))
        .map((name) => `${path}/${name}`)
    : [];

/** For whatever is started from the packages: their programs and libraries first. */
export const runtimeEnv: Record<string, string> = {
  PATH: `${root}/usr/bin:${root}/usr/sbin:${process.env.PATH ?? ''}`,
  LD_LIBRARY_PATH: [...directories(`${root}/usr/lib`), ...directories(`${root}/lib`)].join(':'),
};

/** Path of a program of the packages. */
export const runtimeProgram = (name: string): string =>
  [`${root}/usr/bin/${name}`, `${root}/usr/sbin/${name}`, `${root}/bin/${name}`].find((path) => existsSync(path)) ??
  `${root}/usr/bin/${name}`;

/** Options for node:test: skips, and says why, where one of the programs is missing or cannot run. */
export function needsRuntime(...programs: string[]): { skip: string | false } {
  if (needsRoot.skip !== false) return needsRoot;
  for (const name of programs) {
    const why = whyNot(runtimeProgram(name), name === 'busybox' ? [] : ['--version'], { ...process.env, ...runtimeEnv });
    if (why === 'ENOENT') return { skip: `needs ${name} of Debian 12: run scripts/test-runtimes.sh` };
    if (why !== undefined) return { skip: `needs ${name} of Debian 12, which does not run here: ${why}` };
  }
  const why = whyNot('unshare', [...ownNamespaces, 'mount', '-t', 'tmpfs', 'tmpfs', '/run'], process.env);
  if (why !== undefined) return { skip: `needs mount and PID namespaces of its own: ${why}` };
  if (!/^\S+ \S+ cgroup2? rw/m.test(readFileSync('/proc/self/mounts', 'utf8')))
    return { skip: 'needs control groups, for runc: none are mounted writable here' };
  return { skip: false };
}

/** Why a command fails: its words, or ENOENT when it is not there. */
function whyNot(file: string, args: string[], env: NodeJS.ProcessEnv): string | undefined {
  try {
    execFileSync(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    return undefined;
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: Buffer };
    return code === 'ENOENT' ? code : String(stderr).trim();
  }
}

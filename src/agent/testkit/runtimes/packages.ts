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

/** Options for node:test: skips, and says why, where one of the programs is missing or does not run. */
export function needsRuntime(...programs: string[]): { skip: string | false } {
  if (needsRoot.skip !== false) return needsRoot;
  for (const name of programs) {
    try {
      execFileSync(runtimeProgram(name), name === 'busybox' ? [] : ['--version'], {
        env: runtimeEnv,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    } catch (error) {
      const { code, stderr } = error as { code?: string; stderr?: Buffer };
      const why = code === 'ENOENT' ? 'run scripts/test-runtimes.sh' : `it does not run here: ${String(stderr).trim()}`;
      return { skip: `needs ${name} of Debian 12: ${why}` };
    }
  }
  return { skip: false };
}

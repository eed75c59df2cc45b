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

/** Releases of containerd, oldest first: of Debian 12, Debian 13 and unstable. 2 is the first that asks for STATUS. */
const containerdReleases = ['1.6', '1.7', '2'] as const;
export type ContainerdRelease = (typeof containerdReleases)[number];

const ownFolder = (release: ContainerdRelease): string[] => (release === '1.6' ? [] : [`${root}/containerd-${release}`]);
const folders = [`${root}/usr/bin`, `${root}/usr/sbin`, `${root}/bin`];

/** For whatever is started from the packages: their programs and libraries first. */
export const runtimeEnv = (release: ContainerdRelease = '1.6'): Record<string, string> => ({
  PATH: [...ownFolder(release), ...folders, process.env.PATH ?? ''].join(':'),
  LD_LIBRARY_PATH: [...directories(`${root}/usr/lib`), ...directories(`${root}/lib`)].join(':'),
});

/** Path of a program of the packages. */
export const runtimeProgram = (name: string, release: ContainerdRelease = '1.6'): string => {
  const isOwn = release !== '1.6' && name.startsWith('containerd');
  const paths = (isOwn ? ownFolder(release) : [...ownFolder(release), ...folders]).map((folder) => `${folder}/${name}`);
  return paths.find((path) => existsSync(path)) ?? paths[0]!;
};

/**
 * Options for node:test: skips, and says why, where the kernel does not let runtimes run. A program that is missing or does not run is a skip, too; where
 * CI=true it fails, since nothing would be proven.
 */
export function needsRuntime(...programs: string[]): { skip: string | false } {
  if (needsRoot.skip !== false) return needsRoot;
  const first = programs.map((name) => missingOf(name, runtimeProgram(name))).find((why) => why !== undefined);
  if (first !== undefined) return skipOrFail(first);
  const why = whyNot('unshare', [...ownNamespaces, 'mount', '-t', 'tmpfs', 'tmpfs', '/run'], process.env);
  if (why !== undefined) return { skip: `needs mount and PID namespaces of its own: ${why}` };
  if (!/^\S+ \S+ cgroup2? rw/m.test(readFileSync('/proc/self/mounts', 'utf8')))
    return { skip: 'needs control groups, for runc: none are mounted writable here' };
  return { skip: false };
}

/** The same for pods under a release of containerd. What unstable has today may not run here, in CI either. */
export function needsContainerd(release: ContainerdRelease): { skip: string | false } {
  const needed = needsRuntime('containerd', 'runc', 'busybox');
  if (needed.skip !== false || release === '1.6') return needed;
  const missing = missingOf(`containerd ${release}`, runtimeProgram('containerd', release));
  if (missing === undefined) return needed;
  return release === '2' ? { skip: missing } : skipOrFail(missing);
}

function skipOrFail(missing: string): { skip: string } {
  if (process.env.CI === 'true') throw new Error(missing);
  return { skip: missing };
}

function missingOf(name: string, path: string): string | undefined {
  const why = whyNot(path, name === 'busybox' ? [] : ['--version'], { ...process.env, ...runtimeEnv() });
  if (why === 'ENOENT') return `needs ${name}: run scripts/test-runtimes.sh`;
  return why === undefined ? undefined : `needs ${name}, which does not run here: ${why}`;
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

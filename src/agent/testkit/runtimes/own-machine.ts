import { spawnSync } from 'node:child_process';

const mark = 'PODNET_TEST_OWN_MACHINE';

/** Arguments of unshare(1). Mounts are a slave's: what is unmounted on the machine meanwhile is not held here. */
export const ownNamespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'slave'];

/**
 * To be called first thing in a test file whose runtimes write to /run and /var/lib and leave processes and mounts behind: starts the file again where all
 * of these are its own (network namespaces are the test's business), and ends this process with its exit code. Whoever kills this process ends them too.
 * @param skip a reason why no test will run: then there is nothing to start
 */
export function ownMachine(skip: string | false): void {
  if (skip !== false || process.env[mark] !== undefined) return;
  // The shell stays, as the init of the PID namespace: it reaps what runtimes let go of.
  const script = 'mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && "$0" "$@"';
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status, error } = spawnSync(
    'setpriv',
    ['--pdeathsig', 'KILL', 'unshare', ...ownNamespaces, 'sh', '-c', script, ...again],
    {
      stdio: 'inherit',
      env: { ...process.env, [mark]: '1' },
    },
  );
  if (error) throw error;
  process.exit(status ?? 1);
}

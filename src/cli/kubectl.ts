import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { EnvironmentError, UsageError } from '../lab/errors.ts';
import { requireRoot } from './errors.ts';
import { namesOf } from './running-lab.ts';

/** `podnet kubectl …`: the real kubectl of this machine with the lab's credential. */
export function kubectlCommand(): Command {
  return new Command('kubectl')
    .description("the real kubectl with a lab's credential; --lab LAB before kubectl's own arguments (demo)")
    .option('--name, --lab <lab>', 'name of the lab', 'demo')
    .passThroughOptions()
    .allowUnknownOption()
    .helpOption(false)
    .argument('[args...]')
    .action(async (args: string[], { lab }: { lab: string }) => {
      requireRoot();
      const { kubeconfig } = namesOf(lab);
      if (!existsSync(kubeconfig)) throw new UsageError(`no lab "${lab}" is there; make it with: podnet lab up --name ${lab}`);
      process.exitCode = await run(args, kubeconfig);
    });
}

async function run(args: readonly string[], kubeconfig: string): Promise<number> {
  const child = spawn('kubectl', args, { stdio: 'inherit', env: { ...process.env, KUBECONFIG: kubeconfig } });
  // Ctrl-C goes to the whole group of the terminal; kubectl decides what it means.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new EnvironmentError('there is no kubectl on the path', 'install it, e.g. with: apt-get install kubernetes-client');
  } finally {
    process.off('SIGINT', ignore);
  }
}

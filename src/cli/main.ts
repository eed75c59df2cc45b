import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { UsageError } from '../lab/config.ts';
import { takeDown } from '../lab/down.ts';
import { faultOfLabName, LabNames } from '../lab/names.ts';
import { EnvironmentError } from '../lab/preflight.ts';
import { recordedProcesses } from '../lab/processes.ts';
import { knownLabs, readState } from '../lab/state.ts';
import { table } from './output.ts';

/** Exit codes: 0 ok, 1 a check failed, 2 usage, 3 environment. */
const exitCodes = { failed: 1, usage: 2, environment: 3 } as const;

const version = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

function namesOf(lab: string): LabNames {
  const fault = faultOfLabName(lab);
  if (fault) throw new UsageError(fault);
  return new LabNames(lab);
}

function requireRoot(): void {
  const uid = process.getuid?.();
  if (uid !== 0) throw new EnvironmentError(`labs belong to root; you are uid ${uid}`, 'run it with sudo');
}

async function down(lab: string): Promise<void> {
  const names = namesOf(lab);
  requireRoot();
  const { processes, namespaces, left } = await takeDown(names);
  for (const { pid } of left)
    console.error(`process ${pid} does not end, even by SIGKILL: it waits inside of the kernel; run this again later`);
  if (left.length) process.exitCode = exitCodes.failed;
  else if (processes + namespaces === 0) console.log(`no lab "${lab}" is there`);
  else console.log(`lab "${lab}" is gone: ended ${processes} processes, removed ${namespaces} network namespaces`);
}

function list(): void {
  requireRoot();
  const rows = knownLabs().map((lab) => {
    const names = new LabNames(lab);
    const running = recordedProcesses(names.pidsDir).has('control');
    try {
      const state = readState(names);
      return [
        lab,
        running ? 'running' : 'dead',
        String(state?.config.nodes.length ?? '?'),
        state?.config.ipFamily ?? '?',
        state?.createdAt ?? '?',
      ];
    } catch {
      return [lab, 'damaged', '?', '?', '?'];
    }
  });
  console.log(rows.length ? table(['NAME', 'STATE', 'NODES', 'FAMILY', 'CREATED'], rows) : 'no labs');
}

function report(error: unknown): void {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
  else if (error instanceof UsageError) {
    console.error(`podnet: ${error.message}`);
    process.exitCode = exitCodes.usage;
  } else if (error instanceof EnvironmentError) {
    console.error(`podnet: ${error.message}\n  Fix: ${error.fix}`);
    process.exitCode = exitCodes.environment;
  } else throw error;
}

const program = new Command('podnet')
  .description('The Kubernetes network model, whole, in one program for Linux')
  .version(version)
  .exitOverride();
const lab = program.command('lab').description('clusters out of network namespaces on this machine').exitOverride();
lab
  .command('down')
  .description('end a lab, whatever state it is in, and remove everything it made')
  .option('--name <lab>', 'name of the lab', 'demo')
  .exitOverride()
  .action((options: { name: string }) => down(options.name));
lab.command('list').description('list the labs on this machine').exitOverride().action(list);

await program.parseAsync().catch(report);

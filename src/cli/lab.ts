import { Command } from 'commander';
import { takeDown } from '../lab/down.ts';
import { faultOfLabName, LabNames } from '../lab/names.ts';
import { UsageError } from '../lab/config.ts';
import { recordedProcesses } from '../lab/processes.ts';
import { knownLabs, readState } from '../lab/state.ts';
import { controlCommand } from './daemons.ts';
import { exitCodes, requireRoot } from './errors.ts';
import { upCommand } from './lab-up.ts';
import { table } from './output.ts';

export function namesOf(lab: string): LabNames {
  const fault = faultOfLabName(lab);
  if (fault) throw new UsageError(fault);
  return new LabNames(lab);
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

/** `podnet lab …`. */
export function labCommand(): Command {
  const lab = new Command('lab').description('clusters out of network namespaces on this machine');
  lab.addCommand(upCommand());
  lab
    .command('down')
    .description('end a lab, whatever state it is in, and remove everything it made')
    .option('--name <lab>', 'name of the lab', 'demo')
    .action((options: { name: string }) => down(options.name));
  lab.command('list').description('list the labs on this machine').action(list);
  lab.addCommand(controlCommand(), { hidden: true });
  return lab;
}

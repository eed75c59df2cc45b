import { Command } from 'commander';
import { takeDown } from '../lab/down.ts';
import { exitCodes, requireRoot } from './errors.ts';
import { count } from './output.ts';
import { namesOf } from './running-lab.ts';

export function downCommand(): Command {
  return new Command('down')
    .description('end a lab, whatever state it is in, and remove everything it made')
    .option('--name <lab>', 'name of the lab', 'demo')
    .action((options: { name: string }) => down(options.name));
}

async function down(lab: string): Promise<void> {
  const names = namesOf(lab);
  requireRoot();
  const { processes, namespaces, left } = await takeDown(names);
  for (const { pid } of left)
    console.error(`process ${pid} does not end, even by SIGKILL: it waits inside of the kernel; run this again later`);
  if (left.length) process.exitCode = exitCodes.failed;
  else if (processes + namespaces === 0) console.log(`no lab "${lab}" is there`);
  else
    console.log(`lab "${lab}" is gone: ended ${count(processes, 'process')}, removed ${count(namespaces, 'network namespace')}`);
}

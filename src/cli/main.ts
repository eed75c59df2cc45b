import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { daemonCommands } from './daemons.ts';
import { report } from './errors.ts';
import { kubectlCommand } from './kubectl.ts';
import { labCommand } from './lab.ts';
import { statusCommand } from './status.ts';
import { verifyCommand } from './verify.ts';

const version = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const program = new Command('podnet')
  .description('The Kubernetes network model, whole, in one program for Linux')
  .version(version)
  .enablePositionalOptions();
program.addCommand(labCommand());
program.addCommand(kubectlCommand());
program.addCommand(statusCommand());
program.addCommand(verifyCommand());
for (const { command, hidden } of daemonCommands()) program.addCommand(command, { hidden });
throwInsteadOfExit(program);

/** Errors come to `report`; the exit code is its. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInsteadOfExit(child);
}

await program.parseAsync().catch(report);

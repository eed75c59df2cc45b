import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCommands, type CommandLoader } from './commands.ts';
import { daemons } from './daemons.ts';
import { report } from './errors.ts';

const [, , asked, askedBelow] = process.argv;
const loaders: Readonly<Record<string, CommandLoader>> = {
  lab: { load: async () => (await import('./lab.ts')).labCommand(askedBelow) },
  kubectl: { load: async () => (await import('./kubectl.ts')).kubectlCommand() },
  status: { load: async () => (await import('./status.ts')).statusCommand() },
  verify: { load: async () => (await import('./verify.ts')).verifyCommand() },
  ...daemons,
};

const version = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const program = new Command('podnet')
  .description('The Kubernetes network model, whole, in one program for Linux')
  .version(version)
  .enablePositionalOptions();
await addCommands(program, loaders, asked);
throwInsteadOfExit(program);

/** Errors come to `report`; the exit code is its. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInsteadOfExit(child);
}

await program.parseAsync().catch(report);

import { Command } from 'commander';
import { addCommands, type CommandLoader } from './commands.ts';

const loaders: Readonly<Record<string, CommandLoader>> = {
  up: { load: async () => (await import('./lab-up.ts')).upCommand() },
  down: { load: async () => (await import('./lab-down.ts')).downCommand() },
  list: { load: async () => (await import('./lab-list.ts')).listCommand() },
};

/** `podnet lab …`. */
export async function labCommand(asked?: string): Promise<Command> {
  const lab = new Command('lab').description('clusters out of network namespaces on this machine');
  await addCommands(lab, loaders, asked);
  return lab;
}

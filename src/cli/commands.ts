import type { Command } from 'commander';

export interface CommandLoader {
  load: () => Promise<Command>;
  /** Not for people: it stands in no help. */
  hidden?: boolean;
}

/**
 * Adds to `parent` the command that is asked for; without one, or with a name that is none, all of them, for the help and the complaint. A
 * command's module is loaded with it: a lab is made of ten processes of this program, and each shall hold no more than it needs and be up soon.
 */
export async function addCommands(
  parent: Command,
  loaders: Readonly<Record<string, CommandLoader>>,
  asked?: string,
): Promise<void> {
  const one = asked !== undefined && Object.hasOwn(loaders, asked) ? loaders[asked] : undefined;
  for (const { load, hidden = false } of one ? [one] : Object.values(loaders)) parent.addCommand(await load(), { hidden });
}

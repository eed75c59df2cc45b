import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCommands, type CommandLoader } from './commands.ts';
import { daemons, runDaemon } from './daemons.ts';
import { report } from './errors.ts';

/** Runs what the command line asks for; sets the exit code. */
export async function runProgram([asked, askedBelow]: readonly string[]): Promise<void> {
  // Whoever reads may have enough (`| head`): what was begun is brought to its end all the same.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    });
  const program = new Command('podnet')
    .description('The Kubernetes network model, whole, in one program for Linux')
    .version(version())
    .enablePositionalOptions()
    .addHelpText('after', help);
  const loaders: Record<string, CommandLoader> = {
    lab: { load: async () => (await import('./lab.ts')).labCommand(askedBelow) },
    kubectl: { load: async () => (await import('./kubectl.ts')).kubectlCommand() },
    status: { load: async () => (await import('./status.ts')).statusCommand() },
    svc: { load: async () => (await import('./svc.ts')).svcCommand() },
    policy: { load: async () => (await import('./policy.ts')).policyCommand() },
    diff: { load: async () => (await import('./diff.ts')).diffCommand() },
    ipam: { load: async () => (await import('./ipam.ts')).ipamCommand() },
    cni: { load: async () => (await import('./cni.ts')).cniCommand() },
    verify: { load: async () => (await import('./verify.ts')).verifyCommand() },
  };
  for (const [name, { hidden }] of daemons)
    loaders[name] = { load: name === 'dns' ? dnsDaemon : async () => daemonCommand(name), hidden };
  await addCommands(program, loaders, asked);
  throwInsteadOfExit(program);
  await program.parseAsync().catch(report);
}

function daemonCommand(name: string): Command {
  const daemon = daemons.get(name)!;
  return new Command(name)
    .description(daemon.description)
    .requiredOption('--config <file>', 'its configuration, JSON')
    .action(({ config }: { config: string }) => runDaemon(name, daemon, config));
}

const dnsDaemon = async (): Promise<Command> => {
  const daemon = daemons.get('dns')!;
  return (await import('./dns.ts')).dnsCommand(daemon.description, (config) => runDaemon('dns', daemon, config));
};

function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}

/** Errors come to `report`; the exit code is its. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInsteadOfExit(child);
}

const help = `
Begin with:
  podnet lab up --verify --apply examples/guestbook.yaml
  podnet status
  podnet kubectl get pods -A -o wide
  podnet lab down

Exit codes: 0 all is well, 1 a check failed, 2 a mistake in what was asked for, 3 the machine lacks something, 70 a fault of podnet itself, 130 interrupted before it was done.`;

import { Command, Option } from 'commander';
import { benchCni, type CniBenchOptions } from './cni/index.ts';
import { benchDns, type DnsBenchOptions } from './dns/index.ts';
import { kindNames } from './dns/questions.ts';
import { subjectNames } from './dns/stage.ts';
import { benchLab } from './lab/index.ts';
import { benchPolicy, type PolicyBenchOptions } from './policy/index.ts';
import { benchServices, type ServicesBenchOptions } from './services/index.ts';

const atLeast =
  (option: string, least: number) =>
  (text: string): number => {
    if (/^\d+$/.test(text) && Number(text) >= least) return Number(text);
    throw new Error(`${option} must be a whole number from ${least} on, not "${text}"`);
  };
/** `a,b`: some of these. */
const someOf =
  <T extends string>(option: string, all: readonly T[]) =>
  (text: string): T[] =>
    text.split(',').map((name) => {
      const one = all.find((other) => other === name);
      if (one === undefined) throw new Error(`${option}: "${name}" is none of ${all.join(', ')}`);
      return one;
    });
const atMost =
  (option: string, most: number) =>
  (text: string): number => {
    if (/^\d+(\.\d+)?$/.test(text) && Number(text) > 0 && Number(text) <= most) return Number(text);
    throw new Error(`${option} must be a number above 0, at most ${most}, not "${text}"`);
  };
const output = (): Option => new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table');
const requireRoot = (why: string): void => {
  if (process.getuid?.() !== 0) throw new Error(`${why}; run this with sudo`);
};

const program = new Command('bench').description('measures podnet on this machine, against its budgets');
program
  .command('lab')
  .description('how long a lab takes to come up empty, with the demo and with 300 pods, and to go; and its memory. Needs root')
  .option('--rounds <n>', 'how often each is measured, in turns', atLeast('--rounds', 1), 5)
  .addOption(output())
  .action(async (options: { rounds: number; output: 'table' | 'json' }) => {
    requireRoot('labs belong to root');
    if (!(await benchLab(options))) process.exitCode = 1;
  });

program
  .command('cni')
  .description(
    'how long a container runtime waits for ADD and DEL, beside the Go plugins; 1,000 pods; kills of the agent. Needs root',
  )
  .option('--rounds <n>', 'how often each is measured, in turns', atLeast('--rounds', 1), 5)
  .option('--pods <n>', 'pods of each in a round', atLeast('--pods', 10), 100)
  .option('--many <n>', 'pods attached on one node, 0 for none', atLeast('--many', 0), 1000)
  .option('--kills <n>', 'kills of the agent, 0 for none', atLeast('--kills', 0), 200)
  .addOption(output())
  .action(async (options: CniBenchOptions) => {
    requireRoot('network namespaces belong to root');
    if (!(await benchCni(options))) process.exitCode = 1;
  });

program
  .command('services')
  .description('Services of an agent, up to 50,000: loading, changing, memory, connections; beside the layouts of kube-proxy. Needs root')
  .option('--rounds <n>', 'how often changes are measured, in turns', atLeast('--rounds', 1), 5)
  .option('--events <n>', 'changes of each kind in a round', atLeast('--events', 10), 40)
  .option('--services <n>', 'leave out sizes with more Services', atLeast('--services', 100), 50_000)
  .option('--json', 'the same as --output json')
  .addOption(output())
  .action(async (options: ServicesBenchOptions) => {
    requireRoot('network namespaces belong to root');
    if (!(await benchServices(options))) process.exitCode = 1;
  });

program
  .command('dns')
  .description('DNS at 10,000 Services and 100,000 endpoints: answers a second, CPU, latency, memory; beside knot, nsd, unbound and an echo. Needs root')
  .option('--rounds <n>', 'how often each is measured, in turns', atLeast('--rounds', 1), 11)
  .option('--seconds <n>', 'how long each measurement takes', atMost('--seconds', 10), 0.5)
  .option('--services <n>', 'Services; ten times as many endpoints', atLeast('--services', 100), 10_000)
  .option('--pods', 'with the pods behind the endpoints', false)
  .option('--only <names>', `some of ${subjectNames.join(',')}`, someOf('--only', subjectNames))
  .option('--kinds <names>', `some of ${kindNames.join(',')}`, someOf('--kinds', kindNames))
  .option('--json', 'the same as --output json')
  .addOption(output())
  .action(async (options: DnsBenchOptions) => {
    requireRoot('network namespaces belong to root');
    if (!(await benchDns(options))) process.exitCode = 1;
  });

program
  .command('policy')
  .description('NetworkPolicy: CPU of connections and requests with up to 10,000 policies, time until a change holds; beside iptables with ipset. Needs root')
  .option('--turns <n>', 'how often each node is measured, in turns', atLeast('--turns', 1), 100)
  .option('--events <n>', 'changes of each kind', atLeast('--events', 2), 20)
  .option('--policies <n>', 'leave out what has more policies', atLeast('--policies', 0), 10_000)
  .option('--json', 'the same as --output json')
  .addOption(output())
  .action(async (options: PolicyBenchOptions) => {
    requireRoot('network namespaces belong to root');
    if (!(await benchPolicy(options))) process.exitCode = 1;
  });

await program.parseAsync().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});

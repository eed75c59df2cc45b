import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { parseYaml } from '../kube/yaml.ts';
import { type LabConfig, labConfig } from '../lab/config.ts';
import { takeDown } from '../lab/down.ts';
import { UsageError, unreadable } from '../lab/errors.ts';
import type { Manifest } from '../lab/manifests.ts';
import { LabNames } from '../lab/names.ts';
import { checkMachine } from '../lab/preflight.ts';
import { NotReadyError, waitForNodes, waitForPods } from '../lab/ready.ts';
import { topology } from '../lab/topology.ts';
import { createUnderlay } from '../lab/underlay.ts';
import { adminClient, type Control, claim, detach, forkControl } from '../lab/up.ts';
import { CheckError, exitCodes, report } from './errors.ts';
import { commandName, count, Style } from './output.ts';
import { Progress } from './progress.ts';

interface UpOptions {
  name?: string;
  nodes?: string;
  ipFamily?: string;
  attach?: string;
  backend?: string;
  links?: string;
  file?: string;
  apply?: string[];
  verify?: boolean;
  foreground?: boolean;
  once?: boolean;
  timeout?: string;
  color: boolean;
}

export function upCommand(): Command {
  return new Command('up')
    .description('make a cluster; it runs until `podnet lab down`')
    .option('--name <lab>', 'name of the lab (demo)')
    .option('--nodes <count>', 'how many nodes (3)')
    .option('--ip-family <family>', 'ipv4, ipv6 or dual (ipv4)')
    .option('--attach <mode>', 'how pods hang on their node: routed, or bridge with cbr0 (routed)')
    .option('--backend <way>', 'between nodes: direct, vxlan, or auto: direct on one link, else vxlan (auto)')
    .option('--links <count>', 'underlay links that the nodes are spread over, with a router between (1)')
    .option(
      '-f, --file <lab.yaml>',
      'a file with these and more: podCidrs, serviceCidrs, images, mtu, upstreamDns, …; flags win over it',
    )
    .option('--apply <path>', 'a manifest, or a folder of them; may be repeated', (path: string, all: string[] = []) => [
      ...all,
      path,
    ])
    .option('--verify', 'wait for the pods and prove the network model with real packets')
    .option('--foreground', 'stay in front and end the lab on Ctrl-C')
    .option('--once', 'apply, verify and end, for scripts; exit code 0 when all of it is well')
    .option('--timeout <seconds>', 'how long pods may take to become Ready (120)')
    .option('--no-color', 'plain text')
    .action(up);
}

async function up(options: UpOptions): Promise<void> {
  const { timeout = '120' } = options;
  if (!/^[1-9]\d{0,5}$/.test(timeout))
    throw new UsageError(`--timeout must be a whole number of seconds from 1 on, not "${timeout}"`);
  const config = labConfig(options, options.file === undefined ? {} : labFile(options.file));
  const manifests = await readAll(options.apply ?? []);
  const names = new LabNames(config.name);
  const progress = new Progress(process.stdout, !options.color);
  const staying = Boolean(options.foreground || options.once);
  // Before there is anything: a signal that comes while the first folder is made must not end this process there and then.
  const interrupted = untilInterrupt();
  await progress.step(
    'machine',
    async () => checkMachine(usesVxlan(config)),
    ({ kernel, node }) => `Linux ${kernel}, Node ${node}`,
  );
  claim(names, config);
  let keep = !staying;
  let built = false;
  let control: Control | undefined;
  let over = false;
  const start = (): Control => {
    // The lab is being taken down already.
    if (over) throw new Interrupt();
    return (control = forkControl(names));
  };
  try {
    await Promise.race([build(names, config, start, manifests, options, progress), interrupted]);
    built = true;
    if (options.foreground && !options.once) await Promise.race([interrupted, control!.ended]);
  } catch (error) {
    over = true;
    keep &&= error instanceof CheckError;
    if (error instanceof Interrupt) {
      if (!built) process.exitCode = exitCodes.interrupted;
      return;
    }
    if (keep) console.log(`\n${hints(names, false)}`);
    if (options.once || !options.foreground || !(error instanceof CheckError)) throw error;
    // What is wrong can be looked at until Ctrl-C.
    report(error);
    console.log(`\n${hints(names, true)}`);
    await interrupted.catch(() => {});
  } finally {
    // A lab that never came to life helps nobody; one whose pods fail is there to be looked at.
    if (keep && control) detach(control);
    if (!keep) {
      if (process.stdout.isTTY) process.stdout.write('\n');
      await progress.step('take the lab down', () => takeDown(names));
    }
  }
}

async function build(
  names: LabNames,
  config: LabConfig,
  start: () => Control,
  manifests: readonly Manifest[],
  options: UpOptions,
  progress: Progress,
): Promise<void> {
  const plan = topology(config);
  await progress.step(
    'underlay',
    async () => createUnderlay(names, plan, config.mtu),
    () =>
      `${count(plan.nodes.length, 'node')} on ${plan.links.length === 1 ? 'one link' : count(plan.links.length, 'link')}, ${config.ipFamily}`,
  );
  const control = start();
  await progress.step('Kubernetes API', () => control.api);
  using client = adminClient(names);
  await progress.step(
    'nodes Ready',
    async () => {
      await control.started;
      await waitForNodes(
        client,
        names,
        plan.nodes.map(({ name }) => name),
        { timeoutMs: 30_000, ended: control.ended },
      );
    },
    () => `pod network ${config.podCidrs.join(' and ')}, ${config.attach}, ${config.backend}`,
  );
  if (manifests.length > 0) {
    await progress.step(
      'apply',
      async () => {
        const { applyManifests } = await import('../lab/manifests.ts');
        const refused = (await applyManifests(client, manifests)).flatMap(({ error }) => error ?? []);
        if (refused.length > 0) throw new CheckError(`the API refused:\n  ${refused.join('\n  ')}`);
      },
      () => `${count(manifests.length, 'object')} from ${options.apply?.join(', ')}`,
    );
    await progress.step(
      'pods Ready',
      (report) =>
        waitForPods(client, { timeoutMs: Number(options.timeout ?? '120') * 1000, ended: control.ended }, report).catch(
          (error) => {
            throw error instanceof NotReadyError ? new CheckError(error.message) : error;
          },
        ),
      (pods) => count(pods, 'pod'),
    );
  }
  if (options.verify || options.once) {
    // Loaded late: the proof's code is not what the nodes' processes should wait for.
    const [{ verifyLab }, { printReport }] = await Promise.all([import('../lab/verify.ts'), import('./verify.ts')]);
    const report = await progress.step('network model', () => verifyLab(names, config, client));
    printReport(report, Style.of(process.stdout, !options.color));
    if (!report.ok) throw new CheckError('the network model does not hold; see the table above');
  }
  if (!options.once) console.log(`\n${hints(names, Boolean(options.foreground))}`);
}

/** How to go on. */
function hints(names: LabNames, foreground: boolean): string {
  const name = names.lab === 'demo' ? '' : ` --name ${names.lab}`;
  return [
    `  kubectl --kubeconfig ${names.kubeconfig} get pods -A -o wide`,
    `  ${commandName()} status${name}`,
    `  ${commandName()} verify${name}`,
    foreground ? '  Ctrl-C ends the lab and leaves nothing behind' : `  ${commandName()} lab down${name}`,
  ].join('\n');
}

/** Nodes on different links reach each other through a tunnel, unless that is forbidden. */
const usesVxlan = ({ backend, nodes }: LabConfig): boolean =>
  backend === 'vxlan' || (backend === 'auto' && new Set(nodes.map(({ link }) => link)).size > 1);

/** What is not needed is not loaded: the nodes shall be Ready soon. */
async function readAll(paths: readonly string[]): Promise<Manifest[]> {
  return paths.length === 0 ? [] : paths.flatMap((await import('../lab/manifests.ts')).readManifests);
}

function labFile(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    return parseYaml(text);
  } catch (error) {
    const { message, linePos } = error as Error & { linePos?: readonly [{ line: number }] };
    throw new UsageError(`${path}:${linePos?.[0].line ?? 1}: ${message.split('\n')[0]!.replace(/ at line.*/, '')}`);
  }
}

class Interrupt extends Error {}

/** Rejects with an Interrupt on Ctrl-C, SIGTERM or when the terminal goes. Further ones change nothing: what was begun is taken down to its end. */
function untilInterrupt(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => reject(new Interrupt()));
  });
  interrupted.catch(() => {});
  return interrupted;
}

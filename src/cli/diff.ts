import { Command, Option } from 'commander';
import { ApiError } from '../kube/api.ts';
import { familiesOf } from '../lab/config.ts';
import { UsageError } from '../lab/errors.ts';
import { dryRun, readObjects } from '../lab/manifests.ts';
import { tableOfNode } from '../lab/node-kernel.ts';
import { clusterDnsIps } from '../lab/topology.ts';
import { adminClient } from '../lab/up.ts';
import { Prefix } from '../net/prefix.ts';
import { compare } from '../policy/compare.ts';
import type { AnyObject } from '../policy/policies.ts';
import { type Cluster, clusterAfter, clusterOf, type NodeSetting, nodeSettings, predict } from '../predict/index.ts';
import { diffText } from './diff-text.ts';
import { exitCodes } from './errors.ts';
import { outputFormats, Style } from './output.ts';
import { collect, print, warn, whence } from './policy.ts';
import { inventoryFrom, merge, objectsIn, objectsOf, warningsOf } from './policy-objects.ts';
import { runningLab } from './running-lab.ts';

interface DiffOptions {
  files: string[];
  delete?: boolean;
  lab: string;
  output: (typeof outputFormats)[number];
  color: boolean;
}

/** `podnet diff`: what a manifest would change, before it is applied. */
export function diffCommand(): Command {
  return new Command('diff')
    .description(
      'what a manifest would change before it is applied: pairs and ports that policies open or close, what clients of Services meet, and what kernels of nodes would hold',
    )
    .requiredOption(
      '-f, --files <path>',
      'the manifest: a file, a folder, or - for standard input; every further -f holds what is there now, instead of a lab',
      collect,
    )
    .option('--delete', 'what deleting the objects of the manifest would change')
    .option('--lab <lab>', 'name of the lab that is there now, without a second -f', 'demo')
    .addOption(
      new Option('-o, --output <format>', 'how to print; wide has every element of sets and maps, node by node, as nft names it')
        .choices(outputFormats)
        .default('table'),
    )
    .option('--no-color', 'plain text')
    .addHelpText(
      'after',
      `${whence}

In a lab the API says what would become of each object (a dry run), and each node's kernel what it holds now. Pods of a lab are as its controllers made them; those of manifests
are taken to be ready, on nodes that follow from their names where none is named. The addresses of a new Service are examples: the API chooses others when it is applied.

Exit code 0: nothing changes. 1: connections, Services or elements do. 2: a manifest cannot be read, or the API would refuse it. 3: no lab is there to be asked.`,
    )
    .action(diff);
}

async function diff({
  files: [change = '', ...there],
  delete: isDeletion = false,
  lab,
  output,
  color,
}: DiffOptions): Promise<void> {
  const source = { lab, ...(there.length > 0 ? { files: there } : {}) };
  const objects = objectsIn([change]);
  const before = await objectsOf(source);
  const isOfLab = source.files === undefined;
  const kept = isDeletion
    ? remove(before, objects, change)
    : merge([...before, ...(isOfLab ? await wouldBe(lab, change) : objects)]);
  const [was, is] = [inventoryFrom(source, before), inventoryFrom(source, kept)];
  warn([...warningsOf(is), ...(isOfLab ? objects.filter(isWorkload).map(notFollowed) : [])]);
  const comparison = compare(was.world, is.world);
  const now = clusterOf(before, was);
  const settings = isOfLab ? settingsOfLab(lab, now) : nodeSettings(now);
  const prediction = predict(settings, now, clusterAfter(now, kept, is));
  for (const { node, missing = 0 } of prediction.nodes)
    if (missing > 0)
      warn([
        `the kernel of ${node} does not hold ${missing} of the items that are wanted now: its agent is about to write them, or was refused`,
      ]);
  const told = { ...comparison, ...prediction };
  print(output, told, () => diffText(told, { wide: output === 'wide', style: Style.of(process.stdout, !color) }));
  const isOther = prediction.services.length > 0 || prediction.nodes.some(({ elements }) => elements.length > 0);
  if (comparison.changes.length > 0 || isOther) process.exitCode = exitCodes.failed;
}

/** What the API would make of the objects. @throws UsageError when it would refuse one */
async function wouldBe(lab: string, file: string): Promise<AnyObject[]> {
  const { names } = runningLab(lab);
  using client = adminClient(names, 10_000);
  const objects: AnyObject[] = [];
  for (const manifest of readObjects(file))
    try {
      objects.push((await dryRun(client, manifest)) as AnyObject);
    } catch (error) {
      if (error instanceof ApiError) throw new UsageError(`${manifest.at}: the API would refuse it: ${error.message}`);
      throw error;
    }
  return merge(objects);
}

function settingsOfLab(lab: string, cluster: Cluster): NodeSetting[] {
  const { names, state } = runningLab(lab);
  const { config } = state;
  const settings = {
    ...{ families: familiesOf(config), attach: config.attach, clusterDns: clusterDnsIps(config) },
    ...{ clusterCidrs: config.podCidrs.map(Prefix.parse), serviceCidrs: config.serviceCidrs.map(Prefix.parse) },
  };
  return nodeSettings(cluster, settings, new Map(config.nodes.map(({ name }) => [name, tableOfNode(names.node(name).netns)])));
}

/** Pods of a lab are as its controllers made them. */
const isWorkload = ({ apiVersion }: { apiVersion?: string }): boolean => apiVersion === 'apps/v1' || apiVersion === 'batch/v1';
const notFollowed = ({ kind, metadata: { name } }: { kind?: string; metadata: { name: string } }): string =>
  `${kind} ${name}: which pods the lab would make of it is not foretold; policies and Services are compared for the pods that there are`;

/** Those that the manifest does not name. */
function remove(before: ReturnType<typeof merge>, objects: ReturnType<typeof merge>, file: string): ReturnType<typeof merge> {
  // Of one name the last stays: what is left of `before` after that is not named by the manifest.
  const all = new Set(merge([...before, ...objects]));
  const kept = before.filter((object) => all.has(object));
  if (kept.length === before.length) throw new UsageError(`nothing of ${file} is there to be deleted`);
  return kept;
}

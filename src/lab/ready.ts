import type { Api, KubeObject, Resource } from '../kube/api.ts';
import { Informer } from '../kube/informer.ts';
import { isPodReady } from '../kube/objects.ts';
import { Nodes, Pods } from '../kube/resources.ts';
import type { Node, Pod } from '../kube/types.ts';
import { LabError } from './errors.ts';
import type { LabNames } from './names.ts';
import { agentStatusOf } from './node-client.ts';
import { lastLine } from './up.ts';

/** Too little became Ready in time. */
export class NotReadyError extends LabError {}

/** How long to wait at most, and what ends the wait at once: the lab's control process is gone, so nothing more will become Ready. */
export interface Patience {
  timeoutMs: number;
  ended: Promise<never>;
}

/** @throws NotReadyError that says which nodes are not Ready and why; whatever `ended` was rejected with */
export async function waitForNodes(client: Api, names: LabNames, expected: readonly string[], patience: Patience): Promise<void> {
  let missing = expected;
  try {
    await waitFor(client, Nodes, patience, (nodes) => {
      missing = expected.filter((name) => !isNodeReady(nodes.find(({ metadata }) => metadata.name === name)));
      return missing.length > 0 ? `not Ready: ${missing.join(', ')}` : undefined;
    });
  } catch (error) {
    if (!(error instanceof NotReadyError)) throw error;
    const reasons = await Promise.all(missing.map((name) => whyNodeNotReady(names, name)));
    throw new NotReadyError([error.message, ...reasons].join('\n  '), { cause: error });
  }
}

const isNodeReady = (node: Node | undefined): boolean =>
  node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;

/** Asks the node's agent; when that does not answer, its log has the last word. */
async function whyNodeNotReady(names: LabNames, node: string): Promise<string> {
  try {
    const { why, problems } = await agentStatusOf(names.node(node).agentStatusSocket);
    return `${node}: ${why ?? `its agent is ready; its runner says: ${lastLine(names.log(`${node}-lab-runner`))}`}${problems.map((problem) => `; ${problem}`).join('')}`;
  } catch (error) {
    return `${node}: ${(error as Error).message}; its last words: ${lastLine(names.log(`${node}-agent`))}`;
  }
}

/**
 * Waits until every pod is Ready or has completed. @returns how many pods there are
 * @throws NotReadyError that says which pods are not Ready and why; whatever `ended` was rejected with
 */
export async function waitForPods(client: Api, patience: Patience, report: (detail: string) => void): Promise<number> {
  let count = 0;
  await waitFor(client, Pods, patience, (pods) => {
    count = pods.length;
    const waiting = pods.filter((pod) => pod.status?.phase !== 'Succeeded' && !isPodReady(pod));
    report(`${count - waiting.length}/${count} Ready`);
    if (count > 0 && waiting.length === 0) return undefined;
    return count === 0 ? 'no pod was created' : `pods are not Ready: ${waiting.slice(0, 5).map(whyNotReady).join('; ')}`;
  });
  return count;
}

function whyNotReady({ metadata, status }: Pod): string {
  const state = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]
    .map(({ name, state }) => state?.waiting && `${name} waits: ${state.waiting.reason} ${state.waiting.message ?? ''}`.trim())
    .find(Boolean);
  const condition = status?.conditions?.find(
    ({ type, status: is }) => is === 'False' && (type === 'Ready' || type === 'PodScheduled'),
  );
  return `${metadata.namespace}/${metadata.name} (${state ?? condition?.message ?? status?.phase ?? 'no status yet'})`;
}

/**
 * Looks with every change, instead of asking for all of it again and again.
 * @param missing what is still to come; undefined: nothing
 * @throws NotReadyError with what was missing last
 */
async function waitFor<O extends KubeObject>(
  api: Api,
  resource: Resource<O>,
  { timeoutMs, ended }: Patience,
  missing: (objects: readonly O[]) => string | undefined,
): Promise<void> {
  let why: string | undefined = `the API has not told of its ${resource.plural} yet`;
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      why = missing(informer.list());
      if (why === undefined) end(resolve);
    };
    const end = (how: () => void): void => {
      clearTimeout(timer);
      informer.stop();
      how();
    };
    const timer = setTimeout(() => {
      const failure = informer.error ? `; ${informer.error.message}` : '';
      end(() => reject(new NotReadyError(`not within ${timeoutMs / 1000} s: ${why}${failure}`)));
    }, timeoutMs);
    const informer = new Informer(api, resource, { onChange: () => informer.isSynced && look() }).start();
    void informer.synced.then(look);
    ended.catch((error: Error) => end(() => reject(error)));
  });
}

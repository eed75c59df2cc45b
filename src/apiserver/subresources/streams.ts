import type { Pod } from '../../kube/types.ts';
import { badRequest } from '../errors.ts';

/** The subresources of a pod that its node serves. */
export type Stream = 'log' | 'exec' | 'attach' | 'portforward';

const kubeletPaths: Record<Stream, string> = { log: 'containerLogs', exec: 'exec', attach: 'attach', portforward: 'portForward' };

export const isStream = (subresource: string | undefined): subresource is Stream =>
  subresource === 'log' || subresource === 'exec' || subresource === 'attach' || subresource === 'portforward';

const names = (containers: readonly { name: string }[] | undefined): string[] => (containers ?? []).map(({ name }) => name);

/** @throws ApiError 400 in the words of pkg/registry/core/pod */
function containerOf(pod: Pod, asked: string | null): string {
  const { name } = pod.metadata;
  const [containers, inits, ephemeral] = [
    names(pod.spec?.containers),
    names(pod.spec?.initContainers),
    names(pod.spec?.ephemeralContainers),
  ];
  if (asked) {
    if (![...containers, ...inits, ...ephemeral].includes(asked))
      throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  if (containers.length === 1) return containers[0]!;
  let text = `a container name must be specified for pod ${name}`;
  if (containers.length > 1) text += `, choose one of: [${containers.join(' ')}]`;
  if (inits.length > 0) text += ` or one of the init containers: [${inits.join(' ')}]`;
  throw badRequest(text);
}

/** Where a stream of a pod is to be had: the node, and the path on its runner. @throws ApiError 400 */
export function locate(pod: Pod, stream: Stream, query: URLSearchParams): { node: string | undefined; path: string } {
  const { name, namespace } = pod.metadata;
  const steps = [kubeletPaths[stream], namespace!, name];
  if (stream !== 'portforward') steps.push(containerOf(pod, query.get('container')));
  const node = pod.spec?.nodeName;
  // Logs of a pod that is nowhere are empty.
  if (!node && stream !== 'log') throw badRequest(`pod ${name} does not have a host assigned`);
  const rest = new URLSearchParams(query);
  rest.delete('container');
  const text = rest.toString();
  return { node, path: `/${steps.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}` };
}

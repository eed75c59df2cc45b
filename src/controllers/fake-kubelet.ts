import { type Api, ApiError } from '../kube/api.ts';
import { Informer } from '../kube/informer.ts';
import { isDeleting, kubeTime } from '../kube/objects.ts';
import { Pods } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';

/** For tests: makes every bound pod Ready with an address of its own, and ends deleted ones at once. */
export class FakeKubelet implements Disposable {
  /** Pods for which this is false stay Pending. */
  becomesReady: (pod: Pod) => boolean = () => true;
  readonly #api: Api;
  readonly #pods: Informer<Pod>;
  #next = 1;

  constructor(api: Api) {
    this.#api = api;
    this.#pods = new Informer(api, Pods, {
      onChange: (changes) => {
        for (const { type, object } of changes) if (type !== 'deleted') void this.#run(object);
      },
    });
    this.#pods.start();
  }

  [Symbol.dispose](): void {
    this.#pods.stop();
  }

  /** Looks again at every pod. */
  wake(): void {
    for (const pod of this.#pods.list()) void this.#run(pod);
  }

  async #run(pod: Pod): Promise<void> {
    const { name, namespace, uid } = pod.metadata;
    try {
      if (!pod.spec?.nodeName) return;
      if (isDeleting(pod)) await this.#api.delete(Pods, name, namespace, { gracePeriodSeconds: 0, preconditions: { uid: uid! } });
      else if (pod.status?.phase === 'Pending' && this.becomesReady(pod))
        await this.#api.update(Pods, { ...pod, status: this.#running(pod) }, { subresource: 'status' });
    } catch (error) {
      // Somebody else wrote first: the change of that comes by too.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  #running(pod: Pod): Pod['status'] {
    const n = this.#next++;
    const ips = [`10.244.${n >> 8}.${n & 255}`, `fd00:10:244::${n.toString(16)}`];
    const lastTransitionTime = kubeTime(Date.now());
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({ type, status: 'True', lastTransitionTime }));
    return {
      phase: 'Running',
      conditions: [...(pod.status?.conditions ?? []), ...conditions],
      podIP: ips[0],
      podIPs: ips.map((ip) => ({ ip })),
      containerStatuses: pod.spec!.containers.map(({ name, image = '' }) => ({
        name,
        image,
        imageID: image,
        ready: true,
        restartCount: 0,
        started: true,
        state: { running: { startedAt: lastTransitionTime } },
      })),
    };
  }
}

import { CniError, cniCode } from '../../cni/errors.ts';
import type { PodIdentity } from '../../cni/request.ts';
import { type Api, isNotFound } from '../../kube/api.ts';
import { Namespaces, Pods } from '../../kube/resources.ts';
import { type PodView, podView } from '../watch/pod-view.ts';

export interface PolicyAdmissionParts {
  api: Api;
  nodeName: string;
  /** What the watch has told of a pod. */
  known: (key: string) => PodView | undefined;
  /** Whether it has told of a namespace, whose labels policies may select pods by. */
  knowsNamespace: (name: string) => boolean;
  /** How long all of it may take, and between looks at what the watch has told. */
  waitMs?: number;
  lookMs?: number;
}

/** Finds out what policies must know of a pod before its first packet (NP15). The watch mostly has it: kubelet heard of the pod from the same server. */
export class PolicyAdmission {
  readonly #parts: Required<PolicyAdmissionParts>;

  constructor(parts: PolicyAdmissionParts) {
    this.#parts = { waitMs: 5000, lookMs: 5, ...parts };
  }

  /**
   * @param begun fulfilled when pods are watched and what policies say is planned
   * @returns undefined for a container that is no pod
   * @throws CniError 11: rather no pod than one whose isolation is not known
   */
  async admit({ namespace, name, uid }: PodIdentity, begun: Promise<void> | undefined): Promise<PodView | undefined> {
    if (!namespace || !name) return undefined;
    const end = performance.now() + this.#parts.waitMs;
    const view = await this.#podOf({ namespace, name, uid }, begun, end);
    await this.#awaitNamespace(namespace, end);
    return view;
  }

  async #podOf({ namespace, name, uid }: Named, begun: Promise<void> | undefined, end: number): Promise<PodView> {
    const { api, nodeName, known, waitMs, lookMs } = this.#parts;
    const key = `${namespace}/${name}`;
    const isIt = (view: PodView | undefined): view is PodView =>
      view !== undefined && (uid === undefined || view.uid === undefined || view.uid === uid);
    const told = (): PodView | undefined => {
      const view = known(key);
      // A pod of that name on another node, or without a node yet, is what was there before it.
      return isIt(view) && view.node === nodeName ? view : undefined;
    };
    if (begun && !(await isDone(begun, waitMs)))
      throw refused('the API server has not told of the pods and namespaces of the cluster yet');
    const at = told();
    if (at) return at;
    // That of a static pod comes a moment after its sandbox.
    let why = `the API does not tell of the Pod ${key}`;
    let asked: PodView | undefined;
    api.get(Pods, name, namespace).then(
      (pod) => {
        asked = podView(pod, nodeName);
        why = `the Pod ${key} of the API has the uid ${asked.uid}, the one to be attached ${uid}: it was replaced`;
      },
      (error: Error) => {
        why = isNotFound(error) ? `there is no Pod ${key} in the API` : `${why}: ${error.message}`;
      },
    );
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, lookMs));
      if (isIt(asked)) return asked;
      const view = told();
      if (view) return view;
      if (performance.now() > end) throw refused(why);
    }
  }

  /** Namespaces come by another watch, and a new one may come behind its first pods. */
  async #awaitNamespace(name: string, end: number): Promise<void> {
    const { api, knowsNamespace, lookMs } = this.#parts;
    if (knowsNamespace(name)) return;
    let why = `the API has not told of the labels of Namespace ${name} yet`;
    let isAbsent = false;
    api.get(Namespaces, name).catch((error: Error) => {
      isAbsent = isNotFound(error);
      why = `${why}: ${error.message}`;
    });
    while (!knowsNamespace(name) && !isAbsent) {
      if (performance.now() > end) throw refused(why);
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  }
}

/** A pod, as the runtime names it. */
type Named = PodIdentity & { namespace: string; name: string };

const refused = (why: string): CniError =>
  new CniError(
    cniCode.tryAgainLater,
    `there are network policies, and which of them isolate the pod cannot be told: ${why}`,
    'the pod is not let out without its isolation; the runtime tries again by itself, and succeeds once the API server answers (see podnet status)',
  );

async function isDone(promise: Promise<void>, withinMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, withinMs, false)));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

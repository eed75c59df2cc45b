import { readdirSync, realpathSync, statSync } from 'node:fs';
import type { Api } from '../kube/api.ts';
import { KubeClient } from '../kube/client.ts';
import { EventRecorder } from '../kube/events.ts';
import { type Change, Informer } from '../kube/informer.ts';
import { Nodes, Pods, Services } from '../kube/resources.ts';
import type { Pod } from '../kube/types.ts';
import { podBackend } from './backend.ts';
import type { RunnerConfig, RunnerPod } from './config.ts';
import type { ContainerRuntime } from './container.ts';
import { readLog } from './logs/index.ts';
import { NetworkReady, networkFault } from './node/network-ready.ts';
import { Registration } from './node/registration.ts';
import { endOrphans } from './orphans.ts';
import type { OpenLog, ProbeOnce, RunnerContext } from './pods/context.ts';
import { discard, PodWorker } from './pods/worker.ts';
import { probeOnce } from './probes/index.ts';
import { defaultRuntimes } from './runtimes.ts';
import { Cni } from './sandbox/cni.ts';
import { serve } from './server.ts';
import { type PodRecord, StateStore } from './state.ts';

export interface RunnerDeps {
  /** Instead of the kubeconfig's. */
  api?: Api;
  runtimes?: Partial<Record<'process' | 'stand-in', ContainerRuntime>>;
  probe?: ProbeOnce;
  openLog?: OpenLog;
  /** close() ends the containers instead of leaving them to a next runner. */
  endContainers?: boolean;
  report?: (message: string) => void;
}

export interface LabRunner {
  pods(): RunnerPod[];
  close(): Promise<void>;
}

const leaseMs = 10_000;
const discardRetryMs = 5000;

/** Runs the pods of one lab node: what kubelet and container runtime do. Fulfilled when the node is registered and its pods are known. */
export async function startRunner(config: RunnerConfig, deps: RunnerDeps = {}): Promise<LabRunner> {
  const runner = new Runner(config, deps);
  await runner.start();
  return runner;
}

class Runner implements LabRunner {
  readonly #config: RunnerConfig;
  readonly #deps: RunnerDeps;
  readonly #context: RunnerContext;
  readonly #client: KubeClient | undefined;
  readonly #workers = new Map<string, PodWorker>();
  /** Pods that wait for the end of one with the same name. */
  readonly #next = new Map<string, Pod>();
  readonly #closers: (() => unknown)[] = [];
  readonly #registration: Registration;
  #records = new Map<string, PodRecord>();
  /** Of pods that are gone from the API since the last runner. */
  #leaving: readonly PodRecord[] = [];
  /** Why pods cannot be attached; undefined: they can. */
  #fault: string | undefined;
  #mayCollect = false;
  #collecting: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(config: RunnerConfig, deps: RunnerDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#client = deps.api ? undefined : KubeClient.fromKubeconfig(config.kubeconfig, { userAgent: 'podnet-runner' });
    const api = deps.api ?? this.#client!;
    const report = deps.report ?? ((message: string): void => console.error(`runner: ${message}`));
    const services = new Informer(api, Services, { onError: (error) => report(error.message) }).start();
    this.#closers.push(() => services.stop());
    this.#context = {
      config,
      api,
      events: new EventRecorder(api, { component: 'kubelet', host: config.nodeName, onError: (error) => report(error.message) }),
      state: new StateStore(config.stateDir),
      cni: new Cni(config.cni),
      runtimes: { ...defaultRuntimes(config), ...deps.runtimes },
      probe: deps.probe ?? probeOnce,
      openLog: deps.openLog ?? readLog,
      services: () => services.list(),
      servicesSynced: services.synced,
      nodeNetns: pathOfNodeNetns(config),
      report,
    };
    this.#registration = new Registration(api, config);
  }

  pods(): RunnerPod[] {
    return [...this.#workers.values()].map((worker) => worker.describe());
  }

  async start(): Promise<void> {
    const { api, cni, report } = this.#context;
    this.#fault = await networkFault(cni);
    await this.#registration.register(this.#fault);
    const tell = (error: Error): void => report(error.message);
    await this.#registration.renew().catch(tell);
    const network = new NetworkReady(cni, this.#config.cni.confDir, (fault) => this.#networkChecked(fault));
    const lease = setInterval(() => void this.#registration.renew().catch(tell), leaseMs);
    const node = new Informer(api, Nodes, {
      fieldSelector: `metadata.name=${this.#config.nodeName}`,
      onChange: (changes) => {
        const last = changes.at(-1);
        if (last && last.type !== 'deleted') void this.#registration.seen(last.object).catch(tell);
      },
      onError: tell,
    }).start();
    this.#closers.push(
      () => network.close(),
      () => clearInterval(lease),
      () => node.stop(),
    );
    await this.#context.servicesSynced;
    await this.#startPods();
    const server = await serve(
      this.#config.socketPath,
      podBackend(this.#context, (key) => this.#workers.get(key)),
      () => this.pods(),
    );
    this.#closers.push(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
  }

  async #startPods(): Promise<void> {
    const records = this.#context.state.load();
    const orphans = await endOrphans(records, this.#context.nodeNetns);
    if (orphans > 0) this.#context.report(`ended ${orphans} processes of containers that a runner before this one has left`);
    this.#records = new Map(records.map((record) => [record.uid, record]));
    const pods = new Informer(this.#context.api, Pods, {
      fieldSelector: `spec.nodeName=${this.#config.nodeName}`,
      onChange: (changes) => {
        for (const change of changes) this.#changed(change);
      },
      onError: (error) => this.#context.report(error.message),
    }).start();
    this.#closers.push(() => pods.stop());
    await pods.synced;
    // What has a record and no worker by now is gone from the API.
    this.#leaving = [...this.#records.values()];
    this.#records.clear();
    for (const record of this.#leaving) this.#discard(record);
    this.#mayCollect = true;
    if (this.#fault === undefined) this.#collect();
  }

  #networkChecked(fault: string | undefined): void {
    const changed = fault !== this.#fault;
    this.#fault = fault;
    this.#registration.setFault(fault).catch((error: Error) => this.#context.report(error.message));
    if (fault !== undefined || !changed) return;
    this.#collect();
    // What waits to try its sandbox again need not.
    for (const worker of this.#workers.values()) worker.wake();
  }

  /** Tells the plugin, once, which attachments there are still: it may hold some that no record knows. */
  #collect(): void {
    if (!this.#mayCollect) return;
    this.#mayCollect = false;
    const known = [...this.#workers.values()].map(({ record }) => record).concat(this.#leaving);
    this.#collecting = this.#context.cni
      .collect(known.map(({ sandboxId }) => sandboxId))
      .catch((error: Error) => this.#context.report(`GC: ${error.message}`));
  }

  #changed({ type, key, object: pod }: Change<Pod>): void {
    const worker = this.#workers.get(key);
    const same = worker?.uid === pod.metadata.uid;
    if (type === 'deleted') {
      if (same) worker?.gone();
      if (this.#next.get(key)?.metadata.uid === pod.metadata.uid) this.#next.delete(key);
    } else if (worker && same) worker.update(pod);
    else if (worker) {
      // Deleted and made again between two looks.
      this.#next.set(key, pod);
      worker.gone();
    } else this.#add(key, pod);
  }

  #add(key: string, pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    const adopted = this.#records.get(uid);
    this.#records.delete(uid);
    const worker = new PodWorker(this.#context, pod, adopted, () => {
      this.#workers.delete(key);
      const next = this.#next.get(key);
      this.#next.delete(key);
      if (next) this.#add(key, next);
    });
    this.#workers.set(key, worker);
    worker.wake();
  }

  #discard(record: PodRecord): void {
    discard(this.#context, record).catch((error: Error) => {
      this.#context.report(`pod ${record.namespace}/${record.name} is gone, but not all that it had: ${error.message}`);
      const timer = setTimeout(() => this.#discard(record), discardRetryMs);
      this.#closers.push(() => clearTimeout(timer));
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const close of this.#closers.reverse()) await close();
    await Promise.all([...this.#workers.values()].map((worker) => worker.close(this.#deps.endContainers ?? false)));
    await this.#collecting;
    await this.#context.events.flushed();
    this.#context.state[Symbol.dispose]();
    this.#client?.[Symbol.dispose]();
  }
}

/** The runner was started inside the node's namespace: its name is the one of the same inode beside the pods' namespaces. */
function pathOfNodeNetns({ netnsPrefix }: RunnerConfig): string {
  const own = statSync('/proc/self/ns/net');
  const folder = netnsPrefix.slice(0, netnsPrefix.lastIndexOf('/'));
  try {
    for (const name of readdirSync(folder)) {
      const path = `${folder}/${name}`;
      const { dev, ino } = statSync(path);
      if (dev === own.dev && ino === own.ino) return realpathSync(path);
    }
  } catch {
    // Not a lab's folder: the process itself says where.
  }
  return `/proc/${process.pid}/ns/net`;
}

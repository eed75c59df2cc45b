import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { NetNs } from '../../kernel/netns.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { processors } from '../../kernel/scheduling.ts';
import { tell } from '../progress.ts';
import { outsideNames } from './cluster.ts';
import { Loader } from './loader-process.ts';
import { ApiServer } from './servers/api-server.ts';
import { startCoreDns } from './servers/coredns.ts';
import { startEcho } from './servers/echo.ts';
import { startKnot, writeZones } from './servers/knot.ts';
import { startNsd } from './servers/nsd.ts';
import { startPodnet } from './servers/podnet.ts';
import type { Place, Server } from './servers/server.ts';
import { tools } from './servers/tools.ts';
import { startUnbound } from './servers/unbound.ts';

export const subjectNames = ['echo', 'podnet', 'knot', 'nsd', 'unbound', 'coredns'] as const;
export type SubjectName = (typeof subjectNames)[number];

export interface StageOptions {
  directory: string;
  services: number;
  pods: boolean;
  /** Who is measured; knot runs for those that forward, too. */
  only: readonly SubjectName[];
  /** NODE_OPTIONS of podnet's processes, for whoever looks for what takes time, e.g. --perf-basic-prof. */
  nodeOptions?: string;
  signal: AbortSignal;
}

const firstPort = 5301;
const patienceMs = 120_000;
const idleWithinMs = 20_000;

/** All servers, in a network namespace of their own and on one processor; who asks, on another one. */
export class Stage implements AsyncDisposable {
  readonly servers: Server[] = [];
  /** Those whose program is not here, and how it is had. */
  readonly missing: { name: string; how: string }[] = [];
  readonly loader: Loader;
  readonly place: Place;
  readonly #options: StageOptions;
  readonly #nsPath: string;
  #api: ApiServer | undefined;
  readonly #helpers: Server[] = [];

  private constructor(options: StageOptions, place: Place, nsPath: string, loader: Loader) {
    this.#options = options;
    this.place = place;
    this.#nsPath = nsPath;
    this.loader = loader;
  }

  static async open(options: StageOptions): Promise<Stage> {
    const { directory, services } = options;
    const [processor, other] = processors();
    if (processor === undefined || other === undefined) throw new Error('this needs two processors: one for the server, one for who asks');
    mkdirSync(`${directory}/servers`);
    const nsPath = `${directory}/netns`;
    const ns = NetNs.create(nsPath);
    const place: Place = { ns, directory: `${directory}/servers`, processor };
    const stage = new Stage(options, place, nsPath, new Loader({ ns: nsPath, processor: other, services }));
    try {
      using rt = RtNetlink.open(ns);
      rt.setLink(1, { up: true });
      await stage.#start();
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { services, pods, only, nodeOptions, signal } = this.#options;
    const { place } = this;
    const wanted = (name: SubjectName): boolean => only.includes(name);
    const tool = tools();
    const zones = writeZones(place.directory, services);
    const [knotPort, nsdPort, unboundPort, podnetPort, corednsPort, echoPort] = [0, 1, 2, 3, 4, 5].map((i) => firstPort + i) as [number, number, number, number, number, number];
    const add = async (server: Server, isHelper = false): Promise<void> => {
      (isHelper ? this.#helpers : this.servers).push(server);
      await this.#untilRight(server);
      signal.throwIfAborted();
    };
    for (const name of ['knot', 'nsd', 'unbound', 'coredns'] as const)
      if (wanted(name) && tool[name].path === undefined) this.missing.push(tool[name]);
    // What is forwarded goes to one of them.
    const forwards = wanted('podnet') || wanted('unbound') || wanted('coredns');
    let upstream: number | undefined;
    if (tool.knot.path && (wanted('knot') || forwards)) {
      await add(startKnot(place, tool.knot, zones, knotPort), !wanted('knot'));
      upstream = knotPort;
    }
    if (wanted('echo')) await add(startEcho(place, echoPort));
    if (tool.nsd.path && wanted('nsd')) await add(startNsd(place, tool.nsd, zones, nsdPort));
    if (tool.unbound.path && wanted('unbound') && upstream !== undefined) await add(startUnbound(place, tool.unbound, upstream, unboundPort));
    if (!wanted('podnet') && !wanted('coredns')) return;
    const { kubeconfig } = (this.#api = await ApiServer.start(place, services, pods));
    if (wanted('podnet')) await add(startPodnet(place, kubeconfig, upstream, podnetPort, nodeOptions));
    if (tool.coredns.path && wanted('coredns')) await add(startCoreDns(place, tool.coredns, kubeconfig, upstream, corednsPort));
  }

  /** Until it answers everything right, and what it forwards is in its cache. */
  async #untilRight(server: Server): Promise<void> {
    const began = performance.now();
    const { address, port, judged } = server;
    for (const kind of server.kinds) {
      // All of them must have been asked for once to be in a cache.
      let left = kind === 'forward' && judged ? 20 * outsideNames : 1;
      while (left > 0) {
        server.check();
        const load = { mode: 'closed', underWay: 16, seconds: 0.1 } as const;
        const { answered, lost, wrong } = await this.loader.ask({ address, port, kind, judged, load });
        if (answered > 0 && wrong === 0 && lost === 0) {
          left -= answered;
          continue;
        }
        if (performance.now() - began > patienceMs) throw new Error(`${server.title} does not answer "${kind}" as it should: of ${answered} answers ${wrong} wrong, ${lost} lost\n${server.said}`);
        await sleep(200);
        this.#options.signal.throwIfAborted();
      }
    }
    await this.#untilIdle(server);
    tell(`${server.title} answers after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }

  /** Until nothing but questions is to be done, e.g. podnet's standby knows all names as well. */
  async #untilIdle(server: Server): Promise<void> {
    for (const end = performance.now() + idleWithinMs; performance.now() < end; ) {
      server.look();
      const [before, began] = [server.cpuUs, performance.now()];
      await sleep(1000);
      if ((server.cpuUs - before) / 1000 < 0.03 * (performance.now() - began)) return;
    }
  }

  get api(): ApiServer | undefined {
    return this.#api;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.loader[Symbol.asyncDispose]();
    for (const server of [...this.servers, ...this.#helpers]) await server[Symbol.asyncDispose]();
    await this.#api?.[Symbol.asyncDispose]();
    this.place.ns[Symbol.dispose]();
    NetNs.remove(this.#nsPath);
  }
}

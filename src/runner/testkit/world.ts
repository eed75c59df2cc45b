import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeApi } from '../../kube/fake.ts';
import { isPodReady } from '../../kube/objects.ts';
import { Pods } from '../../kube/resources.ts';
import type { Container, Pod } from '../../kube/types.ts';
import { needsRoot } from '../../testing/root.ts';
import { getJson } from '../../unix/http.ts';
import type { RunnerConfig, RunnerPod } from '../config.ts';
import { type LabRunner, type RunnerDeps, startRunner } from '../index.ts';

export const needsBusybox =
  existsSync('/bin/busybox') || process.env.CI === 'true'
    ? needsRoot
    : { skip: 'needs /bin/busybox: apt-get install busybox-static' };

/** A CNI plugin that notes its calls and gives each container an address of its own. */
const plugin = (dir: string): string => `#!/bin/sh
cat > /dev/null
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS" >> ${dir}/calls
[ "$CNI_COMMAND" = ADD ] || exit 0
[ ! -e ${dir}/refuse ] || { echo '{"cniVersion":"1.1.0","code":11,"msg":"no address is free"}'; exit 1; }
n=$(grep -c ^ADD ${dir}/calls)
echo "{\\"cniVersion\\":\\"1.1.0\\",\\"interfaces\\":[],\\"ips\\":[{\\"address\\":\\"10.244.1.$n/32\\"},{\\"address\\":\\"fd00:10::$n/128\\"}],\\"routes\\":[],\\"dns\\":{}}"
`;

/** A runner on a model of the API, with a folder, a CNI plugin and network namespaces of its own; at the end nothing of it is left. */
export class World implements AsyncDisposable {
  readonly api = new FakeApi();
  readonly dir = mkdtempSync(join(tmpdir(), 'podnet-test-runner-'));
  readonly reports: string[] = [];
  readonly config: RunnerConfig;
  runner: LabRunner | undefined;

  constructor() {
    const cni = { binDir: join(this.dir, 'bin'), confDir: join(this.dir, 'net.d') };
    for (const path of [cni.binDir, cni.confDir]) mkdirSync(path);
    writeFileSync(join(cni.binDir, 'podnet'), plugin(this.dir));
    chmodSync(join(cni.binDir, 'podnet'), 0o755);
    this.config = {
      ...{ nodeName: 'node-1', kubeconfig: '', addresses: ['172.30.0.2', 'fd00:30::2'], labels: { zone: 'a' } },
      ...{
        netnsPrefix: join(this.dir, 'ns-'),
        stateDir: join(this.dir, 'state'),
        cni,
        socketPath: join(this.dir, 'runner.sock'),
      },
      ...{ clusterDns: ['10.96.0.10'], clusterDomain: 'cluster.local', hostResolvConf: '', images: [], maxPods: 110 },
    };
  }

  configure(): void {
    const list = { cniVersion: '1.0.0', cniVersions: ['1.0.0', '1.1.0'], name: 'podnet', plugins: [{ type: 'podnet' }] };
    writeFileSync(join(this.config.cni.confDir, '10-podnet.conflist'), JSON.stringify(list));
  }

  async start(deps: RunnerDeps = {}): Promise<void> {
    this.runner = await startRunner(this.config, {
      api: this.api,
      report: (line) => this.reports.push(line),
      endContainers: true,
      ...deps,
    });
  }

  pod(name: string, spec: Partial<Pod['spec']> = {}): Promise<Pod> {
    return this.api.create(Pods, {
      metadata: { name, namespace: 'default' },
      spec: {
        nodeName: 'node-1',
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'web', image: 'nginx', ports: [{ containerPort: 80 }] }],
        ...spec,
      },
    });
  }

  get = (name: string): Promise<Pod> => this.api.get(Pods, name, 'default');

  ready = (name: string): Promise<void> => this.until(`${name} Ready`, async () => isPodReady(await this.get(name)));

  async until(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
    for (const end = Date.now() + 10_000; !(await check()); ) {
      if (Date.now() > end) assert.fail(`${what} did not come; runner said: ${this.reports.join('; ')}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  calls = (): string[] =>
    existsSync(join(this.dir, 'calls')) ? readFileSync(join(this.dir, 'calls'), 'utf8').trim().split('\n') : [];
  namespaces = (): string[] => readdirSync(this.dir).filter((name) => name.startsWith('ns-'));

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.api.dump(Pods))
      await this.api.delete(Pods, pod.metadata.name, 'default', { gracePeriodSeconds: 0 }).catch(() => {});
    if (this.runner) await this.until('the end of all sandboxes', () => this.namespaces().length === 0);
    await this.runner?.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** `GET /pods` of a runner. */
export const getPods = (socketPath: string): Promise<RunnerPod[]> => getJson(socketPath, '/pods');

/** A shell script that ends at once when it is asked to, and not before. */
export const forEver = 'trap "exit 0" TERM; while :; do sleep 0.05; done';

/** A container that runs a shell script for real. */
export const shell = (name: string, script: string, more: Partial<Container> = {}): Container => ({
  name,
  image: 'busybox',
  command: ['sh', '-c', script],
  ...more,
});

export async function withWorld(run: (world: World) => Promise<void>): Promise<void> {
  await using world = new World();
  world.configure();
  await world.start();
  await run(world);
}

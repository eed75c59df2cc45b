import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestServer } from '../apiserver/testkit/server.ts';
import type { Api } from '../kube/api.ts';
import { ConfigMaps, Deployments, Namespaces, NetworkPolicies, Nodes } from '../kube/resources.ts';
import { kubectlBinaries, needsTool, requireTool, type Tool } from '../testing/tools.ts';
import { bootstrap } from './bootstrap.ts';
import { FakeKubelet } from './fake-kubelet.ts';
import { deployment, eventually } from './harness.ts';
import { startControllers } from './start.ts';

interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** A real kubectl over TLS against the API with all controllers and a kubelet that makes pods Ready. Tests have a namespace each. */
const suite = (tool: Tool): void => {
  const old = tool.name === 'kubectl 1.20';
  const directory = mkdtempSync(path.join(tmpdir(), 'podnet-test-kubectl-'));
  const config = path.join(directory, 'config');
  const options = { timeout: 60_000, ...needsTool(tool) };
  const complaints: string[] = [];
  let server: TestServer;
  let kubelet: FakeKubelet;
  let controllers: ReturnType<typeof startControllers>;
  let api: Api;

  before(async () => {
    server = await TestServer.start();
    api = server.api.localApi('test');
    const serviceCidrs = ['10.96.0.0/16', 'fd00:10:96::/108'];
    await bootstrap(api, { serviceCidrs, apiAddresses: ['172.30.0.1', 'fd00:172:30::1'], apiPort: 6443 });
    controllers = startControllers(api, {
      podCidrs: ['10.244.0.0/16', 'fd00:10:244::/56'],
      serviceCidrs,
      caCertificate: 'PEM',
      // Nobody beats for these nodes, and on a busy machine the whole suite takes longer than the 40 s of grace.
      nodeLifecycle: { graceMs: 3_600_000 },
      onError: (name, key, error) => complaints.push(`${name} ${key}: ${error.message}`),
    });
    await controllers.ready;
    kubelet = new FakeKubelet(api);
    for (const name of ['node-1', 'node-2', 'node-3'])
      await api.create(Nodes, {
        metadata: { name, labels: { 'kubernetes.io/hostname': name } },
        status: {
          allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
          conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'ready' }],
          addresses: [{ type: 'InternalIP', address: `172.30.0.1${name.at(-1)}` }],
        },
      });
    writeFileSync(config, server.kubeconfig(), { mode: 0o600 });
  });
  after(async () => {
    kubelet[Symbol.dispose]();
    controllers.stop();
    await server[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const run = (namespace: string, line: string, stdin = ''): Promise<Outcome> => {
    // Splits at spaces; '…' keeps them.
    const words = (line.match(/(?:'[^']*'|[^\s'])+/g) ?? []).map((word) => word.replaceAll("'", ''));
    const args = ['--kubeconfig', config, '--cache-dir', path.join(directory, 'cache'), '-n', namespace, ...words];
    return new Promise((resolve, reject) => {
      const child = execFile(requireTool(tool), args, { timeout: 40_000 }, (error, out, err) => {
        if (error && typeof error.code !== 'number') reject(new Error(`kubectl ${line}: ${error.message}: ${err}`));
        else resolve({ code: Number(error?.code ?? 0), out, err });
      });
      child.stdin!.on('error', () => {}).end(stdin);
    });
  };
  const commands = (namespace: string) => ({
    async ok(line: string, stdin = ''): Promise<string> {
      const { code, out, err } = await run(namespace, line, stdin);
      assert.equal(code, 0, `kubectl ${line}: ${err}${out}`);
      return out;
    },
    async fails(line: string, stdin = ''): Promise<string> {
      const { code, out, err } = await run(namespace, line, stdin);
      assert.notEqual(code, 0, `kubectl ${line} should fail: ${out}`);
      return err;
    },
  });
  const inNamespace = async (namespace: string) => {
    await api.create(Namespaces, { metadata: { name: namespace } });
    return commands(namespace);
  };
  const manifest = (name: string, replicas: number, image = 'v1'): string =>
    JSON.stringify({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      ...deployment(name, replicas, image),
      metadata: { name },
    });

  test('rollouts: status, set image, history, undo to a revision, restart, pause and resume, scale', options, async () => {
    const { ok, fails } = await inNamespace('rollouts');
    const image = () => ok('get deploy web -o jsonpath={..image}');
    await ok('apply -f -', manifest('web', 3));
    assert.match(await ok('rollout status deploy/web --timeout=30s'), /successfully rolled out/);
    await ok('set image deploy/web main=v2');
    assert.match(await ok('rollout status deploy/web --timeout=30s'), /successfully rolled out/);
    assert.match(await ok('rollout history deploy/web'), /^1 .*\n2 /m);
    assert.match(await ok('rollout history deploy/web --revision=2'), /Image:\s+v2/);
    await ok('rollout undo deploy/web');
    await ok('rollout status deploy/web --timeout=30s');
    assert.equal(await image(), 'v1');
    await ok('rollout undo deploy/web --to-revision=2');
    assert.equal(await image(), 'v2');
    assert.match(await fails('rollout undo deploy/web --to-revision=77'), /unable to find.*revision/);
    const before = await ok('get pods -l app=web -o name');
    await ok('rollout restart deploy/web');
    await ok('rollout status deploy/web --timeout=30s');
    assert.notEqual(await ok('get pods -l app=web -o name'), before);
    await ok('rollout pause deploy/web');
    await ok('set image deploy/web main=v3');
    await ok('rollout resume deploy/web');
    await ok('rollout status deploy/web --timeout=30s');
    await ok('scale deploy/web --replicas=5');
    await ok('rollout status deploy/web --timeout=30s');
    assert.match(await ok('get deploy web'), /web +5\/5 +5 +5 /);
    const sets = (await ok('get rs --no-headers')).trim().split('\n');
    assert.equal(sets.filter((line) => / 5 +5 +5 /.test(line)).length, 1, 'only the last template has pods');
  });

  test('DaemonSets: a pod on each node, rollout status, set image, history, undo, restart', options, async () => {
    const { ok } = await inNamespace('daemons');
    const { spec, metadata } = JSON.parse(manifest('agent', 0));
    const daemon = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata,
      spec: { selector: spec.selector, template: spec.template },
    };
    await ok('apply -f -', JSON.stringify(daemon));
    const status = () => ok('rollout status ds/agent --timeout=30s');
    assert.match(await status(), /successfully rolled out/);
    assert.match(await ok('get ds'), /agent +3 +3 +3 +3 +3 +<none>/);
    const nodes = await ok('get pods --sort-by=.spec.nodeName -o jsonpath={.items[*].spec.nodeName}');
    assert.equal(nodes, 'node-1 node-2 node-3');
    await ok('set image ds/agent main=v2');
    await status();
    assert.equal(await ok('get pods -o jsonpath={.items[*].spec.containers[0].image}'), 'v2 v2 v2');
    assert.match(await ok('rollout history ds/agent'), /^1 .*\n2 /m);
    await ok('rollout undo ds/agent');
    await status();
    assert.equal(await ok('get pods -o jsonpath={.items[*].spec.containers[0].image}'), 'v1 v1 v1');
    await ok('rollout restart ds/agent');
    await status();
    assert.match(await ok('describe ds agent'), /Desired Number of Nodes Scheduled: 3.*SuccessfulCreate/s);
    await ok('delete ds agent --cascade=foreground --timeout=30s');
    assert.equal(await ok('get pods -o name'), '');
  });

  test('StatefulSets: numbered pods, rollout status, set image, history, undo, scale', options, async () => {
    const { ok } = await inNamespace('states');
    const { spec, metadata } = JSON.parse(manifest('db', 2));
    const { selector, template, replicas } = spec;
    const set = {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata,
      spec: { serviceName: 'db', replicas, selector, template },
    };
    await ok('apply -f -', JSON.stringify(set));
    const status = () => ok('rollout status sts/db --timeout=30s');
    const pods = () =>
      ok("get pods --sort-by=.metadata.name -o jsonpath='{range .items[*]}{.metadata.name}={.spec.containers[0].image},{end}'");
    await status();
    assert.equal(await pods(), 'db-0=v1,db-1=v1,');
    await ok('set image sts/db main=v2');
    await status();
    assert.equal(await pods(), 'db-0=v2,db-1=v2,');
    assert.match(await ok('rollout history sts/db'), /^1 .*\n2 /m);
    await ok('rollout undo sts/db');
    await status();
    assert.equal(await pods(), 'db-0=v1,db-1=v1,');
    await ok('scale sts db --replicas=1');
    await eventually(async () => assert.equal(await pods(), 'db-0=v1,'));
    await eventually(async () => assert.match(await ok('get sts'), /db +1\/1 /));
    assert.match(await ok('describe sts db'), /1 desired \| 1 total.*SuccessfulDelete/s);
  });

  test('wait for conditions, for deletion and for values', options, async () => {
    const { ok, fails } = await inNamespace('waits');
    await ok('apply -f -', manifest('web', 2));
    const lines = [
      'wait --for=condition=Available deploy/web --timeout=30s',
      'wait --for=condition=Ready pods -l app=web --timeout=30s',
      ...(old ? [] : ["wait --for=jsonpath='{.status.readyReplicas}'=2 deploy/web --timeout=30s"]),
    ];
    await ok('rollout status deploy/web --timeout=30s');
    const told = await Promise.all(lines.map((line) => ok(line)));
    for (const text of told) assert.match(text, /condition met/);
    assert.match(await fails('wait --for=condition=Nonsense deploy/web --timeout=1s'), /timed out waiting for the condition/);
    await api.create(ConfigMaps, { metadata: { name: 'held', namespace: 'waits', finalizers: ['example.com/hold'] } });
    await ok('delete cm held --wait=false');
    assert.match(await fails('wait --for=delete cm/held --timeout=1s'), /timed out waiting for the condition/);
    // Asked once the object is gone already, kubectl 1.20 says that there is nothing.
    const gone = run('waits', 'wait --for=delete cm/held --timeout=30s');
    await api.patch(ConfigMaps, 'held', 'waits', { metadata: { finalizers: null } }, 'merge');
    const { code, err } = await gone;
    assert.ok(code === 0 || /no matching resources found/.test(err), err);
  });

  test('delete: background, foreground and orphan cascades, grace, force, replace --force', options, async () => {
    const { ok } = await inNamespace('deletes');
    await Promise.all(['a', 'b', 'c'].map((name) => ok('apply -f -', manifest(name, 1))));
    await Promise.all(['a', 'b', 'c'].map((name) => ok(`rollout status deploy/${name} --timeout=30s`)));
    await ok(old ? 'delete deploy a --cascade=background' : 'delete deploy a --cascade=background --timeout=30s');
    await ok('delete deploy b --cascade=foreground --timeout=30s');
    assert.equal(await ok('get rs,pods -l app=b -o name'), '', 'foreground: what it owned went first');
    await ok('delete deploy c --cascade=orphan');
    assert.match(await ok('get rs,pods -l app=c -o name'), /replicaset.*\npod\//);
    await ok('delete rs -l app=c --cascade=orphan');
    await ok('delete pods -l app=c --grace-period=1');
    await ok('run lone --image=x');
    await ok(
      'replace --force -f -',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'lone' },
        spec: { containers: [{ name: 'main', image: 'y' }] },
      }),
    );
    assert.equal(await ok('get pod lone -o jsonpath={.spec.containers[0].image}'), 'y');
    await ok('delete pod lone --force --grace-period=0');
    assert.equal(await ok('get pods -l app!=a -o name'), '');
  });

  test('describe and get of every kind of the lab', options, async () => {
    const { ok } = await inNamespace('kinds');
    await ok('apply -f -', manifest('web', 2));
    await ok('expose deploy web --port=80 --target-port=8080');
    await api.create(NetworkPolicies, {
      metadata: { name: 'only', namespace: 'kinds' },
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ port: 80 }] }],
      },
    });
    await Promise.all([ok('create configmap c --from-literal=k=v'), ok('create secret generic s --from-literal=k=v')]);
    await ok('rollout status deploy/web --timeout=30s');
    const looks: [string, RegExp][] = [
      ['pod -l app=web', /Node: +node-\d.*IP: +10\.244\..*Scheduled.*Successfully assigned kinds\/web/s],
      ['deploy web', /2 desired \| 2 updated \| 2 total \| 2 available.*NewReplicaSet: +web-.*ScalingReplicaSet/s],
      ['rs -l app=web', /Controlled By: +Deployment\/web.*SuccessfulCreate/s],
      ['svc web', /Endpoints: +10\.244\.\d+\.\d+:8080,10\.244\.\d+\.\d+:8080/],
      ['endpoints web', /Addresses: +10\.244\./],
      ...(old
        ? []
        : ([['endpointslice -l kubernetes.io/service-name=web', /Ready: +true.*TargetRef: +Pod\/web/s]] as [string, RegExp][])),
      ['cm c', /^k:\n----\nv/m],
      ['secret s', /^k: +1 bytes/m],
      ['sa default', /Name: +default/],
      ['ns kinds', /Status: +Active/],
      ['node node-1', /PodCIDRs: +10\.244\.\d+\.0\/24,fd00:10:244:.*Non-terminated Pods/s],
      ['netpol only', /Allowing ingress traffic.*CIDR: 10\.0\.0\.0\/8\n +Except: 10\.1\.0\.0\/16/s],
    ];
    await Promise.all(
      looks.map(([what, pattern]) => eventually(async () => assert.match(await ok(`describe ${what}`), pattern, what))),
    );
    const gets: [string, RegExp][] = [
      ['get endpoints web', /web +10\.244\.\d+\.\d+:8080,10\.244\.\d+\.\d+:8080/],
      ['get endpointslices -l kubernetes.io/service-name=web', /IPv4 +8080 +10\.244\.\d+\.\d+,10\.244\.\d+\.\d+/],
      ['get netpol', /only +app=web/],
      ['get pods -o custom-columns=N:.metadata.name,IP:.status.podIP --sort-by=.metadata.name', /^N +IP\nweb-\S+ +10\.244\./],
      ['get events --field-selector reason=ScalingReplicaSet', /deployment\/web/],
      ['get deploy,rs,svc,cm,sa,secret -A', /kube-system +service\/kube-dns/],
      ['get pods -L app --show-labels', /pod-template-hash=/],
    ];
    await Promise.all(gets.map(([line, pattern]) => eventually(async () => assert.match(await ok(line), pattern, line))));
    const { fails } = commands('kinds');
    const top = await Promise.all([fails('top pods'), fails('top nodes')]);
    for (const text of top) assert.match(text, /Metrics API not available|could not find the requested resource/i);
    assert.match(await ok('cluster-info'), /is running at/);
  });

  test('expose: selectors, ports by name, node ports; a Service follows its pods', options, async () => {
    const { ok } = await inNamespace('exposed');
    await ok('apply -f -', manifest('web', 1));
    await ok('expose deploy web --name=by-name --port=80 --target-port=http --type=NodePort');
    assert.match(await ok('get svc by-name'), /NodePort +10\.96\.\d+\.\d+ +<none> +80:3\d{4}\/TCP/);
    await ok('rollout status deploy/web --timeout=30s');
    await ok('label pod -l app=web app=other --overwrite');
    await eventually(async () => {
      const labels = await ok('get pods --sort-by=.metadata.labels.app -o jsonpath={.items[*].metadata.labels.app}');
      assert.equal(labels, 'other web', 'the relabelled pod is let go and another made');
    });
    await eventually(async () => assert.match(await ok('get endpoints by-name'), /by-name +10\.244\.\d+\.\d+:80 /));
    await ok('delete svc by-name');
    await eventually(async () => assert.equal(await ok('get endpointslices -l kubernetes.io/service-name=by-name -o name'), ''));
  });

  test('a namespace goes with all that is in it while kubectl waits', options, async () => {
    const { ok, fails } = await inNamespace('goes');
    await ok('apply -f -', manifest('web', 3));
    await ok('expose deploy web --port=80');
    await ok('rollout status deploy/web --timeout=30s');
    assert.match(await ok('delete ns goes --timeout=30s'), /namespace "goes" deleted/);
    assert.match(await fails('get ns goes'), /namespaces "goes" not found/);
    assert.equal((await api.list(Deployments, { namespace: 'goes' })).items.length, 0);
  });

  test('after all that, no controller has complained but of conflicts', options, () =>
    assert.deepEqual(
      complaints.filter((text) => !text.includes('the object has been modified')),
      [],
    ),
  );
};

for (const tool of kubectlBinaries()) describe(`real ${tool.name} with controllers`, () => suite(tool));

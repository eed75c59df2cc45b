import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Api } from '../kube/api.ts';
import { kubeTime } from '../kube/objects.ts';
import { Deployments, Events, Namespaces, Nodes, Pods, ReplicaSets } from '../kube/resources.ts';
import { kubectlBinaries, needsTool, requireTool, type Tool } from '../testing/tools.ts';
import { TestServer } from './testkit/server.ts';

interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

const deployment = (name: string, image = 'nginx:1', replicas = 2, extra = ''): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  replicas: ${replicas}
  ${extra}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      containers:
      - {name: web, image: "${image}", ports: [{containerPort: 80}]}
      - {name: log, image: "log:1"}
`;

const examples = new URL('../../examples/', import.meta.url);

/** Drives a real kubectl over TLS against a server of its own. There is no runner and there are no controllers: tests write status by hand. */
const suite = (tool: Tool): void => {
  const old = tool.name === 'kubectl 1.20';
  const directory = mkdtempSync(path.join(tmpdir(), 'podnet-test-kubectl-'));
  const config = path.join(directory, 'config');
  const options = { timeout: 60_000, ...needsTool(tool) };
  let server: TestServer;
  let api: Api;
  before(async () => {
    server = await TestServer.start();
    api = server.api.localApi('test');
    await api.create(Namespaces, { metadata: { name: 't' } });
    writeFileSync(config, server.kubeconfig(), { mode: 0o600 });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const start = (args: string[]) =>
    spawn(requireTool(tool), ['--kubeconfig', config, '--cache-dir', path.join(directory, 'cache'), '-n', 't', ...args], {
      env: { PATH: process.env.PATH, HOME: directory, KUBE_EDITOR: 'sed -i s/before/after/' },
    });
  const run = async (args: string[], stdin = ''): Promise<Outcome> => {
    const child = start(args);
    const result: Outcome = { code: null, out: '', err: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      result.out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      result.err += chunk.toString();
    });
    child.stdin.end(stdin);
    [result.code] = (await once(child, 'close')) as [number | null];
    return result;
  };
  /** Splits at spaces; `'…'` keeps them. */
  const words = (line: string): string[] => (line.match(/(?:'[^']*'|[^\s'])+/g) ?? []).map((word) => word.replaceAll("'", ''));
  const ok = async (line: string, stdin = ''): Promise<string> => {
    const { code, out, err } = await run(words(line), stdin);
    assert.equal(code, 0, `kubectl ${line}: ${err}${out}`);
    return out;
  };
  const fails = async (line: string, stdin = ''): Promise<string> => {
    const { code, out, err } = await run(words(line), stdin);
    assert.notEqual(code, 0, `kubectl ${line} should fail: ${out}`);
    return err;
  };

  test('version, api-resources, api-versions, cluster-info, explain', options, async () => {
    assert.match(await ok('version'), /v1\.36\.0\+podnet/);
    const resources = await ok('api-resources');
    for (const name of ['pods ', 'services ', 'networkpolicies ', 'endpointslices '])
      assert.match(resources, new RegExp(`^${name}`, 'm'));
    assert.match(await ok('api-versions'), /^networking\.k8s\.io\/v1$/m);
    assert.match(await ok('cluster-info'), /is running at/);
    assert.match(await ok('explain service.spec.ports.nodePort'), /NodePort/);
  });

  test('the examples apply, again without a change, and go', options, async () => {
    // Others there are no manifests, e.g. the settings of a lab.
    const manifests = readdirSync(examples)
      .map((file) => ({ file, text: readFileSync(new URL(file, examples), 'utf8') }))
      .filter(({ text }) => /^apiVersion:/m.test(text));
    assert.ok(manifests.length >= 2);
    for (const { file, text } of manifests) {
      // kubectl takes objects of a namespace only where it is asked for that one.
      const within = /namespace: kube-system/.test(text) ? '-n kube-system' : '-n t';
      const first = await ok(`apply ${within} -f -`, text);
      assert.doesNotMatch(first, /unchanged/);
      const second = (await ok(`apply ${within} -f -`, text)).trim().split('\n');
      assert.deepEqual(
        second.filter((line) => !line.endsWith(' unchanged')),
        [],
        file,
      );
      await ok(`delete ${within} -f - --wait=false`, text);
    }
  });

  test('create by generator, of each kind kubectl can', options, async () => {
    const lines = [
      'create deployment made --image=nginx',
      'create configmap made --from-literal=a=b',
      'create secret generic made --from-literal=a=b',
      'create service clusterip made --tcp=80:8080',
      'create service nodeport made-np --tcp=80:8080 --node-port=30123',
      'create service externalname made-en --external-name=example.com',
      'create job made --image=busybox',
      'create role made --verb=get --resource=pods',
      'create rolebinding made --role=made --user=joe',
      'create clusterrole made --verb=get --resource=pods',
      'create clusterrolebinding made --clusterrole=made --user=joe',
      'create serviceaccount made',
      'create quota made --hard=cpu=1',
      'create priorityclass made --value=100',
      'create namespace made',
      'autoscale deployment made --min=1 --max=3',
      // kubectl 1.20 asks for v1beta1 of these, which no server since 1.25 has.
      ...(old
        ? []
        : [
            "create ingress made --rule='foo.com/bar=svc1:8080'",
            "create cronjob made --image=busybox --schedule='*/5 * * * *'",
            'create poddisruptionbudget made --selector=app=made --min-available=1',
          ]),
    ];
    for (const line of lines) assert.match(await ok(line), / (created|autoscaled)\n/, line);
    if (!old) assert.match(await ok('create token made'), /^ey[\w-]+\.[\w-]+\.[\w-]+\n?$/);
    const all = await ok('get deploy,cm,secret,svc,job,role,rolebinding,clusterrole,sa,quota,priorityclass,hpa -o name');
    assert.ok(all.trim().split('\n').length >= 12);
    assert.match(
      await fails('create service nodeport other --tcp=80:8080 --node-port=30123'),
      /spec\.ports\[0\]\.nodePort: Invalid value: 30123: provided port is already allocated/,
    );
    assert.match(
      await fails('create service nodeport other --tcp=80:8080 --node-port=80'),
      /The range of valid ports is 30000-32767/,
    );
    assert.match(await fails('create configmap made'), /configmaps "made" already exists/);
    await ok('delete deploy,job,svc,hpa --all --wait=false');
  });

  test('run --expose, get in all forms, selectors, watch', options, async () => {
    await ok("run web1 --image=nginx --labels='app=web1,tier=front' --expose --port=80");
    assert.match(await ok('get pods'), /^NAME +READY +STATUS +RESTARTS +AGE\nweb1 +0\/1 +Pending +0 +\d+s\n$/);
    assert.match(await ok('get pods -o wide'), /IP +NODE +NOMINATED NODE +READINESS GATES\n/);
    assert.match(
      await ok('get svc web1'),
      /^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\nweb1 +ClusterIP +10\.96\.\d+\.\d+ +<none> +80\/TCP +\d+s\n$/,
    );
    assert.equal(JSON.parse(await ok('get pod web1 -o json')).spec.dnsPolicy, 'ClusterFirst');
    assert.match(await ok('get pod web1 -o yaml'), /securityContext: \{\}/);
    assert.equal(await ok("get pods -l 'app in (web1,x),!nope' -o jsonpath={.items[*].metadata.name}"), 'web1');
    assert.match(await ok('get pods -A --field-selector=status.phase=Pending'), /^NAMESPACE .*\nt +web1 /);
    assert.match(await ok('get all'), /pod\/web1.*service\/web1/s);
    assert.match(await fails('get pods --field-selector=spec.foo=x'), /field label not supported: spec\.foo/);
    assert.match(await fails('get pod nosuch'), /Error from server \(NotFound\): pods "nosuch" not found/);
    const watch = start(['get', 'pods', '-w']);
    let seen = '';
    watch.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    const until = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(seen)) await once(watch.stdout, 'data');
    };
    await until(/web1/);
    const pod = await api.get(Pods, 'web1', 't');
    await api.update(
      Pods,
      {
        ...pod,
        status: {
          ...pod.status,
          phase: 'Running',
          containerStatuses: [{ name: 'web1', ready: true, restartCount: 3, image: 'x', imageID: '', state: { running: {} } }],
        },
      },
      { subresource: 'status' },
    );
    await until(/web1 +1\/1 +Running +3 /);
    watch.kill();
    await once(watch, 'close');
  });

  test('label, annotate, patch in three ways, set, edit, replace, scale', options, async () => {
    await ok('apply -f -', deployment('d'));
    await ok('label deploy d x=before');
    await ok('annotate deploy d y=z');
    await ok('edit deploy d');
    assert.equal(await ok('get deploy d -o jsonpath={.metadata.labels.x}{.metadata.annotations.y}'), 'afterz');
    await ok(`patch deploy d -p '{"spec":{"template":{"spec":{"containers":[{"name":"log","image":"log:2"}]}}}}'`);
    assert.equal(await ok('get deploy d -o jsonpath={..image}'), 'nginx:1 log:2');
    await ok(`patch deploy d --type=merge -p '{"spec":{"paused":true}}'`);
    await ok(`patch deploy d --type=json -p '[{"op":"replace","path":"/spec/replicas","value":4}]'`);
    await ok('set image deploy/d web=nginx:9');
    await ok('scale deploy d --replicas=7 --current-replicas=4');
    assert.equal(await ok('get deploy d -o jsonpath={.spec.replicas}{..image}'), '7nginx:9 log:2');
    await ok('rollout resume deploy/d');
    await ok('rollout restart deploy/d');
    await ok('replace -f -', deployment('d', 'nginx:3'));
    assert.match(
      await fails(`patch deploy d --type=json -p '[{"op":"remove","path":"/spec/nope"}]'`),
      old ? /The request is invalid/ : /missing path: "\/spec\/nope"/,
    );
    assert.match(
      await fails(`patch deploy d -p '{"spec":{"replicas":-1}}'`),
      /spec\.replicas: Invalid value: -1: must be greater than or equal to 0/,
    );
    assert.match(
      await fails(`patch deploy d -p '{"spec":{"selector":{"matchLabels":{"app":"other"}}}}'`),
      /spec\.selector: Invalid value: .*: field is immutable/,
    );
  });

  test('apply merges as kubectl and the server agree: others’ fields stay, own ones go', options, async () => {
    await ok('apply -f -', deployment('m', 'nginx:1', 2, 'minReadySeconds: 5'));
    await ok(`patch deploy m -p '{"spec":{"template":{"spec":{"containers":[{"name":"sidecar","image":"s"}]}}}}'`);
    await ok('apply -f -', deployment('m', 'nginx:2'));
    assert.equal(await ok('get deploy m -o jsonpath={.spec.minReadySeconds}'), '');
    const images = (await ok('get deploy m -o jsonpath={..image}')).split(' ').sort();
    assert.deepEqual(images, ['log:1', 'nginx:2', 's']);
    const { code, out } = await run(['diff', '-f', '-'], deployment('m', 'nginx:5'));
    assert.equal(code, 1);
    assert.match(out, /^\+.*nginx:5/m);
    assert.match(await ok('get deploy m -o jsonpath={..image}'), /nginx:2/, 'diff is a dry run');
  });

  test('apply --server-side: ownership, conflict, force', options, async () => {
    await ok('apply --server-side -f -', deployment('ssa', 'nginx:1', 3));
    await ok('scale deploy ssa --replicas=5');
    assert.match(
      await fails('apply --server-side -f -', deployment('ssa', 'nginx:1', 3)),
      /Apply failed with 1 conflict: conflict with "kubectl.*\.spec\.replicas/,
    );
    await ok('apply --server-side --force-conflicts -f -', deployment('ssa', 'nginx:2', 3));
    assert.equal(await ok('get deploy ssa -o jsonpath={.spec.replicas}'), '3');
    await ok('apply -f -', deployment('csa'));
    await ok('apply --server-side -f -', deployment('csa', 'nginx:7'));
    assert.match(await ok('get deploy csa -o jsonpath={..image}'), /nginx:7/);
  });

  test('bad manifests: one clear sentence each', options, async () => {
    // kubectl 1.20 checks fields by itself, newer ones leave it to the server.
    const unknown = await fails('create -f -', deployment('bad', 'x', 1, 'foo: 1'));
    assert.match(
      unknown,
      old ? /unknown field "foo" in io\.k8s\.api\.apps\.v1\.DeploymentSpec/ : /strict decoding error: unknown field "spec\.foo"/,
    );
    const kind = await fails('apply -f -', 'apiVersion: v1\nkind: Nonsense\nmetadata: {name: x}\n');
    assert.match(kind, /no matches for kind "Nonsense" in version "v1"/);
    assert.match(
      await fails('apply -f -', deployment('Bad_Name')),
      /metadata\.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of/,
    );
    const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 99999}]}\n';
    assert.match(
      await fails('apply -f -', service),
      /The Service "bad" is invalid:.*spec\.ports\[0\]\.port: Invalid value: 99999: must be between 1 and 65535, inclusive/s,
    );
    assert.match(await fails('apply -n nowhere -f -', deployment('x')), /namespaces "nowhere" not found/);
  });

  test(
    'ClusterNetworkPolicy and its older forms: short names, columns, explain, apply, edit, describe, what is refused',
    options,
    async () => {
      const policy = (more: string, priority = 10): string => `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: tenants}
spec:
  tier: Admin
  priority: ${priority}
  subject: {namespaces: {matchLabels: {tenant: a}}}
  ingress:
  - {name: within, action: Accept, from: [{namespaces: {matchLabels: {tenant: a}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}
  - {name: rest, action: Deny, from: [{namespaces: {}}]}
${more}`;
      const older = `
apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: metadata-service}
spec: {priority: 5, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [169.254.169.254/32]}]}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec: {subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}
`;
      const resources = await ok('api-resources --api-group=policy.networking.k8s.io');
      for (const line of ['clusternetworkpolicies +cnp', 'adminnetworkpolicies +anp', 'baselineadminnetworkpolicies +banp'])
        assert.match(resources, new RegExp(`^${line} .* false +\\w+$`, 'm'));
      assert.match(await ok('explain cnp.spec.tier'), /Tier is used as the top-level grouping/);
      assert.match(await ok('explain cnp.spec.egress.to.domainNames'), /specify domain names as peers/);
      assert.match(await ok('explain banp --recursive'), /portRange/);

      assert.match(await ok('apply -f -', policy('')), /clusternetworkpolicy\.policy\.networking\.k8s\.io\/tenants created/);
      assert.match(await ok('apply -f -', policy('')), /unchanged/);
      assert.match(await ok('apply -f -', policy('  egress: [{action: Accept, to: [{nodes: {}}]}]', 11)), /configured/);
      assert.equal(await ok('get cnp tenants -o jsonpath={.spec.egress[0].action}{.metadata.generation}'), 'Accept2');
      await ok('apply -f -', policy('', 11));
      assert.equal(await ok('get cnp tenants -o jsonpath={.spec.egress}'), '');
      await ok('apply -f -', older);
      assert.match(await ok('get cnp'), /^NAME +TIER +PRIORITY +AGE\ntenants +Admin +11 +\S+\n$/);
      assert.match(await ok('get anp'), /^NAME +PRIORITY +AGE\nmetadata-service +5 /);
      assert.match(await ok('get banp'), /^NAME +AGE\ndefault /);
      await ok('label cnp tenants x=before');
      await ok('edit cnp tenants');
      assert.equal(await ok('get cnp tenants -o jsonpath={.metadata.labels.x}'), 'after');
      assert.match(await ok('describe cnp tenants'), /Tier: +Admin/);
      assert.match(await ok('describe banp'), /Action: +Deny/);
      if (!old) {
        await ok('apply --server-side --force-conflicts -f -', policy('', 12));
        const status =
          '{"status":{"conditions":[{"type":"Ready-n","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}';
        await ok(`patch cnp tenants --type=merge --subresource=status -p '${status}'`);
        await ok('wait cnp tenants --for=condition=Ready-n --timeout=10s');
      }

      assert.match(await fails('apply -f -', policy('', 1001)), /spec\.priority in body should be less than or equal to 1000/);
      assert.match(
        await fails('apply -f -', policy('  egres: []')),
        old ? /unknown field "egres"/ : /unknown field "spec\.egres"/,
      );
      assert.match(
        await fails('apply -f -', older.replace('name: default', 'name: second')),
        /Only one baseline admin network policy with metadata\.name="default"/,
      );
      await ok('delete cnp,anp,banp --all');
    },
  );

  test('describe, events, rollout status and history, wait', options, async () => {
    await ok('apply -f -', deployment('r', 'nginx:1', 1));
    const object = await api.get(Deployments, 'r', 't');
    const now = kubeTime(Date.now());
    await api.create(ReplicaSets, {
      metadata: {
        name: 'r-1',
        namespace: 't',
        labels: { app: 'r' },
        annotations: { 'deployment.kubernetes.io/revision': '1' },
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'r', uid: object.metadata.uid!, controller: true }],
      },
      spec: { replicas: 1, selector: { matchLabels: { app: 'r' } }, template: object.spec!.template },
    });
    await api.create(Events, {
      metadata: { name: 'e', namespace: 't' },
      involvedObject: { kind: 'Deployment', namespace: 't', name: 'r', uid: object.metadata.uid },
      reason: 'Because',
      message: 'it was so',
      type: 'Normal',
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      source: { component: 'test' },
    });
    const waiting = run(['wait', '--for=condition=Available', 'deploy/r', '--timeout=20s']);
    await api.update(
      Deployments,
      {
        ...object,
        status: {
          observedGeneration: object.metadata.generation,
          replicas: 1,
          updatedReplicas: 1,
          readyReplicas: 1,
          availableReplicas: 1,
          conditions: [
            {
              type: 'Available',
              status: 'True',
              lastTransitionTime: now,
              lastUpdateTime: now,
              reason: 'MinimumReplicasAvailable',
              message: '',
            },
          ],
        },
      },
      { subresource: 'status' },
    );
    assert.match((await waiting).out, /condition met/);
    assert.match(await ok('rollout status deploy/r --timeout=20s'), /successfully rolled out/);
    assert.match(await ok('rollout history deploy/r'), /^1 /m);
    assert.match(await ok('describe deploy r'), /Replicas: +1 desired \| 1 updated.*Because.*it was so/s);
    assert.match(await ok('describe pod web1'), /Name: +web1/);
    assert.match(await ok('describe svc web1'), /Endpoints:/);
    assert.match(await ok('describe ns t'), /Status: +Active/);
    assert.match(await ok('get events'), /Because +deployment\/r +it was so/);
  });

  test('nodes: get, describe, taint, cordon, drain', options, async () => {
    await api.create(Nodes, {
      metadata: { name: 'n1' },
      status: {
        conditions: [{ type: 'Ready', status: 'True' }],
        addresses: [{ type: 'InternalIP', address: '172.30.0.2' }],
        nodeInfo: { kubeletVersion: 'v1.36.0' } as never,
      },
    });
    assert.match(await ok('get nodes -o wide'), /n1 +Ready +<none> +\d+s +v1\.36\.0 +172\.30\.0\.2/);
    await ok('taint node n1 k=v:NoSchedule');
    await ok('cordon n1');
    assert.match(await ok('get node n1'), /Ready,SchedulingDisabled/);
    assert.match(await ok('describe node n1'), /Taints: +k=v:NoSchedule/);
    await api.create(Pods, {
      metadata: { name: 'here', namespace: 't' },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'x' }], terminationGracePeriodSeconds: 0 },
    });
    await ok('drain n1 --force --timeout=20s');
    assert.match(await fails('get pod here'), /not found/);
  });

  test('auth can-i; delete with wait, by label, of a namespace that may not go', options, async () => {
    assert.equal(await ok('auth can-i create pods'), 'yes\n');
    assert.match(await ok('auth can-i --list'), /\*\.\*/);
    if (!old) assert.match(await ok('auth whoami'), /system:masters/);
    assert.match(await ok('delete pods -l app=web1'), /pod "web1" deleted/);
    assert.match(await ok('delete deploy --all'), /deleted/);
    assert.match(
      await fails('delete ns kube-system'),
      /namespaces "kube-system" is forbidden: this namespace may not be deleted/,
    );
    assert.match(await ok('get pods'), /^$/);
  });
};

for (const tool of kubectlBinaries()) describe(`real ${tool.name}`, () => suite(tool));

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startDns } from '../dns/index.ts';
import { until } from '../dns/testkit/forwarder.ts';
import { ask, needsResolver, resolvers } from '../dns/testkit/resolvers.ts';
import { needsUnbound } from '../dns/testkit/unbound.ts';
import { FakeApi } from '../kube/fake.ts';
import { resolvConf } from '../kube/resolv-conf.ts';
import { type TestNs, TestWorld } from '../testing/netns.ts';
import { needsRoot } from '../testing/root.ts';
import { requireTool, unboundBinary } from '../testing/tools.ts';
import { labConfig } from './config.ts';
import { hostResolvConf } from './host-resolv-conf.ts';
import { LabNames } from './names.ts';
import { nodeProcesses } from './node-config.ts';
import { topology } from './topology.ts';

const stub = 'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n';
const behind = 'nameserver 192.0.2.1\nsearch lan\n';

/** A host's two files in a folder; undefined: it has no such file. */
function filesIn(folder: string, etc: string | undefined, resolved: string | undefined): { etc: string; resolved: string } {
  const paths = { etc: join(folder, 'etc.conf'), resolved: join(folder, 'resolved.conf') };
  for (const [path, text] of [[paths.etc, etc], [paths.resolved, resolved]] as const) {
    rmSync(path, { force: true });
    if (text !== undefined) writeFileSync(path, text);
  }
  return paths;
}

test("R9: where the host's resolv.conf names the stub of systemd-resolved, the resolvers behind it are given to pods and DNS", () => {
  const folder = mkdtempSync(`/tmp/podnet-test-lab-${process.pid}-`);
  try {
    const chosen = (etc: string | undefined, resolved?: string): string => {
      const paths = filesIn(folder, etc, resolved);
      return hostResolvConf(paths) === paths.resolved ? 'resolved' : 'etc';
    };
    assert.equal(chosen(stub, behind), 'resolved');
    assert.equal(chosen('nameserver 127.0.0.54\n', 'nameserver 2001:db8::53\n'), 'resolved');
    assert.equal(chosen('nameserver 192.0.2.9\n', behind), 'etc', 'it runs, and the host does not use it');
    assert.equal(chosen('nameserver 127.0.0.1\n', behind), 'etc', 'another server on loopback');
    assert.equal(chosen(`# nameserver 127.0.0.53\nnameserver 192.0.2.9\n`, behind), 'etc', 'a comment');
    assert.equal(chosen(stub, '# No DNS servers known.\n'), 'etc');
    assert.equal(chosen(stub), 'etc');
    assert.equal(chosen(undefined, behind), 'etc');
    const settings = { clusterDns: ['10.96.0.10'], clusterDomain: 'cluster.local', loopback: '127.0.0.1' };
    const host = readFileSync(hostResolvConf(filesIn(folder, stub, behind)), 'utf8');
    const pod = resolvConf({ namespace: 'shop', spec: { containers: [], dnsPolicy: 'Default' } }, { ...settings, host });
    assert.deepEqual([pod.nameservers, pod.searches], [['192.0.2.1'], ['lan']]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("R9: a lab's DNS and runner are both given the file that was chosen", () => {
  const config = labConfig({ nodes: 1 });
  const plan = topology(config);
  const host = { netns: '/proc/1/ns/net', resolvConf: '/run/chosen.conf' };
  const { dns, 'lab-runner': runner } = nodeProcesses(new LabNames(config.name), config, plan, plan.nodes[0]!, host);
  assert.deepEqual(dns.upstream, host);
  assert.deepEqual([dns.hostResolvConf, runner.hostResolvConf], ['/run/chosen.conf', '/run/chosen.conf']);
});

/** unbound in a namespace, on one address, that says what it is asked. @param rest what it knows, or whom it asks */
async function unboundIn({ path: netns }: TestNs, folder: string, address: string, rest: string): Promise<AsyncDisposable & { said(): string }> {
  const file = join(folder, `unbound-${address}.conf`);
  const own = 'do-daemonize: no\n use-syslog: no\n logfile: ""\n username: ""\n chroot: ""\n pidfile: ""\n module-config: "iterator"';
  writeFileSync(file, `server:\n interface: ${address}\n directory: "${folder}"\n ${own}\n access-control: 0.0.0.0/0 allow\n do-not-query-localhost: no\n log-queries: yes\n ${rest}\nremote-control:\n control-enable: no\n`);
  const args = [`--net=${netns}`, requireTool(unboundBinary()), '-d', '-c', file];
  const child: ChildProcess = spawn('nsenter', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const gone = once(child, 'exit');
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until(() => said.includes('start of service') || child.exitCode !== null);
  if (child.exitCode !== null) throw new Error(`unbound on ${address} ended: ${said}`);
  return {
    said: () => said,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

const dig = resolvers[0]!;

test('R9: a stub on 127.0.0.53 that asks the cluster DNS is found out and left alone; the resolvers behind it are asked without it', {
  skip: needsRoot.skip || needsUnbound.skip || needsResolver(dig).skip,
}, async () => {
  using world = new TestWorld('lab-resolv-conf');
  const [host, node] = [world.namespace('host'), world.namespace('node')];
  const folder = world.directory;
  world.join(host, ['192.0.2.1/24'], node, ['192.0.2.2/24']);
  await using asking = await unboundIn(host, folder, '127.0.0.53', 'qname-minimisation: no\nforward-zone:\n name: "."\n forward-addr: 192.0.2.2');
  await using knowing = await unboundIn(host, folder, '192.0.2.1', 'local-zone: "example.com." static\n local-data: "www.example.com. 60 IN A 192.0.2.7"');
  const paths = filesIn(folder, stub, behind);
  const serve = (file: string) =>
    startDns(
      {
        ...{ listen: ['192.0.2.2'], port: 53, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'] },
        ...{ limits: { clients: ['192.0.2.0/24'] }, upstream: { resolvConf: file, netns: host.path } },
      },
      { api: new FakeApi(), netns: node.ns, log: () => {} },
    );
  const asked = async () => {
    const question = { netns: host.path, server: '192.0.2.2', name: 'www.example.com.', type: 'A', folder };
    return [await ask(dig, { ...question, tcp: false }), await ask(dig, { ...question, tcp: true })];
  };
  {
    await using dns = await serve(paths.etc);
    await until(() => dns.status().upstreams[0]?.looping === true);
    assert.deepEqual(dns.status().upstreams.map(({ server }) => server), ['127.0.0.53:53']);
    const failed = { rcode: 'SERVFAIL', data: [] };
    assert.deepEqual(await asked(), [failed, failed]);
    assert.match(asking.said(), / HINFO IN/, 'the probe went there');
    assert.doesNotMatch(asking.said(), /www\.example\.com/i, 'and the question did not');
  }
  await using dns = await serve(hostResolvConf(paths));
  const found = { rcode: 'NOERROR', data: ['192.0.2.7'] };
  assert.deepEqual(await asked(), [found, found]);
  await until(() => /www\.example\.com/i.test(knowing.said()));
  assert.deepEqual(dns.status().upstreams.map(({ server, looping }) => [server, looping]), [['192.0.2.1:53', false]]);
});

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readLines } from '../../unix/http.ts';
import { FakeApi } from '../../kube/fake.ts';
import { Pods, Services } from '../../kube/resources.ts';
import { startDns } from '../index.ts';
import { newMetrics } from '../metrics.ts';
import { Pipeline, stagesOf } from '../pipeline.ts';
import { httpGet } from '../../testing/http.ts';
import { askUdp } from '../testkit/client.ts';
import { answer, question } from '../testkit/message.ts';
import { pod, service, TestCluster } from '../testkit/cluster.ts';
import { TestUpstream } from '../testkit/upstream.ts';
import { ZoneAnswerer } from '../zone/answer.ts';
import { Histogram } from './histogram.ts';
import { type LogEntry, LogTap } from './log-tap.ts';

const web = 'web.default.svc.cluster.local';

/** Samples by name with labels; fails on what Prometheus would not read. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  let family = '';
  for (const line of text.trimEnd().split('\n')) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
    if (type) family = type[1]!;
    else if (!/^# HELP \w+ \S/.test(line)) {
      const [, name, labels = '', value] = /^(\w+)(\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$/.exec(line) ?? [];
      assert.ok(name !== undefined, line);
      assert.ok([family, `${family}_bucket`, `${family}_sum`, `${family}_count`].includes(name), `${name} below ${family}`);
      assert.ok(!samples.has(name + labels), `${name}${labels} twice`);
      assert.ok(!Number.isNaN(Number(value)) || value === '+Inf', line);
      samples.set(name + labels, Number(value));
    }
  }
  return samples;
}

async function served(use: (world: { port: number; health: string; upstream: string }) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'podnet-test-dns-'));
  const health = join(folder, 'health.sock');
  try {
    await using upstream = await TestUpstream.listen((request, { name, type }) => answer(request, { answers: type === 'A' ? [{ name, type, data: '192.0.2.1' }] : [] }));
    const api = new FakeApi();
    await api.create(Services, { metadata: { name: 'web', namespace: 'default' }, spec: { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] } });
    const made = await api.create(Pods, { metadata: { name: 'client', namespace: 'default' }, spec: { containers: [] } });
    await api.update(Pods, { ...made, status: { phase: 'Running', podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] } }, { subresource: 'status' });
    const config = { listen: ['127.0.0.1'], port: 0, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], healthSocket: health };
    await using dns = await startDns({ ...config, upstream: { servers: [upstream.server] } }, { api, log: () => {} });
    await dns.ready;
    await use({ port: Number(dns.status().listen[0]!.split(':').at(-1)), health, upstream: upstream.server });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("metrics have the names and labels of CoreDNS' where they mean the same", async () => {
  await served(async ({ port, health, upstream }) => {
    for (let i = 0; i < 3; i++) await askUdp(port, question(web));
    await askUdp(port, question('no.such.cluster.local', { type: 'AAAA', edns: 1232, dnssecOk: true }));
    for (let i = 0; i < 2; i++) await askUdp(port, question('www.example.com'));
    await askUdp(port, question(`www.example.com.${web.slice(4)}`));
    await askUdp(port, question(web, { type: 65 }));
    await askUdp(port, question(web, { type: 999 }));
    const samples = parse((await httpGet(health, '/metrics')).body);
    const where = 'server="dns://:0",zone=".",view=""';
    const expected: [string, number][] = [
      [`coredns_dns_requests_total{${where},proto="udp",family="1",type="A"}`, 6],
      [`coredns_dns_requests_total{${where},proto="udp",family="1",type="AAAA"}`, 1],
      [`coredns_dns_requests_total{${where},proto="udp",family="1",type="HTTPS"}`, 1],
      [`coredns_dns_requests_total{${where},proto="udp",family="1",type="other"}`, 1],
      [`coredns_dns_responses_total{${where},rcode="NOERROR",plugin="kubernetes"}`, 5],
      [`coredns_dns_responses_total{${where},rcode="NXDOMAIN",plugin="kubernetes"}`, 1],
      [`coredns_dns_responses_total{${where},rcode="NOERROR",plugin="forward"}`, 2],
      [`coredns_dns_responses_total{${where},rcode="NOERROR",plugin="autopath"}`, 1],
      [`coredns_dns_do_requests_total{${where}}`, 1],
      [`coredns_dns_request_size_bytes_count{${where},proto="udp"}`, 9],
      [`coredns_dns_request_size_bytes_bucket{${where},proto="udp",le="+Inf"}`, 9],
      [`coredns_dns_request_size_bytes_bucket{${where},proto="udp",le="100"}`, 9],
      ['coredns_cache_hits_total{server="dns://:0",zones=".",view="",type="success"}', 2],
      ['coredns_cache_misses_total{server="dns://:0",zones=".",view=""}', 1],
      ['coredns_autopath_success_total{server="dns://:0"}', 1],
      ['podnet_dns_search_walks_total{found="true"}', 1],
      ['coredns_cache_entries{server="dns://:0",zones=".",view="",type="success"}', 1],
      [`coredns_forward_requests_total{to="${upstream}"}`, 1],
      [`coredns_forward_responses_total{to="${upstream}",rcode="NOERROR"}`, 1],
      [`coredns_proxy_request_duration_seconds_count{proxy_name="forward",to="${upstream}"}`, 1],
      [`coredns_proxy_healthcheck_failures_total{proxy_name="forward",to="${upstream}"}`, 0],
      ['coredns_panics_total', 0],
      ['podnet_dns_synced', 1],
      ['podnet_dns_pods', 1],
    ];
    for (const [name, value] of expected) assert.deepEqual([name, samples.get(name)], [name, value]);
    assert.ok(samples.get(`coredns_dns_request_duration_seconds_count{${where}}`)! > 0);
    assert.ok(samples.get('process_resident_memory_bytes')! > 1e7);
  });
});

test('the log tells of questions of a pod while somebody reads, and of nothing to others', async () => {
  await served(async ({ port, health }) => {
    const entries: LogEntry[] = [];
    const abort = new AbortController();
    const filter = encodeURIComponent(JSON.stringify({ pod: 'client', name: 'example.com' }));
    const reading = readLines<LogEntry>(health, `/log/${filter}`, (entry) => entries.push(entry), abort.signal);
    for (let i = 0; i < 200 && entries.length === 0; i++) {
      await askUdp(port, question(web));
      await askUdp(port, question('WWW.example.com'));
    }
    const { time, us, bytes, ...first } = entries[0]!;
    assert.deepEqual(first, {
      ...{ client: '127.0.0.1', pod: 'default/client', proto: 'udp', name: 'www.example.com.', type: 'A', rcode: 'NOERROR' },
      ...{ answers: ['192.0.2.1'], by: 'forward' },
    });
    assert.ok(!Number.isNaN(Date.parse(time)) && us >= 0 && bytes > 40);
    assert.ok(entries.every(({ name }) => name === 'www.example.com.'));
    abort.abort();
    await reading;
  });
});

test('a reader that does not keep up loses entries, which are counted; without readers nothing is noted', async () => {
  const cluster = new TestCluster(service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] }), pod('10.244.1.7'));
  const log = new LogTap(cluster.zone.pods);
  const { zones, ttl } = cluster.zone;
  const stages = stagesOf({ zones, answerer: new ZoneAnswerer(zones, ttl), isSynced: () => true });
  const pipeline = new Pipeline(stages, newMetrics(), { log });
  const out = Buffer.alloc(512);
  const ask = (name: string): void => {
    const message = question(name);
    assert.ok(pipeline.answer(message, 0, message.length, 'udp', out, 0, assert.fail) > 0);
  };
  ask(web);
  assert.equal(log.isRead, false);
  const taken: LogEntry[] = [];
  {
    using reading = log.read({ filter: {}, take: (entry) => taken.length < 2 && taken.push(entry) > 0 });
    for (let i = 0; i < 5; i++) ask(web);
    assert.deepEqual([taken.length, reading.dropped, log.dropped], [2, 3, 3]);
    await sleep(0);
    for (let i = 0; i < 6000; i++) ask(web);
    assert.ok(reading.dropped >= 6000 + 3 - 2, 'more than 5000 in a second are dropped before they are written');
  }
  assert.equal(log.isRead, false);
  const before = log.dropped;
  ask(web);
  assert.equal(log.dropped, before);
});

test('a histogram counts values at their bound, and one value for many', () => {
  const histogram = new Histogram([1, 10]);
  for (const [value, weight] of [[0.5, 1], [1, 1], [1.5, 4], [10, 1], [11, 2]] as const) histogram.observe(value, weight);
  assert.deepEqual([...histogram.counts], [2, 5, 2]);
  assert.deepEqual([histogram.count, histogram.sum], [9, 0.5 + 1 + 6 + 10 + 22]);
});

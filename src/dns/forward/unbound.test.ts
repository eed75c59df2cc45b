import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { FakeApi } from '../../kube/fake.ts';
import { Namespaces, Services } from '../../kube/resources.ts';
import { type DnsServer, startDns } from '../index.ts';
import { askUdp } from '../testkit/client.ts';
import { namespace, service } from '../testkit/cluster.ts';
import { needsDig } from '../testkit/dig.ts';
import { question } from '../testkit/message.ts';
import { needsUnbound, serverName, Unbound } from '../testkit/unbound.ts';
import type { UpstreamOptions } from './options.ts';

const zone = `$ORIGIN example.test.
$TTL 60
@ SOA ns.example.test. root.example.test. 1 3600 600 86400 20
@ NS ns.example.test.
ns A 192.0.2.53
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
alias CNAME next.example.test.
next CNAME www.example.test.
dangling CNAME gone.example.test.
@ MX 10 mail.example.test.
@ MX 20 mx.other.example.
mail A 192.0.2.25
@ TXT "v=spf1 -all" "second string"
_sip._tcp SRV 0 5 5060 sip.example.test.
sip AAAA 2001:db8::5060
sip NAPTR 100 10 "s" "SIP+D2T" "" _sip._tcp.example.test.
@ CAA 0 issue "ca.example"
web HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1
x DNAME other.test.
ptr PTR www.example.test.
host HINFO "PC" "Linux"
loc LOC 51 30 12.748 N 0 7 39.611 W 0.00m 0.00m 0.00m 0.00m
ssh SSHFP 2 1 123456789abcdef67890123456789abcdef67890
naked\\.dot A 192.0.2.9
*.wild A 192.0.2.99
ent.below.deep TXT "empty non-terminals above"
${Array.from({ length: 200 }, (_, i) => `many A 192.0.3.${i}`).join('\n')}
`;
const web = service('web', { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] });
const webName = 'web.default.svc.cluster.local';

async function dnsWith(upstream: UpstreamOptions): Promise<DnsServer & { port: number }> {
  const api = new FakeApi();
  await api.create(Namespaces, namespace('default'));
  await api.create(Services, web);
  const config = { listen: ['127.0.0.1'], port: 0, podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], upstream };
  const dns = await startDns(config, { api, log: () => {} });
  await dns.ready;
  return Object.assign(dns, { port: Number(/\d+$/.exec(dns.status().listen[0]!)![0]) });
}

/** Status, and the records of answer and authority as dig prints them, without TTLs, sorted; NS of an answer's authority is not ours to pass on. */
async function dug(port: number, ...args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)('dig', [
    '@127.0.0.1',
    '-p',
    String(port),
    '+tries=1',
    '+time=10',
    '+noadditional',
    ...args,
  ]);
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.startsWith(';'));
  const records = lines
    .map((line) => line.replace(/^(\S+)\s+\d+\s+/, '$1 ').replaceAll(/\s+/g, ' '))
    .filter((line) => !/ IN NS /.test(line));
  return [/status: (\w+)/.exec(stdout)?.[1] ?? '', ...records.sort()];
}

const questions: string[][] = [
  [
    'www A',
    'www AAAA',
    'www MX',
    'WwW A',
    'alias A',
    'alias AAAA',
    'alias CNAME',
    'next TXT',
    'dangling A',
    'nothing A',
    'nothing.at.all AAAA',
  ],
  [
    '. MX',
    '. TXT',
    '. CAA',
    '. SOA',
    '. NS',
    '_sip._tcp SRV',
    'sip NAPTR',
    'sip AAAA',
    'web HTTPS',
    'ptr PTR',
    'host HINFO',
    'loc LOC',
    'ssh SSHFP',
  ],
  ['naked\\.dot A', 'a.wild A', 'b.c.wild AAAA', 'below.deep A', 'many A', 'many AAAA', 'www TYPE65280'],
];

for (const way of ['udp', 'tcp', 'tls'] as const) {
  test(`a real resolver over ${way}: what it says of names of many types comes through, over UDP and TCP, the second time out of the cache`, {
    skip: needsUnbound.skip || needsDig.skip,
  }, async () => {
    await using unbound = await Unbound.start(zone);
    const server =
      way === 'tls'
        ? `tls://127.0.0.1:${unbound.tlsPort}#${serverName}`
        : `${way === 'tcp' ? 'tcp://' : ''}127.0.0.1:${unbound.port}`;
    await using dns = await dnsWith({ servers: [server], tlsCa: unbound.caFile });
    for (const text of questions.flat()) {
      const [name = '', type = ''] = text.split(' ');
      const full = name === '.' ? 'example.test' : `${name}.example.test`;
      const expected = await dug(unbound.port, full, type, '+tcp');
      if (/^(www|alias|many|sip|a\.wild) A/.test(text)) assert.ok(expected.length > 1, text);
      for (const round of ['asked', 'kept']) {
        const over = round === 'asked' ? ['+tcp'] : [];
        assert.deepEqual(await dug(dns.port, full, type, ...over), expected, `${text} ${round}`);
      }
    }
    const [resolver] = dns.status().upstreams;
    assert.equal(resolver?.state, 'up');
    // unbound is busy with the probe for loops at first, which ends a connection.
    if (way !== 'udp') assert.ok(resolver!.connections.made <= 2 && resolver!.connections.reused > 20, 'few connections for all');
    const { hitsSuccess, hitsDenial } = dns.status().forward!;
    assert.ok(hitsSuccess + hitsDenial >= questions.flat().length - 2, `${hitsSuccess} and ${hitsDenial} hits`);
  });
}

test('DNS over TLS: fifty questions at once take one connection', needsUnbound, async () => {
  await using unbound = await Unbound.start(zone);
  await using dns = await dnsWith({ servers: [`tls://127.0.0.1:${unbound.tlsPort}#${serverName}`], tlsCa: unbound.caFile });
  const ask = (name: string) => askUdp(dns.port, question(name));
  assert.equal((await ask('mail.example.test')).rcode, 'NOERROR');
  const before = dns.status().upstreams[0]!.connections.made;
  const all = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(`h${i}.wild.example.test`)));
  assert.ok(all.every(({ rcode, answers }) => rcode === 'NOERROR' && answers.length === 1));
  assert.ok(dns.status().upstreams[0]!.connections.made <= before + 1);
});

test(
  'DNS over TLS: a certificate of another authority, or for another name, is refused; for the address it will do',
  needsUnbound,
  async () => {
    await using unbound = await Unbound.start(zone);
    await using other = await Unbound.start(zone);
    const server = `tls://127.0.0.1:${unbound.tlsPort}`;
    const tried = async (upstream: UpstreamOptions): Promise<[string, Record<string, number>]> => {
      await using dns = await dnsWith({ deadlineMs: 1500, ...upstream });
      const { rcode } = await askUdp(dns.port, question('www.example.test'));
      return [rcode, dns.status().upstreams[0]!.counters.failures];
    };
    assert.deepEqual(await tried({ servers: [server], tlsCa: unbound.caFile }), ['NOERROR', {}]);
    const reason = async (upstream: UpstreamOptions): Promise<string> => {
      const [rcode, failures] = await tried(upstream);
      assert.equal(rcode, 'SERVFAIL');
      return Object.keys(failures).join();
    };
    assert.match(
      await reason({ servers: [`${server}#other.test`], tlsCa: unbound.caFile }),
      /^tls ERR_TLS_CERT_ALTNAME_INVALID$/,
    );
    assert.match(await reason({ servers: [server], tlsCa: other.caFile }), /^tls .*(SIGNATURE|SELF_SIGNED|ISSUER)/);
    assert.match(await reason({ servers: [server] }), /^tls .*(SIGNATURE|SELF_SIGNED|ISSUER)/, 'the machine does not trust it');
    assert.match(await reason({ servers: [server], tlsCa: '/nonexistent' }), /^tls ENOENT$/);
  },
);

test('D16 (RFC 8767): while the resolver is dead, cluster names are answered as fast as before, and what it said stays; when it is back, so is all', {
  skip: needsUnbound.skip || (existsSync('/usr/bin/dig') ? false : 'needs dig'),
}, async (t) => {
  // An address of its own: a port of 127.0.0.1 that is free again may be another test's server next.
  const address = `127.77.${(process.pid >> 8) & 255}.${(process.pid & 127) + 1}`;
  let unbound = await Unbound.start(zone, { address });
  try {
    const { port, tlsPort } = unbound;
    await using dns = await dnsWith({ servers: [`${address}:${port}`], cache: { maxTtl: 1 } });
    const ask = (name: string) => askUdp(dns.port, question(name));
    assert.deepEqual((await ask('www.example.test')).answers.map((text) => text.split(' ')[3]).sort(), [
      '192.0.2.1',
      '192.0.2.2',
    ]);
    const times = async (): Promise<number[]> => {
      const all: number[] = [];
      for (let i = 0; i < 300; i++) {
        const began = performance.now();
        assert.deepEqual((await ask(webName)).answers, [`${webName}. 5 A 10.96.1.1`]);
        all.push(performance.now() - began);
      }
      return all.sort((a, b) => a - b);
    };
    const before = await times();
    await unbound.kill();
    // As many questions for outside names as one source may have wait meanwhile.
    const storm = Promise.all(Array.from({ length: 100 }, (_, i) => ask(`n${i}.example.test`)));
    const during = await times();
    const ms = (sorted: number[], share: number): string => sorted[Math.floor(sorted.length * share)]!.toFixed(2);
    t.diagnostic(
      `cluster names, ms: ${ms(before, 0.5)} (p99 ${ms(before, 0.99)}) with the resolver, ${ms(during, 0.5)} (p99 ${ms(during, 0.99)}) without`,
    );
    assert.ok(during[150]! < 20, `${during[150]} ms`);
    assert.deepEqual([...new Set((await storm).map(({ rcode }) => rcode))], ['SERVFAIL']);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const timed = async () => {
      const began = performance.now();
      return { stale: await ask('www.example.test'), ms: performance.now() - began };
    };
    let { stale, ms: staleMs } = await timed();
    // A busy machine is slow at times; the patience with a resolver is spent each time.
    for (let tries = 0; staleMs >= 1000 && tries < 5; tries++) ({ stale, ms: staleMs } = await timed());
    assert.ok(staleMs < 1000, `at once, not after ${staleMs} ms`);
    assert.deepEqual(
      [stale.rcode, stale.answers.length, stale.answers[0]?.split(' ')[1]],
      ['NOERROR', 2, '30'],
      'its TTL of 1 s is over',
    );
    assert.equal(dns.status().upstreams[0]!.state, 'down');
    await unbound[Symbol.asyncDispose]();
    unbound = await Unbound.start(zone, { address, port, tlsPort });
    for (let i = 0; dns.status().upstreams[0]!.state !== 'up'; i++) {
      assert.ok(i < 1500, 'it is asked again from time to time');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal((await ask('mail.example.test')).rcode, 'NOERROR');
  } finally {
    await unbound[Symbol.asyncDispose]();
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../config.ts';
import { parseCorefile } from './parse.ts';
import { translateCorefile } from './translate.ts';

const kubeadm = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`;

test('the Corefile of kubeadm is translated as a whole; pods insecure is told', () => {
  const { config, custom, notes } = translateCorefile(kubeadm);
  assert.deepEqual(config, {
    ...{ zone: 'cluster.local', pods: 'verified', ttl: 30, metricsListen: '0.0.0.0:9153' },
    upstream: { resolvConf: '/etc/resolv.conf', policy: 'random', mostUnderWay: 1000, cache: { maxTtl: 30, maxNegativeTtl: 30 } },
  });
  assert.deepEqual(custom, {});
  assert.deepEqual(
    notes.map(({ line, text }) => `${line} ${text}`),
    ['8 pods insecure'],
  );
  assert.equal(parseConfig({ listen: ['10.96.0.10'], podCidrs: [], serviceCidrs: [], ...config }).ttl, 30);
});

test("stub domains, NodeHosts as of k3s, rewrites and autopath become podnet's", () => {
  const { config, custom, notes } = translateCorefile(`
# the main one
.:53 {
    hosts /etc/coredns/NodeHosts {
      192.0.2.10 db.example.com db
      ttl 60
      reload 15s
      fallthrough
    }
    rewrite name suffix .prod.example.com .prod.svc.cluster.local answer auto
    rewrite continue name regex (.*)-(eu|us)\\.example\\.com {1}.{2}.example.net answer name (.*)\\.(eu|us)\\.example\\.net {1}-{2}.example.com answer value (.*)\\.internal {1}.example.com
    rewrite stop {
      name regex "(.*)\\.old" {1}.new
      answer name (.*)\\.new {1}.old
    }
    rewrite name old.example.com web.default.svc.cluster.local
    kubernetes k8s.example in-addr.arpa ip6.arpa {
      pods verified
      endpoint_pod_names
      fallthrough in-addr.arpa ip6.arpa
    }
    autopath @kubernetes
    forward corp.example 192.0.2.3
    forward . tls://192.0.2.1 tls://192.0.2.2%b.example:8853 {
      tls_servername a.example
      policy sequential
      max_fails 3
      except secret.example. other.example
    }
    cache {
      success 9984 300 10
      denial 9984 60
      serve_stale 1h30m verified
    }
}
example.org:53, 10.in-addr.arpa {
    errors
    cache 30
    forward . 10.1.0.1 10.1.0.2:5353 fd00::1 { policy round_robin }
}
`.replace('{ policy round_robin }', '{\n policy round_robin\n }'));
  assert.deepEqual(config, {
    ...{ zone: 'k8s.example', pods: 'verified', endpointPodNames: true, searchWalk: true },
    upstream: {
      servers: ['tls://192.0.2.1#a.example', 'tls://192.0.2.2:8853#b.example'],
      ...{ policy: 'ordered', maxFails: 3 },
      domains: {
        'corp.example': { servers: ['192.0.2.3'] },
        'secret.example': { servers: [] },
        'other.example': { servers: [] },
        'example.org': { servers: ['10.1.0.1', '10.1.0.2:5353', 'fd00::1'], policy: 'roundRobin' },
        '10.in-addr.arpa': { servers: ['10.1.0.1', '10.1.0.2:5353', 'fd00::1'], policy: 'roundRobin' },
      },
      cache: { maxTtl: 300, minTtl: 10, maxNegativeTtl: 60, staleSeconds: 5400 },
    },
  });
  assert.ok(parseConfig({ listen: ['10.96.0.10'], podCidrs: [], serviceCidrs: [], ...config }));
  assert.deepEqual(custom, {
    hosts: { ttl: 60, entries: [{ address: '192.0.2.10', names: ['db.example.com', 'db'] }], files: ['/etc/coredns/NodeHosts'] },
    rewrite: [
      { match: 'suffix', from: '.prod.example.com', to: '.prod.svc.cluster.local' },
      {
        ...{ match: 'regex', from: '(.*)-(eu|us)\\.example\\.com', to: '{1}.{2}.example.net', continue: true },
        answer: [
          { names: 'owner', from: '(.*)\\.(eu|us)\\.example\\.net', to: '{1}-{2}.example.com' },
          { names: 'target', from: '(.*)\\.internal', to: '{1}.example.com' },
        ],
      },
      { match: 'regex', from: '(.*)\\.old', to: '{1}.new', answer: [{ names: 'owner', from: '(.*)\\.new', to: '{1}.old' }] },
      { match: 'exact', from: 'old.example.com', to: 'web.default.svc.cluster.local' },
    ],
  });
  assert.deepEqual(
    notes.map(({ text, why }) => `${text}: ${why}`),
    [
      'success 9984 300 10: 9984 answers: the cache is bounded by bytes (upstream.cache.bytes)',
      'denial 9984 60: 9984 answers: the cache is bounded by bytes (upstream.cache.bytes)',
      'cache 30: one cache with one setting is for all names, not another one for example.org',
      'cache 30: one cache with one setting is for all names, not another one for 10.in-addr.arpa',
    ],
  );
});

test('each line that cannot be translated is named with its number and the reason', () => {
  const cases: [line: string, why: RegExp][] = [
    ['import custom/*.override', /other files are not read/],
    ['template IN A example.com {\n answer "x"\n }', /no plugin "template"/],
    ['forward . https://192.0.2.1', /DNS over HTTPS/],
    ['forward . dns.example', /tls:\/\/ADDRESS/],
    ['forward . 192.0.2.1 {\n tls /a /b\n }', /no client certificates/],
    ['forward . {$UPSTREAM}', /variables of the environment/],
    ['rewrite type ANY HINFO', /rules about type/],
    ['rewrite name regex (a+)+b c', /repeats something itself/],
    ['rewrite ttl exact example.com 30', /rules about ttl/],
    ['hosts {\n 192.0.2.1 a.example\n }', /without fallthrough/],
    ['kubernetes cluster.local {\n fallthrough\n }', /never forwarded/],
    ['kubernetes cluster.local other.local', /and not other.local/],
    ['kubernetes cluster.local {\n namespaces a b\n }', /"namespaces" has no counterpart/],
    ['loadbalance weighted /w', /no weights/],
    ['autopath /etc/resolv.conf', /pods' own search paths/],
    ['log', /podnet dns log -f/],
    ['bind 10.0.0.1', /listen/],
    ['health :8080', /health socket/],
    ['cache 30 {\n servfail 10s\n }', /"servfail" has no counterpart/],
  ];
  for (const [text, why] of cases) {
    const { notes } = translateCorefile(`.:53 {\n  errors\n  ${text}\n}`);
    assert.equal(notes.length, 1, `${text}: ${JSON.stringify(notes)}`);
    assert.match(notes[0]!.why, why);
    assert.ok(notes[0]!.line >= 3 && notes[0]!.line <= 4, text);
  }
  assert.match(translateCorefile('tls://.:853 {\n errors\n}').notes[0]!.why, /not by tls/);
  assert.match(translateCorefile('(snip) {\n errors\n}\n. {\n errors\n}').notes[0]!.why, /snippets/);
});

test('what is no Corefile is refused with the line', () => {
  for (const [text, why] of [
    ['.:53 {\n errors\n', /line 1: this \{ has no \}/],
    ['.:53 {\n}\n}\n', /line 3: a \} without a \{/],
    ['.:53 {\n log "x\n}', /line 2: a quote has no end/],
    ['. {\n}\nexample.org\n', /line 3: "example.org" has no block/],
  ] as const)
    assert.throws(() => parseCorefile(text), { name: 'SyntaxError', message: why });
  assert.deepEqual(parseCorefile('.\nerrors\nforward . 192.0.2.1 # ours\n')[0]!.directives.map(({ words }) => words.join(' ')), ['errors', 'forward . 192.0.2.1']);
});

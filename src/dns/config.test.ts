import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DnsConfig, parseConfig } from './config.ts';

const config: DnsConfig = { listen: ['10.96.0.10', 'fd00:10:96::a'], podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'] };

test('what is not said has defaults', () => {
  const { port, zone, pods, standby, standbyAfterMs, ranges, listen, searchWalk } = parseConfig(config);
  assert.deepEqual([port, zone, pods, standby, standbyAfterMs, searchWalk], [53, 'cluster.local', 'verified', true, 5000, true]);
  assert.deepEqual(ranges.map(String), ['10.244.0.0/16', '10.96.0.0/16']);
  assert.deepEqual(listen.map(String), config.listen);
});

test('a wrong configuration is refused with the field, the value seen and what is expected', () => {
  const wrong: [unknown, RegExp][] = [
    [{ ...config, adress: '10.96.0.10' }, /unknown field "adress"; known are .*listen/],
    [{ ...config, upstream: { server: '1.2.3.4' } }, /unknown field "upstream.server"; known are servers/],
    [{ ...config, listen: [] }, /listen must name at least one address/],
    [{ ...config, listen: ['10.96.0.256'] }, /listen: .*10\.96\.0\.256/],
    [{ ...config, port: 70000 }, /port must be 0 to 65535, not 70000/],
    [{ ...config, port: '53' }, /port must be 0 to 65535, not "53"/],
    [{ ...config, zone: '.' }, /zone: the root/],
    [{ ...config, zone: 'a..b' }, /zone: /],
    [{ ...config, pods: 'insecure' }, /pods must be verified or disabled, not "insecure"/],
    [{ ...config, ttl: 3601 }, /ttl must be 0 to 3600, not 3601/],
    [{ ...config, ttl: -1 }, /ttl must be 0 to 3600, not -1/],
    [{ ...config, searchWalk: 'yes' }, /searchWalk must be true or false, not "yes"/],
    [{ ...config, searchWalk: true, pods: 'disabled' }, /searchWalk needs pods: verified/],
    [{ ...config, podCidrs: ['10.244.0.0/33'] }, /podCidrs: .*10\.244\.0\.0\/33/],
    [{ ...config, upstream: { servers: ['dns.example'] } }, /upstream.servers: .*dns\.example/],
  ];
  for (const [input, message] of wrong) assert.throws(() => parseConfig(input as DnsConfig), { name: 'SyntaxError', message });
});

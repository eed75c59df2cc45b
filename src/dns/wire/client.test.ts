import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../../net/ip.ts';
import { ClientAddress } from './client.ts';

const of = (text: string): ClientAddress => {
  const client = new ClientAddress();
  client.setText(text);
  return client;
};

test('the address of an asker is the same from text and from bytes, in both families, and a copy stays when it is used again', () => {
  for (const text of ['10.244.1.7', '255.255.255.255', 'fd00:10:244::7', 'fe80::1']) {
    const client = of(text);
    assert.equal(String(client), text);
    const { bytes, family } = IpAddr.parse(text);
    const same = new ClientAddress();
    const padded = Buffer.concat([Buffer.of(9, 9, 9), bytes]);
    if (family === 'ipv4') same.setIpv4(padded, 3);
    else same.setIpv6(padded, 3);
    assert.ok(same.equals(client));
    assert.equal(same.hash, client.hash);
    const copy = same.copy();
    same.setText('192.0.2.1');
    assert.ok(copy.equals(client) && !same.equals(client));
  }
  assert.equal(of('fe80::1%eth0').toString(), 'fe80::1');
  assert.equal(of('nonsense').toIp(), undefined);
  assert.ok(!of('10.0.0.1').equals(of('10.0.0.2')));
});

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { hostLocalLeases } from './index.ts';
import { Directory, fault, key, text } from './testkit/directory.ts';

test('a container gets one address of each family, and the same key none again', () => {
  using directory = new Directory();
  using ipam = directory.open();
  assert.equal(text(ipam.allocate(key('a'))), '10.244.1.2 fd00:10:244:1::2');
  assert.equal(text(ipam.allocate(key('b'))), '10.244.1.3 fd00:10:244:1::3');
  assert.throws(() => ipam.allocate(key('a')), fault('exists', /container a has 10\.244\.1\.2 and fd00:10:244:1::2 for eth0/));
  assert.equal(text(ipam.allocate(key('a', 'other'))), '10.244.1.4 fd00:10:244:1::4');
  assert.equal(text(ipam.get(key('a'))), '10.244.1.2 fd00:10:244:1::2');
});

test('CNI7: a release takes back only the addresses of its own container, and a second one is success', () => {
  using directory = new Directory();
  using ipam = directory.open();
  ipam.allocate(key('old'));
  ipam.allocate(key('new'));
  assert.equal(text(ipam.release(key('old'))), '10.244.1.2 fd00:10:244:1::2');
  assert.equal(ipam.release(key('old')), undefined);
  assert.equal(ipam.release(key('new', 'podnet', 'net1')), undefined);
  assert.equal(text(ipam.get(key('new'))), '10.244.1.3 fd00:10:244:1::3');
});

test('exhaustion says how many are in use and who holds some, and changes nothing', () => {
  using directory = new Directory();
  using ipam = directory.open([Prefix.parse('fd00::/64'), Prefix.parse('10.244.1.0/29')]);
  for (let i = 0; i < 5; i++) ipam.allocate(key(`c${i}`), { pod: `default/web-${i}` });
  const files = directory.files().filter((name) => name !== 'cursor');
  assert.throws(
    () => ipam.allocate(key('more')),
    fault(
      'exhausted',
      /no address is left in 10\.244\.1\.0\/29: 5 of 5 are in use, e\.g\. 10\.244\.1\.2 by default\/web-0, .*larger pod CIDR/,
    ),
  );
  assert.deepEqual(
    directory.files().filter((name) => name !== 'cursor'),
    files,
  );
  assert.deepEqual(
    ipam.use().map(({ used }) => used),
    [5, 5],
    'the IPv6 address went back',
  );
  ipam.release(key('c3'));
  assert.match(text(ipam.allocate(key('more'))), /10\.244\.1\.5/);
});

test('a node without pod CIDRs says so', () => {
  using directory = new Directory();
  using ipam = directory.open([]);
  assert.throws(() => ipam.allocate(key('a')), fault('no-range', /no pod CIDR yet/));
});

test('PC6: after a change of the pod CIDR old leases stay until released, new ones come from the new range alone', () => {
  using directory = new Directory();
  using ipam = directory.open([Prefix.parse('10.244.1.0/24')]);
  ipam.allocate(key('old'));
  ipam.setRanges([Prefix.parse('10.244.7.0/24')]);
  assert.equal(text(ipam.allocate(key('new'))), '10.244.7.2');
  assert.deepEqual(ipam.outOfRange().map(text), ['10.244.1.2']);
  ipam.release(key('old'));
  assert.deepEqual(ipam.outOfRange(), []);
  ipam.setRanges([Prefix.parse('10.244.1.0/24')]);
  assert.equal(text(ipam.allocate(key('again'))), '10.244.1.3', 'the cursor of a range that comes back went on');
});

test('CNI10: stale names what GC shall release, of one network only', () => {
  using directory = new Directory();
  using ipam = directory.open();
  for (const k of [key('a'), key('b'), key('a', 'other')]) ipam.allocate(k);
  assert.deepEqual(
    ipam.stale('podnet', [key('b'), key('unknown')]).map((lease) => lease.key),
    [key('a')],
  );
});

test('T19, F54: what was given back is forgotten by the node before it is given again, many at once', () => {
  using directory = new Directory();
  const forgotten: string[] = [];
  let broken = false;
  using ipam = directory.open([Prefix.parse('10.244.1.0/29')], {
    forget(addresses) {
      if (broken) throw new Error('conntrack is away');
      forgotten.push(addresses.join());
    },
  });
  for (const id of ['a', 'b', 'c', 'd', 'e']) ipam.allocate(key(id));
  ipam.release(key('a'));
  ipam.release(key('b'));
  assert.deepEqual(forgotten, [], 'not one by one');
  let waited = 0;
  const toForget = () => ipam.toForget(() => waited++);
  const elsewhere = toForget();
  assert.equal(elsewhere.addresses.join(), '10.244.1.2,10.244.1.3');
  elsewhere.done();
  const none = toForget();
  assert.deepEqual(none.addresses, []);
  none.done();
  ipam.release(key('c'));
  ipam.release(key('d'));
  for (const id of ['f', 'g']) ipam.allocate(key(id));
  assert.equal(forgotten.length, 0, 'a and b were forgotten already');
  broken = true;
  assert.throws(() => ipam.allocate(key('h')), /conntrack is away/);
  assert.equal(ipam.use()[0]!.used, 3);
  broken = false;
  assert.equal(text(ipam.allocate(key('h'))), '10.244.1.5');
  assert.deepEqual(forgotten, ['10.244.1.4,10.244.1.5'], 'it was next, and could not wait');
  // Given back, under way elsewhere, given and given back again: those who had it last are still to be forgotten.
  ipam.release(key('e'));
  const late = toForget();
  assert.equal(waited, 0);
  const again = late.addresses[0]!;
  assert.equal(text(ipam.allocate(key('i'), {}, [again])), `${again}`);
  assert.equal(waited, 1, 'its new users would be forgotten by a pass that has not ended');
  assert.deepEqual(late.left(), []);
  ipam.release(key('i'));
  late.done();
  assert.deepEqual(toForget().addresses.join(), `${again}`);
});

test('CNI9: it is told that no container can be served exactly when none can, in whichever family, with what is held and what cannot be forgotten', () => {
  using directory = new Directory();
  let refuses = false;
  const forget = (): void => {
    if (refuses) throw new Error('EPERM');
  };
  using ipam = directory.open(['fd00::/64', '10.244.1.0/29'].map(Prefix.parse), { forget });
  const served = (): boolean => {
    try {
      ipam.allocate(key('probe'));
    } catch {
      return false;
    }
    ipam.release(key('probe'));
    return true;
  };
  const agrees = (why: RegExp | undefined): void => {
    if (why) assert.match(ipam.whyFull() ?? '', why);
    else assert.equal(ipam.whyFull(), undefined);
    assert.equal(served(), why === undefined);
  };
  for (const id of ['a', 'b', 'c']) ipam.allocate(key(id));
  agrees(undefined);
  ipam.hold('test', [{ address: IpAddr.parse('10.244.1.5'), why: 'a route' }]);
  ipam.hold('other', [{ address: IpAddr.parse('10.244.1.6'), why: 'a route' }]);
  agrees(/^no address is left in 10\.244\.1\.0\/29: all 5 are in use$/);
  ipam.hold('other', []);
  agrees(undefined);
  refuses = true;
  ipam.toForget(() => {}).failed('EPERM');
  agrees(/4 of 5 are in use, and the connections of the other 1 cannot be deleted: EPERM/);
  ipam.release(key('b'));
  agrees(/3 of 5 are in use, and the connections of the other 2 cannot/);
  refuses = false;
  ipam.toForget(() => {}).done();
  agrees(undefined);
});

test('an address that is in use without a lease is given to nobody, until it is in use no more', () => {
  using directory = new Directory();
  using ipam = directory.open([Prefix.parse('10.244.1.0/29')]);
  const hold = (...addresses: string[]) => addresses.map((address) => ({ address: IpAddr.parse(address), why: 'a route' }));
  ipam.allocate(key('a'));
  ipam.hold('routes', hold('10.244.1.2', '10.244.1.3', '192.0.2.1'));
  ipam.hold('host-local', hold('10.244.1.3'));
  assert.equal(text(ipam.allocate(key('b'))), '10.244.1.4');
  assert.deepEqual(
    ipam.held().map(({ address }) => String(address)),
    ['10.244.1.3', '10.244.1.3'],
    "a has a lease, and 192.0.2.1 is none of the pods' addresses",
  );
  ipam.hold('routes', []);
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.3')), false, 'the other still sees it');
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.2')), false, 'it is leased');
  ipam.hold('host-local', []);
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.3')), true);
  ipam.hold('routes', hold('10.244.1.2'));
  ipam.release(key('a'));
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.2')), true, 'the route was that of the lease');
  ipam.hold('routes', hold('10.244.1.2'));
  ipam.setRanges([Prefix.parse('10.244.1.0/28')]);
  assert.equal(ipam.isFree(IpAddr.parse('10.244.1.2')), false, 'also in another range');
});

test("leases of host-local's that it made since the boot hold their addresses, with who has them", () => {
  using directory = new Directory();
  assert.deepEqual(hostLocalLeases(path.join(directory.path, 'none'), 0), []);
  const network = path.join(directory.path, 'cbr0');
  fs.mkdirSync(network);
  for (const [name, contents] of [
    ['10.244.1.7', '0123456789abcdef0123\r\neth0'],
    ['fd00::7', ''],
    ['last_reserved_ip.0', '10.244.1.7'],
    ['lock', ''],
    ['10.244.1.8', 'of before the boot'],
  ] as const)
    fs.writeFileSync(path.join(network, name), contents);
  fs.utimesSync(path.join(network, '10.244.1.8'), 1000, 1000);
  fs.writeFileSync(path.join(directory.path, 'stray'), '');
  assert.deepEqual(
    hostLocalLeases(directory.path, Date.now() - 1000).map(({ address, why }) => `${address}: ${why}`),
    [
      `10.244.1.7: host-local's lease ${network}/10.244.1.7 of container 0123456789abc`,
      `fd00::7: host-local's lease ${network}/fd00::7`,
    ],
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conntrack } from '../../../kernel/conntrack.ts';
import { families } from '../../../net/ip.ts';
import { needsRoot } from '../../../testing/root.ts';
import { defaultConnmarkMask, epochOf, lastEpoch, nextEpoch } from './epoch.ts';
import { addressOf, ask, echoes, endOf, PolicyBed, type Row } from '../testkit/testbed.ts';

/** b hears from a at 8080 of TCP and UDP, and from nobody else. */
const onlyA: Row[] = [
  ['ingress-default', 'b', 'none'],
  ['ingress', '0:1 . b', '0:8'],
  ['ports', '0:8 . tcp . 8080', '0:3'],
  ['ports', '0:8 . udp . 8080', '0:3'],
];
const nobody: Row[] = [['ingress-default', 'b', 'none']];

for (const family of families) {
  for (const to of ['b', 'service'] as const) {
    const [port, how] = to === 'b' ? [8080, 'directly'] : [80, 'through a Service'];
    test(`NP14 (${family}): an open TCP connection ${how} is reset at both ends as soon as it is denied`, needsRoot, async () => {
      await using bed = new PolicyBed();
      bed.services(family);
      const served = await bed.serveTcp('b', family, 8080);
      for (const first of ['client', 'server'] as const) {
        bed.say(family, ...onlyA);
        const client = await bed.connect('a', family, to, port);
        assert.ok(await echoes(client), 'it works while it is allowed');
        bed.say(family, ['egress-default', 'c', 'none'], ...onlyA);
        assert.ok(await echoes(client), 'a change that does not concern it leaves it alone');
        const ends = { client, server: served.at(-1)! };
        bed.say(family, ...nobody);
        const second = first === 'client' ? 'server' : 'client';
        assert.equal(await endOf(ends[first]), 'ECONNRESET', `${first} first`);
        assert.equal(await endOf(ends[second]), 'ECONNRESET', `${second} then`);
        assert.equal(await bed.reaches('a', family, to, port), false, 'nor is a new one made');
        bed.say(family, ...onlyA);
        assert.ok(await bed.reaches('a', family, to, port), 'newly allowed, it works at once');
      }
    });

    test(
      `NP14 (${family}): UDP ${how} is cut as soon as it is denied, and works again once it is allowed`,
      needsRoot,
      async () => {
        await using bed = new PolicyBed();
        bed.services(family);
        bed.serveUdp('b', family, 8080);
        const socket = bed.udp('a', family);
        const address = addressOf(to, family);
        for (let round = 0; round < 2; round++) {
          bed.say(family, ...onlyA);
          assert.equal(await ask(socket, address, port), 'question');
          bed.say(family, ...nobody);
          assert.equal(await ask(socket, address, port), 'nothing');
        }
      },
    );
  }

  test(`NP14 (${family}): what is denied where it leaves is cut as well, and from a pod of another node`, needsRoot, async () => {
    await using bed = new PolicyBed();
    await bed.serveTcp('b', family, 8080);
    const far = await bed.connect('far', family, 'b', 8080);
    const near = await bed.connect('a', family, 'b', 8080);
    assert.ok((await echoes(far)) && (await echoes(near)));
    bed.say(family, ['egress-default', 'a', 'none'], ['ingress-default', 'b', '0:3'], ['ingress', '0:4 . b', 'none']);
    assert.equal(await endOf(far), 'ECONNRESET');
    assert.equal(await endOf(near), 'ECONNRESET');
  });

  test(`NP14 (${family}): a connection that conntrack has forgotten is reset, not left hanging`, needsRoot, async () => {
    await using bed = new PolicyBed();
    const served = await bed.serveTcp('b', family, 8080);
    bed.say(family, ...onlyA);
    const client = await bed.connect('a', family, 'b', 8080);
    assert.ok(await echoes(client));
    bed.say(family, ...nobody, ['egress-default', 'b', 'none']);
    using conntrack = Conntrack.open(bed.node.ns);
    for (const end of [served[0]!, client]) {
      conntrack.deleteWhere(() => true);
      assert.equal(await endOf(end), 'ECONNRESET');
    }
  });

  test(
    `ADR 19 (${family}): accepted connections bear the epoch beside others' bits, and an epoch that one bears is not begun again`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      bed.rules('table inet marks { chain pre { type filter hook prerouting priority -50; ct state new ct mark set 0x2a; }; }');
      await bed.serveTcp('b', family, 8080);
      const marks = (): number[] => {
        using conntrack = Conntrack.open(bed.node.ns);
        return conntrack.list({ family, protocol: 'tcp' }).map(({ mark }) => mark);
      };
      const first = await bed.connect('a', family, 'b', 8080);
      assert.ok(await echoes(first));
      assert.deepEqual(marks(), [0x12a]);
      bed.beginEpoch(lastEpoch(defaultConnmarkMask));
      const second = await bed.connect('c', family, 'b', 8080);
      assert.ok(await echoes(second));
      assert.deepEqual(marks().sort(), [0x12a, 0xffffff2a], 'the first one has sent nothing since');
      const borne = new Set(marks().map((mark) => epochOf(mark, defaultConnmarkMask)));
      assert.equal(nextEpoch(bed.epoch, defaultConnmarkMask, borne), 2, 'behind the last one comes the first that is free');
      bed.beginEpoch(2);
      assert.ok((await echoes(first)) && (await echoes(second)));
      assert.deepEqual(marks(), [0x22a, 0x22a]);
    },
  );

  test(
    `ADR 19 (${family}): elements alone leave settled connections; the epoch behind them has them judged`,
    needsRoot,
    async () => {
      await using bed = new PolicyBed();
      await bed.serveTcp('b', family, 8080);
      bed.say(family, ...onlyA);
      const client = await bed.connect('a', family, 'b', 8080);
      assert.ok(await echoes(client));
      bed.write(family, nobody);
      assert.ok(await echoes(client), 'settled in the epoch that is there');
      assert.equal(await bed.reaches('a', family, 'b', 8080), false, 'what is new is judged by the elements');
      bed.beginEpoch(bed.epoch + 1);
      assert.equal(await endOf(client), 'ECONNRESET');
    },
  );
}

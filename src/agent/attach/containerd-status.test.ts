import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { confListName } from '../../cni/conflist.ts';
import { Nodes } from '../../kube/resources.ts';
import { eventually } from '../testkit/node.ts';
import { leftovers } from '../testkit/runtimes/leftovers.ts';
import { ownMachine } from '../testkit/runtimes/own-machine.ts';
import { needsContainerd } from '../testkit/runtimes/packages.ts';
import { World } from '../testkit/runtimes/world.ts';

const needed = needsContainerd('2');
ownMachine(needed.skip);

test(
  "CNI9, CNI11: containerd 2 takes 1.1.0 from the list of versions, asks for STATUS, and the node is NotReady in podnet's words until ADD can be served",
  needed,
  async () => {
    await using world = await World.ready('2');
    const { node, containerd } = world;
    const { cri } = containerd;
    const { cniVersion, cniVersions } = JSON.parse(readFileSync(`${node.config.cni.confDir}/${confListName}`, 'utf8'));
    assert.deepEqual([cniVersion, cniVersions], ['1.0.0', ['1.0.0', '1.1.0']]);
    const nothingLeft = leftovers(node);
    const a = await world.addPod('a');

    await node.stop();
    assert.match((await cri.networkProblem()) ?? '', /podnet's agent is not running on this node/);
    await node.startReady();
    assert.equal(await cri.networkProblem(), undefined);
    await world.deletePod(a);
    await nothingLeft();
  },
);

test(
  'CNI9: a node without addresses is NotReady with the prefix named, pods that run go on, and with an address it is Ready',
  needed,
  async () => {
    await using world = await World.make('2');
    const { node, containerd } = world;
    const { cri } = containerd;
    await node.api.delete(Nodes, 'me');
    await node.setNode('me', ['192.0.2.1', '2001:db8::1'], ['10.1.0.0/29', 'fd01::/64']);
    await node.startReady();
    await eventually(async () => assert.equal(await cri.networkProblem(), undefined));
    const pods: string[] = [];
    for (let i = 0; (await cri.networkProblem()) === undefined; i++) pods.push(await cri.runPod(containerd.podConfig(`p${i}`)));
    assert.equal(pods.length, node.status().leases[0]!.used);
    assert.match((await cri.networkProblem()) ?? '', /no address is left in 10\.1\.0\.0\/29: all 5 are in use/);
    await assert.rejects(cri.runPod(containerd.podConfig('late')), /no address is left|in use/);
    await world.deletePod({ id: pods[0]! });
    await eventually(async () => assert.equal(await cri.networkProblem(), undefined));
  },
);
